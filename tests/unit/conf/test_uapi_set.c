/* SPDX-License-Identifier: Apache-2.0 */
/* Set requests: what each key does, what is refused and why, and that nothing is lost. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "conf/uapi.h"

#define KEY_A "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
#define KEY_B "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static int add(struct uapi_set *set, const char *line, struct diag *d)
{
	return uapi_set_line(set, line, strlen(line), d);
}

/* Add the lines of a text; the first refusal ends it. */
static int add_all(struct uapi_set *set, const char *text, struct diag *d)
{
	int err = 0;

	while (*text && !err) {
		size_t len = strcspn(text, "\n");

		err = uapi_set_line(set, text, len, d);
		text += len + (text[len] == '\n');
	}
	return err;
}

static bool holds_prefix(const struct uapi_allowed_ip *ip, const char *text, bool remove)
{
	char out[ADDR_TEXT_MAX];

	return strcmp(ip_prefix_format(&ip->prefix, out), text) == 0 && ip->remove == remove;
}

static void reads_every_device_key(void)
{
	struct uapi_set set = { 0 };
	struct diag d;

	CHECK(add_all(&set,
		      "private_key=" KEY_A "\nlisten_port=51820\nfwmark=4294967295\n"
		      "replace_peers=true",
		      &d) == 0);
	CHECK(set.has_private_key && set.private_key.b[0] == 0xa1 &&
	      set.private_key.b[31] == 0x90);
	CHECK(set.has_listen_port && set.listen_port == 51820);
	CHECK(set.has_fwmark && set.fwmark == UINT32_MAX);
	CHECK(set.replace_peers && set.n_peers == 0);
	CHECK(add(&set, "private_key=" ZEROS, &d) == 0 && set.private_key.b[0] == 0);
	CHECK(set.has_private_key); /* zero means: clear it */
	uapi_set_done(&set);
}

static void reads_every_peer_key(void)
{
	struct uapi_set set = { 0 };
	struct uapi_set_peer *p;
	struct diag d;

	CHECK(add_all(&set,
		      "public_key=" KEY_A "\nremove=true\nupdate_only=true\n"
		      "preshared_key=" KEY_B "\nendpoint=[2001:db8::1]:9\n"
		      "persistent_keepalive_interval=65535\nreplace_allowed_ips=true\n"
		      "allowed_ip=10.9.8.7/8\nallowed_ip=-::/0\nprotocol_version=1\n"
		      "culvert_budget_bytes=18446744073709551615\nculvert_rate_bps=7\n"
		      "culvert_greatest_timestamp=400000000000000a00000001",
		      &d) == 0);
	CHECK(set.n_peers == 1 && set.n_allowed_ips == 2);
	p = &set.peers[0];
	CHECK(p->public_key[0] == 0xa1 && p->remove && p->update_only &&
	      p->replace_allowed_ips);
	CHECK(p->has_preshared_key && p->preshared_key.b[31] == 0xff);
	CHECK(p->has_endpoint && p->endpoint.port == 9 && p->endpoint.ip.family == ADDR_V6);
	CHECK(p->has_keepalive && p->keepalive.hi == 65535);
	CHECK(p->first_allowed_ip == 0 && p->n_allowed_ips == 2);
	CHECK(holds_prefix(&set.allowed_ips[0], "10.0.0.0/8", false));
	CHECK(holds_prefix(&set.allowed_ips[1], "::/0", true));
	CHECK(p->has_budget && p->budget_bytes == UINT64_MAX && p->has_rate &&
	      p->rate_bps == 7);
	CHECK(p->has_greatest_timestamp && p->greatest_timestamp[0] == 0x40 &&
	      p->greatest_timestamp[11] == 1);
	uapi_set_done(&set);
}

static void leaves_unset_what_the_request_does_not_say(void)
{
	struct uapi_set set = { 0 };
	const struct uapi_set_peer *p;
	struct diag d;

	CHECK(add(&set, "public_key=" KEY_A, &d) == 0);
	p = &set.peers[0];
	CHECK(!set.has_private_key && !set.has_listen_port && !set.has_fwmark &&
	      !set.replace_peers);
	CHECK(!p->remove && !p->update_only && !p->replace_allowed_ips &&
	      !p->has_preshared_key);
	CHECK(!p->has_endpoint && !p->has_keepalive && !p->has_budget && !p->has_rate);
	CHECK(!p->has_greatest_timestamp && p->n_allowed_ips == 0);
	CHECK(p->budget_bytes == UINT64_MAX);
	uapi_set_done(&set);
}

static void gives_each_peer_block_its_own_allowed_ips(void)
{
	struct uapi_set set = { 0 };
	struct diag d;

	CHECK(add_all(&set,
		      "public_key=" KEY_A "\nallowed_ip=10.0.0.1/32\nallowed_ip=10.0.0.2/32\n"
		      "public_key=" KEY_B "\npublic_key=" KEY_A "\nallowed_ip=10.0.0.3/32",
		      &d) == 0);
	CHECK(set.n_peers == 3 && set.n_allowed_ips == 3);
	CHECK(set.peers[0].first_allowed_ip == 0 && set.peers[0].n_allowed_ips == 2);
	CHECK(set.peers[1].first_allowed_ip == 2 && set.peers[1].n_allowed_ips == 0);
	CHECK(set.peers[2].first_allowed_ip == 2 && set.peers[2].n_allowed_ips == 1);
	uapi_set_done(&set);
}

static void takes_the_last_of_a_repeated_key(void)
{
	struct uapi_set set = { 0 };
	struct diag d;

	CHECK(add_all(&set,
		      "listen_port=1\nlisten_port=2\npublic_key=" KEY_A "\npreshared_key=" KEY_B
		      "\npreshared_key=" KEY_A,
		      &d) == 0);
	CHECK(set.listen_port == 2 && set.peers[0].preshared_key.b[0] == 0xa1);
	uapi_set_done(&set);
}

/**
 * struct refusal - A line, and what the reason must say
 * @peer:	Add it after a public_key
 */
struct refusal {
	const char *line;
	const char *reason;
	int code;
	bool peer;
};

static const struct refusal refusals[] = {
	{ "listen_port", "without '='", UAPI_EPROTO, false },
	{ "", "without '='", UAPI_EPROTO, false },
	{ "listen_port=65536", "listen_port: '65536' is not a number from 0 to 65535",
	  UAPI_EINVAL, false },
	{ "listen_port=", "listen_port", UAPI_EINVAL, false },
	{ "listen_port=-1", "listen_port", UAPI_EINVAL, false },
	{ "listen_port=1 ", "listen_port", UAPI_EINVAL, false },
	{ "listen_port=1\r", "'1?'", UAPI_EINVAL, false },
	{ " listen_port=1", "not a key", UAPI_EINVAL, false },
	{ "Listen_port=1", "not a key", UAPI_EINVAL, false },
	{ "fwmark=4294967296", "fwmark", UAPI_EINVAL, false },
	{ "fwmark=0x10", "fwmark", UAPI_EINVAL, false },
	{ "replace_peers=false", "replace_peers: 'false' is not 'true'", UAPI_EINVAL, false },
	{ "replace_peers=", "replace_peers", UAPI_EINVAL, false },
	{ "private_key=00", "private_key", UAPI_EINVAL, false },
	{ "private_key=" ZEROS "0", "private_key", UAPI_EINVAL, false },
	{ "colour=red", "colour: not a key", UAPI_EINVAL, false },
	{ "get=1", "get: not a key", UAPI_EINVAL, false },
	{ "endpoint=1.2.3.4:5", "endpoint: belongs to a peer", UAPI_EINVAL, false },
	{ "allowed_ip=1.2.3.4/32", "belongs to a peer", UAPI_EINVAL, false },
	{ "culvert_rate_bps=1", "belongs to a peer", UAPI_EINVAL, false },
	{ "public_key=" ZEROS "00", "public_key", UAPI_EINVAL, false },
	{ "listen_port=1", "listen_port: belongs to the device", UAPI_EINVAL, true },
	{ "private_key=" ZEROS, "belongs to the device", UAPI_EINVAL, true },
	{ "remove=1", "remove: '1' is not 'true'", UAPI_EINVAL, true },
	{ "update_only=True", "update_only", UAPI_EINVAL, true },
	{ "replace_allowed_ips=false", "replace_allowed_ips", UAPI_EINVAL, true },
	{ "protocol_version=2", "protocol_version: the only version is 1", UAPI_EINVAL, true },
	{ "protocol_version=01", "protocol_version", UAPI_EINVAL, true },
	{ "persistent_keepalive_interval=65536", "persistent_keepalive", UAPI_EINVAL, true },
	{ "persistent_keepalive_interval=off", "persistent_keepalive", UAPI_EINVAL, true },
	{ "allowed_ip=10.0.0.1", "allowed_ip: '10.0.0.1' is not", UAPI_EINVAL, true },
	{ "allowed_ip=--10.0.0.1/32", "allowed_ip", UAPI_EINVAL, true },
	{ "allowed_ip=+10.0.0.1/32", "allowed_ip", UAPI_EINVAL, true },
	{ "allowed_ip=-", "allowed_ip", UAPI_EINVAL, true },
	{ "allowed_ip=", "allowed_ip", UAPI_EINVAL, true },
	{ "allowed_ip=10.0.0.0/33", "allowed_ip", UAPI_EINVAL, true },
	{ "endpoint=vpn.example.com:51820", "endpoint: 'vpn.example.com:51820' is not",
	  UAPI_EINVAL, true },
	{ "endpoint=[fe80::1%eth0]:5", "interface number", UAPI_EINVAL, true },
	{ "endpoint=[fe80::1%]:5", "interface number", UAPI_EINVAL, true },
	{ "endpoint=[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:1",
	  "too long", UAPI_EINVAL, true },
	{ "culvert_drops=1", "culvert_drops: can be read, not set", UAPI_EINVAL, true },
	{ "culvert_handshake_failures=1", "can be read", UAPI_EINVAL, true },
	{ "rx_bytes=1", "can be read", UAPI_EINVAL, true },
	{ "culvert_greatest_timestamp=00", "24 hex digits", UAPI_EINVAL, true },
	{ "culvert_budget_bytes=18446744073709551616", "culvert_budget_bytes", UAPI_EINVAL,
	  true },
};

static void refuses_with_a_reason_and_stays_as_it_was(void)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];
		struct uapi_set set = { 0 }, before;
		struct uapi_set_peer peer_before;
		struct diag d = { 0 };
		int code;

		if (r->peer)
			CHECK(add(&set, "public_key=" KEY_A, &d) == 0);
		before = set;
		if (r->peer)
			peer_before = set.peers[0];
		code = add(&set, r->line, &d);
		CHECK(code == r->code);
		CHECK(strstr(d.text, r->reason));
		if (code != r->code || !strstr(d.text, r->reason))
			printf("# '%s': %d, '%s'\n", r->line, code, d.text);
		CHECK(memcmp(&set, &before, sizeof(set)) == 0);
		if (r->peer)
			CHECK(memcmp(&set.peers[0], &peer_before, sizeof(peer_before)) == 0);
		uapi_set_done(&set);
	}
}

static void never_shows_a_secret_in_a_reason(void)
{
	static const char *const lines[] = {
		"private_key=Sesame",
		"private_key=" KEY_A "Sesame",
		"SesameSesameSesameSesameSesameSesame=",
		"Sesame",
		"preshared_key=Sesame",
	};
	struct uapi_set set = { 0 };
	struct diag d;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		d.text[0] = '\0';
		if (i == 4)
			CHECK(add(&set, "public_key=" KEY_A, &d) == 0);
		CHECK(add(&set, lines[i], &d) != 0);
		CHECK(d.text[0] && !strstr(d.text, "Sesame") && !strstr(d.text, "a1b2"));
	}
	uapi_set_done(&set);
}

static void refuses_nul_characters_and_overlong_lines(void)
{
	static char line[UAPI_LINE_MAX + 1];
	struct uapi_set set = { 0 };
	struct diag d;

	CHECK(uapi_set_line(&set, "listen_port=1\0", 14, &d) == UAPI_EPROTO);
	memset(line, '0', sizeof(line));
	memcpy(line, "fwmark=", 7);
	CHECK(uapi_set_line(&set, line, UAPI_LINE_MAX, &d) == 0);
	CHECK(uapi_set_line(&set, line, UAPI_LINE_MAX + 1, &d) == UAPI_EPROTO);
	CHECK(uapi_set_line(&set, line, UAPI_LINE_MAX + 1, NULL) == UAPI_EPROTO);
	uapi_set_done(&set);
}

static uint32_t zone_of(const char *name)
{
	return strcmp(name, "eth0") == 0 ? 42 : 0;
}

static void asks_the_caller_for_the_number_of_a_named_zone(void)
{
	struct uapi_set set = { .zone_index = zone_of };
	struct diag d;

	CHECK(add(&set, "public_key=" KEY_A, &d) == 0);
	CHECK(add(&set, "endpoint=[fe80::1%eth0]:5", &d) == 0);
	CHECK(set.peers[0].endpoint.scope == 42 && set.peers[0].endpoint.port == 5);
	CHECK(add(&set, "endpoint=[fe80::1%7]:5", &d) == 0 && set.peers[0].endpoint.scope == 7);
	CHECK(add(&set, "endpoint=[fe80::1%eth1]:5", &d) == UAPI_EINVAL);
	CHECK(strstr(d.text, "no interface"));
	CHECK(add(&set, "endpoint=[::ffff:1.2.3.4%eth0]:5", &d) == UAPI_EINVAL);
	CHECK(set.peers[0].endpoint.scope == 7);
	uapi_set_done(&set);
}

static const char canonical[] =
	"set=1\nprivate_key=" KEY_A "\nlisten_port=0\nfwmark=51820\nreplace_peers=true\n"
	"public_key=" KEY_B "\nremove=true\nallowed_ip=192.0.2.0/24\n"
	"public_key=" KEY_A "\nupdate_only=true\npreshared_key=" ZEROS
	"\nendpoint=192.0.2.1:1\n"
	"persistent_keepalive_interval=0\nreplace_allowed_ips=true\nallowed_ip=0.0.0.0/0\n"
	"allowed_ip=-2001:db8::/32\nculvert_budget_bytes=0\nculvert_rate_bps=0\n"
	"culvert_greatest_timestamp=000000000000000000000000\n\n";

static void writes_a_request_that_reads_the_same(void)
{
	struct uapi_set set = { 0 };
	struct text out = { 0 };
	struct diag d;

	CHECK(add_all(&set, canonical + strlen("set=1\n"), &d) ==
	      UAPI_EPROTO); /* the empty line */
	CHECK(set.n_peers == 2 && set.n_allowed_ips == 3);
	uapi_write_set(&out, &set);
	CHECK(out.err == 0 && strcmp(out.data, canonical) == 0);
	text_done(&out);
	uapi_set_done(&set);
}

static void holds_a_request_of_many_peers(void)
{
	enum { PEERS = 20000 };
	struct uapi_set set = { 0 };
	struct diag d;
	char line[128];
	bool right = true;

	for (unsigned int i = 0; i < PEERS; i++) {
		snprintf(line, sizeof(line), "public_key=%064x", i);
		right = right && add(&set, line, &d) == 0;
		snprintf(line, sizeof(line), "preshared_key=%064x", i + 1);
		right = right && add(&set, line, &d) == 0;
		snprintf(line, sizeof(line), "allowed_ip=10.%u.%u.%u/32", i >> 16, i >> 8 & 255,
			 i & 255);
		right = right && add(&set, line, &d) == 0;
	}
	CHECK(right && set.n_peers == PEERS && set.n_allowed_ips == PEERS);
	for (unsigned int i = 0; i < PEERS; i++) {
		const struct uapi_set_peer *p = &set.peers[i];
		const struct uapi_allowed_ip *ip = &set.allowed_ips[p->first_allowed_ip];

		right = right && p->public_key[31] == (i & 255) && p->n_allowed_ips == 1;
		right = right && p->preshared_key.b[31] == ((i + 1) & 255);
		right = right && ip->prefix.ip.b[3] == (i & 255) &&
			ip->prefix.ip.b[2] == (i >> 8 & 255);
	}
	CHECK(right);
	uapi_set_done(&set);
	CHECK(set.peers == NULL && set.n_peers == 0);
}

static void bounds_the_peers_and_prefixes_of_one_request(void)
{
	struct uapi_set set = { .n_peers = UAPI_PEERS_MAX, .peers_capacity = UAPI_PEERS_MAX };
	struct uapi_set_peer one = { 0 };
	struct diag d;

	CHECK(add(&set, "public_key=" KEY_A, &d) == UAPI_EOTHER && strstr(d.text, "1048576"));
	set = (struct uapi_set){ .peers = &one,
				 .n_peers = 1,
				 .peers_capacity = 1,
				 .n_allowed_ips = UAPI_ALLOWED_IPS_MAX,
				 .allowed_ips_capacity = UAPI_ALLOWED_IPS_MAX };
	CHECK(add(&set, "allowed_ip=1.2.3.4/32", &d) == UAPI_EOTHER &&
	      strstr(d.text, "4194304"));
	CHECK(one.n_allowed_ips == 0);
}

int main(void)
{
	RUN(reads_every_device_key);
	RUN(reads_every_peer_key);
	RUN(leaves_unset_what_the_request_does_not_say);
	RUN(gives_each_peer_block_its_own_allowed_ips);
	RUN(takes_the_last_of_a_repeated_key);
	RUN(refuses_with_a_reason_and_stays_as_it_was);
	RUN(never_shows_a_secret_in_a_reason);
	RUN(refuses_nul_characters_and_overlong_lines);
	RUN(asks_the_caller_for_the_number_of_a_named_zone);
	RUN(writes_a_request_that_reads_the_same);
	RUN(holds_a_request_of_many_peers);
	RUN(bounds_the_peers_and_prefixes_of_one_request);
	return DONE();
}
