/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written is taken apart by plain offsets into the messages a kernel would see; what
 * is read was put together here. Where this kernel has WireGuard, it is asked itself, in a
 * network namespace of its own.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <sched.h>

#include "../test.h"
#include "base/err.h"
#include "iface/wg_genl.h"
#include "net/netlink.h"

enum { MANY = 2000, FULL = 20000, MESSAGES_MAX = 4096 };

static _Alignas(struct nlmsghdr) char buffer[WG_GENL_MESSAGE_MAX];

static struct nlmsghdr *begin(void)
{
	memset(buffer, 0, sizeof(buffer));
	return mnl_nlmsg_put_header(buffer);
}

static int add(struct wg_genl_snapshot *s, const struct nlmsghdr *m)
{
	return wg_genl_snapshot_add(s, mnl_nlmsg_get_payload(m), mnl_nlmsg_get_payload_len(m));
}

static void make_key(uint8_t key[32], unsigned int n)
{
	memset(key, 0x5a, 32);
	memcpy(key, &n, sizeof(n));
}

static struct ip_prefix host4(unsigned int n)
{
	struct ip_prefix p = { .ip.family = ADDR_V4, .bits = 32 };

	p.ip.b[0] = 10;
	p.ip.b[1] = (uint8_t)(n >> 16);
	p.ip.b[2] = (uint8_t)(n >> 8);
	p.ip.b[3] = (uint8_t)n;
	return p;
}

/* A peer of one prefix as the kernel says it; @key_len is 32 for one that is right. */
static void put_peer(struct nlmsghdr *m, unsigned int n, size_t key_len, uint8_t bits,
		     size_t ip_len)
{
	const struct ip_prefix p = host4(n);
	struct nlattr *peer = mnl_attr_nest_start(m, 0), *list, *one;
	uint8_t key[32], ip[16] = { 0 };

	memcpy(ip, p.ip.b, 4);
	make_key(key, n);
	mnl_attr_put(m, WGPEER_A_PUBLIC_KEY, key_len, key);
	list = mnl_attr_nest_start(m, WGPEER_A_ALLOWEDIPS);
	one = mnl_attr_nest_start(m, 0);
	mnl_attr_put_u16(m, WGALLOWEDIP_A_FAMILY, AF_INET);
	mnl_attr_put(m, WGALLOWEDIP_A_IPADDR, ip_len, ip);
	mnl_attr_put_u8(m, WGALLOWEDIP_A_CIDR_MASK, bits);
	mnl_attr_nest_end(m, one);
	mnl_attr_nest_end(m, list);
	mnl_attr_nest_end(m, peer);
}

static int read_one(struct wg_genl_snapshot *s, unsigned int n, size_t key_len, uint8_t bits,
		    size_t ip_len)
{
	struct nlmsghdr *m = begin();
	struct nlattr *peers = mnl_attr_nest_start(m, WGDEVICE_A_PEERS);

	put_peer(m, n, key_len, bits, ip_len);
	mnl_attr_nest_end(m, peers);
	return add(s, m);
}

static void merges_a_peer_that_goes_on_in_the_next_message(void)
{
	struct wg_genl_snapshot s = { .peers = NULL };

	CHECK(read_one(&s, 1, 32, 32, 4) == 0);
	CHECK(read_one(&s, 2, 32, 32, 4) == 0);
	CHECK(read_one(&s, 2, 32, 24, 4) == 0);
	CHECK(read_one(&s, 3, 32, 32, 4) == 0);
	CHECK(s.n_peers == 3 && s.n_prefixes == 4);
	CHECK(s.peers[0].n_prefixes == 1 && s.peers[1].n_prefixes == 2);
	CHECK(s.peers[1].first_prefix == 1 && s.peers[2].first_prefix == 3);
	CHECK(s.prefixes[2].bits == 24 && s.prefixes[2].ip.b[3] == 0);
	wg_genl_snapshot_done(&s);
}

static void refuses_what_has_the_wrong_size(void)
{
	struct wg_genl_snapshot s = { .peers = NULL };

	CHECK(read_one(&s, 1, 31, 32, 4) == ERR_FORMAT);
	CHECK(read_one(&s, 1, 32, 33, 4) == ERR_FORMAT);
	CHECK(read_one(&s, 1, 32, 32, 5) == ERR_FORMAT);
	CHECK(s.n_peers == 0);
	wg_genl_snapshot_done(&s);
}

static void refuses_a_peer_without_a_key(void)
{
	struct wg_genl_snapshot s = { .peers = NULL };
	struct nlmsghdr *m = begin();
	struct nlattr *peers = mnl_attr_nest_start(m, WGDEVICE_A_PEERS);
	struct nlattr *peer = mnl_attr_nest_start(m, 0);

	mnl_attr_put_u64(m, WGPEER_A_RX_BYTES, 7);
	mnl_attr_nest_end(m, peer);
	mnl_attr_nest_end(m, peers);
	CHECK(add(&s, m) == ERR_FORMAT && s.n_peers == 0);
	wg_genl_snapshot_done(&s);
}

static void reads_what_concerns_the_device_and_skips_its_private_key(void)
{
	struct wg_genl_snapshot s = { .peers = NULL };
	struct nlmsghdr *m = begin();
	uint8_t private_key[32], public_key[32];
	const char *raw = (const char *)&s;
	bool is_there = false;

	make_key(private_key, 0xdeadbeef);
	make_key(public_key, 9);
	mnl_attr_put(m, WGDEVICE_A_PRIVATE_KEY, 32, private_key);
	mnl_attr_put(m, WGDEVICE_A_PUBLIC_KEY, 32, public_key);
	mnl_attr_put_u16(m, WGDEVICE_A_LISTEN_PORT, 51820);
	mnl_attr_put_u32(m, WGDEVICE_A_FWMARK, 77);
	mnl_attr_put_u32(m, 999, 1);
	CHECK(add(&s, m) == 0);
	CHECK(s.listen_port == 51820 && s.fwmark == 77 &&
	      memcmp(s.public_key, public_key, 32) == 0);
	for (size_t i = 0; i + 32 <= sizeof(s); i++)
		is_there |= memcmp(raw + i, private_key, 32) == 0;
	CHECK(!is_there);
	wg_genl_snapshot_done(&s);
}

/* --- written messages, walked by offsets --- */

struct tally {
	unsigned int messages, blocks, prefixes, replaces, endpoints;
	bool is_too_long;
};

static unsigned int u16_at(const char *p)
{
	uint16_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

static void count_list(struct tally *t, const char *p, const char *end)
{
	for (; p + 4 <= end; p += (u16_at(p) + 3u) & ~3u)
		t->prefixes++;
}

static void count_block(struct tally *t, const char *p, const char *end)
{
	t->blocks++;
	for (; p + 4 <= end; p += (u16_at(p) + 3u) & ~3u) {
		unsigned int type = u16_at(p + 2) & 0x3fff;

		if (type == WGPEER_A_FLAGS)
			t->replaces += (p[4] & WGPEER_F_REPLACE_ALLOWEDIPS) != 0;
		t->endpoints += type == WGPEER_A_ENDPOINT;
		if (type == WGPEER_A_ALLOWEDIPS)
			count_list(t, p + 4, p + u16_at(p));
	}
}

static void count_message(struct tally *t, const struct nlmsghdr *m)
{
	const char *p = (const char *)m + 16 + 4, *end = (const char *)m + m->nlmsg_len;

	t->messages++;
	t->is_too_long |= m->nlmsg_len > WG_GENL_MESSAGE_MAX;
	for (; p + 4 <= end; p += (u16_at(p) + 3u) & ~3u) {
		const char *block = p + 4, *last = p + u16_at(p);

		if ((u16_at(p + 2) & 0x3fff) != WGDEVICE_A_PEERS)
			continue;
		for (; block + 4 <= last; block += (u16_at(block) + 3u) & ~3u)
			count_block(t, block + 4, block + u16_at(block));
	}
}

static struct tally write_all(const struct wg_genl_set *set, struct wg_genl_snapshot *s)
{
	struct wg_genl_cursor at = { .peer = 0 };
	struct tally t = { .messages = 0 };
	bool has_more = true;

	while (has_more && t.messages < MESSAGES_MAX) {
		struct nlmsghdr *m = begin();

		mnl_nlmsg_put_extra_header(m, sizeof(struct genlmsghdr));
		has_more = wg_genl_set_write(m, "wg0", set, &at);
		count_message(&t, m);
		CHECK(wg_genl_snapshot_add(s, buffer + 20, m->nlmsg_len - 20) == 0);
	}
	return t;
}

static void splits_a_long_list_of_prefixes_and_empties_it_once(void)
{
	enum { PREFIXES = 3000 };
	static struct ip_prefix prefixes[PREFIXES];
	struct wg_genl_set_peer peer = { .prefixes = prefixes,
					 .n_prefixes = PREFIXES,
					 .replace_prefixes = true,
					 .has_endpoint = true,
					 .endpoint = { .ip = host4(1).ip, .port = 1000 } };
	const struct wg_genl_set set = { .peers = &peer, .n_peers = 1 };
	struct wg_genl_snapshot s = { .peers = NULL };
	struct tally t;

	for (unsigned int i = 0; i < PREFIXES; i++)
		prefixes[i] = host4(i);
	make_key(peer.public_key, 1);
	t = write_all(&set, &s);
	CHECK(t.messages > 1 && t.messages == t.blocks && !t.is_too_long);
	CHECK(t.prefixes == PREFIXES && t.replaces == 1 && t.endpoints == 1);
	CHECK(s.n_peers == 1 && s.peers[0].n_prefixes == PREFIXES);
	CHECK(s.n_prefixes == PREFIXES && memcmp(s.prefixes, prefixes, sizeof(prefixes)) == 0);
	CHECK(s.peers[0].endpoint.port == 1000);
	wg_genl_snapshot_done(&s);
}

/* --- many peers, for messages and for the kernel --- */

struct crowd {
	struct wg_genl_set_peer *peers;
	struct ip_prefix *prefixes;
	unsigned int n;
};

static struct crowd crowd_new(unsigned int n)
{
	struct crowd c = { .peers = calloc(n, sizeof(*c.peers)),
			   .prefixes = calloc(n, sizeof(*c.prefixes)),
			   .n = n };

	if (!c.peers || !c.prefixes)
		abort();
	for (unsigned int i = 0; i < n; i++) {
		make_key(c.peers[i].public_key, i);
		c.prefixes[i] = host4(i + 1);
		c.peers[i].prefixes = &c.prefixes[i];
		c.peers[i].n_prefixes = 1;
		c.peers[i].replace_prefixes = true;
		c.peers[i].has_keepalive = true;
		c.peers[i].keepalive_s = (uint16_t)(i % 60);
	}
	return c;
}

static void crowd_done(struct crowd *c)
{
	free(c->peers);
	free(c->prefixes);
}

static void tells_many_peers_in_small_pieces(void)
{
	struct crowd c = crowd_new(10 * WG_GENL_PIECE + 1);
	const struct wg_genl_set set = { .peers = c.peers, .n_peers = c.n };
	struct wg_genl_snapshot s = { .peers = NULL };
	struct tally t = write_all(&set, &s);

	CHECK(t.messages == 11 && t.blocks == c.n && t.prefixes == c.n && t.replaces == c.n);
	CHECK(s.n_peers == c.n && s.n_prefixes == c.n);
	wg_genl_snapshot_done(&s);
	crowd_done(&c);
}

/* Index of each by its key, whose first octets are its number: the kernel lists in its own order. */
static bool is_all_there(const struct crowd *c, const struct wg_genl_snapshot *s)
{
	bool *seen = calloc(c->n, sizeof(*seen));
	bool is_good = seen && s->n_peers == c->n;

	for (size_t i = 0; is_good && i < s->n_peers; i++) {
		const struct wg_genl_peer *p = &s->peers[i];
		unsigned int n;

		memcpy(&n, p->public_key, sizeof(n));
		is_good = n < c->n && !seen[n] && p->n_prefixes == 1 &&
			  p->keepalive_s == n % 60 &&
			  memcmp(&s->prefixes[p->first_prefix], &c->prefixes[n],
				 sizeof(struct ip_prefix)) == 0;
		if (is_good)
			seen[n] = true;
	}
	free(seen);
	return is_good;
}

static void splits_many_peers_and_loses_none(void)
{
	struct crowd c = crowd_new(FULL);
	const struct wg_genl_set set = { .peers = c.peers, .n_peers = c.n };
	struct wg_genl_snapshot s = { .peers = NULL };
	struct tally t = write_all(&set, &s);

	CHECK(t.blocks == FULL && t.prefixes == FULL && t.replaces == FULL);
	CHECK(!t.is_too_long);
	CHECK(is_all_there(&c, &s));
	wg_genl_snapshot_done(&s);
	crowd_done(&c);
}

static struct wg_genl *kernel;

static void kernel_names_an_interface_that_is_not_there(void)
{
	struct wg_genl_snapshot s = { .peers = NULL };

	CHECK(wg_genl_get(kernel, "none0", &s) == -ENODEV);
	CHECK(wg_genl_get(kernel, "a-name-of-an-interface", &s) == -ENAMETOOLONG);
}

static void kernel_refuses_an_interface_of_another_kind(void)
{
	struct wg_genl_snapshot s = { .peers = NULL };

	CHECK(wg_genl_get(kernel, "lo", &s) == -EOPNOTSUPP);
}

static void kernel_says_that_a_name_is_taken(void)
{
	struct netlink *nl = NULL;

	CHECK(netlink_open(&nl) == 0);
	CHECK(netlink_link_create(nl, "wg0", "wireguard") == -EEXIST);
	CHECK(netlink_link_create(nl, "wg1", "no-such-kind") == -EOPNOTSUPP);
	netlink_close(nl);
}

static void kernel_takes_many_peers_and_gives_back_all_of_them(void)
{
	struct crowd c = crowd_new(getenv("CULVERT_SOAK") ? FULL : MANY);
	struct wg_genl_set set = { .peers = c.peers,
				   .n_peers = c.n,
				   .has_listen_port = true,
				   .listen_port = 40001,
				   .has_private_key = true,
				   .replace_peers = true };
	struct wg_genl_snapshot s = { .peers = NULL };

	printf("# scale: %u peers, full %u\n", c.n, (unsigned int)FULL);
	memset(set.private_key.b, 7, sizeof(set.private_key.b));
	CHECK(wg_genl_set(kernel, "wg0", &set) == 0);
	CHECK(wg_genl_get(kernel, "wg0", &s) == 0);
	CHECK(is_all_there(&c, &s) && s.listen_port == 40001);
	CHECK(!secret_is_zero(s.public_key, 32));
	wg_genl_snapshot_done(&s);
	crowd_done(&c);
}

static void kernel_splits_a_peer_of_many_prefixes_and_it_comes_back_whole(void)
{
	enum { PREFIXES = 3000 };
	static struct ip_prefix prefixes[PREFIXES];
	struct wg_genl_set_peer peer = { .prefixes = prefixes,
					 .n_prefixes = PREFIXES,
					 .replace_prefixes = true };
	const struct wg_genl_set set = { .peers = &peer, .n_peers = 1, .replace_peers = true };
	struct wg_genl_snapshot s = { .peers = NULL };

	for (unsigned int i = 0; i < PREFIXES; i++)
		prefixes[i] = host4(i);
	make_key(peer.public_key, 1);
	CHECK(wg_genl_set(kernel, "wg0", &set) == 0);
	CHECK(wg_genl_get(kernel, "wg0", &s) == 0);
	CHECK(s.n_peers == 1 && s.peers[0].n_prefixes == PREFIXES);
	wg_genl_snapshot_done(&s);
	peer.remove = true;
	peer.n_prefixes = 0;
	CHECK(wg_genl_set(kernel, "wg0",
			  &(struct wg_genl_set){ .peers = &peer, .n_peers = 1 }) == 0);
	CHECK(wg_genl_get(kernel, "wg0", &s) == 0 && s.n_peers == 0);
	wg_genl_snapshot_done(&s);
}

/* "": the kernel is ready, with an interface wg0. Else why it is not. */
static const char *prepare_kernel(void)
{
	struct netlink *nl = NULL;
	int err;

	if (unshare(CLONE_NEWNET) < 0)
		return "needs root for a network namespace";
	if (wg_genl_open(&kernel) < 0)
		return "this kernel has no WireGuard";
	err = netlink_open(&nl);
	if (err == 0)
		err = netlink_link_create(nl, "wg0", "wireguard");
	netlink_close(nl);
	if (err != 0)
		printf("# cannot make wg0: %s\n", err_text(err));
	return "";
}

int main(void)
{
	const char *reason;

	RUN(merges_a_peer_that_goes_on_in_the_next_message);
	RUN(refuses_what_has_the_wrong_size);
	RUN(refuses_a_peer_without_a_key);
	RUN(reads_what_concerns_the_device_and_skips_its_private_key);
	RUN(splits_a_long_list_of_prefixes_and_empties_it_once);
	RUN(tells_many_peers_in_small_pieces);
	RUN(splits_many_peers_and_loses_none);
	reason = prepare_kernel();
	if (reason[0]) {
		printf("ok %d - the kernel's own answers # SKIP %s\n", ++test_number, reason);
		return DONE();
	}
	RUN(kernel_names_an_interface_that_is_not_there);
	RUN(kernel_refuses_an_interface_of_another_kind);
	RUN(kernel_says_that_a_name_is_taken);
	RUN(kernel_takes_many_peers_and_gives_back_all_of_them);
	RUN(kernel_splits_a_peer_of_many_prefixes_and_it_comes_back_whole);
	wg_genl_close(kernel);
	return DONE();
}
