/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a network namespace of its own, with datagrams between addresses of its loopback:
 *
 *	10.9.0.2, .3, fd09::2, ::3 (peers) ── lo ── 10.9.0.1, 10.9.1.1, fd09::1 (destinations)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "host/access.h"
#include "net/nft.h"
#include "sys/program.h"

#define SECOND_NS UINT64_C(1000000000)

static struct access a;

static struct ip_addr address(const char *text)
{
	struct ip_addr ip = { .family = ADDR_NONE };

	if (ip_addr_parse(text, &ip) < 0)
		abort();
	return ip;
}

static struct access_rule rule(const char *to, enum access_protocol protocol, uint16_t first,
			       uint16_t last)
{
	struct access_rule r = { .protocol = protocol, .port_first = first, .port_last = last };

	if (ip_prefix_parse(to, true, &r.to) < 0)
		abort();
	return r;
}

static int program(const char *path, const char *const argv[])
{
	static struct program_result result;
	int err = program_run(path, argv, "", 0, 10 * SECOND_NS, &result);

	return err < 0 ? err : result.status;
}

static void fresh_table(void)
{
	struct diag d = { 0 };

	CHECK(access_init(&a, "lo") == 0);
	CHECK(access_stage(&a, &d) == 0 && access_enforce(&a, &d) == 0);
	if (d.text[0])
		printf("# %s\n", d.text);
}

static int change(const char *peer, uint32_t was, uint32_t is)
{
	struct nft_element c = { .key = address(peer), .was = was, .is = is };
	struct diag d = { 0 };

	return access_apply(&a, &c, 1, &d);
}

static socklen_t sockaddr_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					     .sin6_port = htons(port) };
		inet_pton(AF_INET6, text, &v6->sin6_addr);
		return sizeof(*v6);
	}
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, text, &v4->sin_addr);
	return sizeof(*v4);
}

static int bound(const char *text, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t len = sockaddr_of(text, port, &at);
	int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0) {
		printf("# cannot bind %s port %u\n", text, port);
		abort();
	}
	return fd;
}

static bool arrives(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char octet;

	return poll(&p, 1, 100) == 1 && recv(fd, &octet, 1, 0) == 1;
}

/* Loopback delivers before sendto() returns: the wait is for what does not come. */
static bool reaches(const char *from, const char *to, uint16_t port)
{
	struct sockaddr_storage there;
	socklen_t len = sockaddr_of(to, port, &there);
	int sender = bound(from, 0), receiver = bound(to, port);
	bool is_there = sendto(sender, "x", 1, 0, (struct sockaddr *)&there, len) == 1 &&
			arrives(receiver);

	close(sender);
	close(receiver);
	return is_there;
}

static void who_has_no_list_goes_anywhere(void)
{
	fresh_table();
	CHECK(reaches("10.9.0.2", "10.9.0.1", 53));
	CHECK(reaches("fd09::2", "fd09::1", 53));
}

static void a_list_lets_through_what_it_says_and_nothing_else(void)
{
	struct access_rule rules[] = { rule("10.9.0.0/24", ACCESS_UDP, 53, 60),
				       rule("fd09::1/128", ACCESS_UDP, 53, 53),
				       rule("10.9.1.0/24", ACCESS_TCP, 0, 0) };
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 7, rules, 3, &d) == 0);
	CHECK(change("10.9.0.2", 0, 7) == 0 && change("fd09::2", 0, 7) == 0);
	CHECK(!reaches("10.9.0.2", "10.9.0.1", 52) && reaches("10.9.0.2", "10.9.0.1", 53));
	CHECK(reaches("10.9.0.2", "10.9.0.1", 60) && !reaches("10.9.0.2", "10.9.0.1", 61));
	CHECK(!reaches("10.9.0.2", "10.9.1.1", 53));
	CHECK(reaches("fd09::2", "fd09::1", 53) && !reaches("fd09::2", "fd09::1", 54));
	CHECK(reaches("10.9.0.3", "10.9.1.1", 53) && reaches("fd09::3", "fd09::1", 54));
}

static void rules_of_every_protocol_are_taken(void)
{
	struct access_rule rules[] = { rule("0.0.0.0/0", ACCESS_ANY, 0, 0),
				       rule("::/0", ACCESS_ICMP, 0, 0),
				       rule("10.0.0.0/8", ACCESS_ICMP, 0, 0),
				       rule("fd00::/8", ACCESS_TCP, 1, 65535) };
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, UINT32_MAX, rules, 4, &d) == 0);
	CHECK(change("10.9.0.2", 0, UINT32_MAX) == 0 && change("fd09::2", 0, UINT32_MAX) == 0);
	CHECK(reaches("10.9.0.2", "10.9.1.1", 9) && !reaches("fd09::2", "fd09::1", 9));
}

static void answers_go_back_to_whoever_came(void)
{
	struct sockaddr_storage from, peer;
	socklen_t len = sockaddr_of("10.9.0.1", 1111, &from);
	socklen_t peer_len = sockaddr_of("10.9.0.2", 2222, &peer);
	int outside = bound("10.9.0.1", 1111), inside = bound("10.9.0.2", 2222);
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 1, NULL, 0, &d) == 0);
	CHECK(change("10.9.0.2", 0, 1) == 0);
	CHECK(!reaches("10.9.0.2", "10.9.0.1", 1112));
	CHECK(sendto(outside, "x", 1, 0, (struct sockaddr *)&peer, peer_len) == 1);
	CHECK(arrives(inside));
	CHECK(sendto(inside, "x", 1, 0, (struct sockaddr *)&from, len) == 1);
	CHECK(arrives(outside));
	close(outside);
	close(inside);
}

static void a_list_and_who_has_it_may_change(void)
{
	struct access_rule dns = rule("10.9.0.1/32", ACCESS_UDP, 53, 53),
			   web = rule("10.9.0.1/32", ACCESS_UDP, 80, 80);
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 1, &dns, 1, &d) == 0);
	CHECK(access_set_list(&a, 2, &web, 1, &d) == 0);
	CHECK(change("10.9.0.2", 0, 1) == 0);
	CHECK(reaches("10.9.0.2", "10.9.0.1", 53) && !reaches("10.9.0.2", "10.9.0.1", 80));
	CHECK(change("10.9.0.2", 1, 2) == 0);
	CHECK(!reaches("10.9.0.2", "10.9.0.1", 53) && reaches("10.9.0.2", "10.9.0.1", 80));
	CHECK(access_set_list(&a, 2, &dns, 1, &d) == 0);
	CHECK(reaches("10.9.0.2", "10.9.0.1", 53) && !reaches("10.9.0.2", "10.9.0.1", 80));
	CHECK(access_remove_list(&a, 2, &d) == 0);
	CHECK(!reaches("10.9.0.2", "10.9.0.1", 53)); /* it still has that number */
	CHECK(change("10.9.0.2", 2, 0) == 0);
	CHECK(reaches("10.9.0.2", "10.9.0.1", 80));
	CHECK(access_remove_list(&a, 2, &d) == ERR_UNKNOWN);
}

static void a_wrong_picture_changes_nothing(void)
{
	struct nft_element both[] = { { .key = address("10.9.0.3"), .is = 1 },
				      { .key = address("10.9.0.2"), .was = 1 } };
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 1, NULL, 0, &d) == 0);
	CHECK(access_apply(&a, both, 2, &d) == ERR_UNKNOWN && d.text[0]);
	CHECK(reaches("10.9.0.3", "10.9.0.1", 53));
	CHECK(change("10.9.0.3", 0, 1) == 0);
	CHECK(change("10.9.0.3", 0, 1) == ERR_UNKNOWN &&
	      change("10.9.0.3", 0, 2) == ERR_UNKNOWN);
	CHECK(!reaches("10.9.0.3", "10.9.0.1", 53));
}

/* A connection that stands is cut when its list no longer has it. */
static void a_list_that_changes_counts_for_connections_that_stand(void)
{
	struct access_rule any = rule("0.0.0.0/0", ACCESS_ANY, 0, 0);
	struct sockaddr_storage there, peer;
	socklen_t len = sockaddr_of("10.9.0.1", 1113, &there);
	socklen_t peer_len = sockaddr_of("10.9.0.2", 2224, &peer);
	int outside = bound("10.9.0.1", 1113), inside = bound("10.9.0.2", 2224);
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 1, &any, 1, &d) == 0 && change("10.9.0.2", 0, 1) == 0);
	CHECK(sendto(inside, "x", 1, 0, (struct sockaddr *)&there, len) == 1 &&
	      arrives(outside));
	CHECK(sendto(outside, "x", 1, 0, (struct sockaddr *)&peer, peer_len) == 1);
	CHECK(arrives(inside));
	CHECK(access_set_list(&a, 1, NULL, 0, &d) == 0);
	CHECK(sendto(inside, "x", 1, 0, (struct sockaddr *)&there, len) == 1 &&
	      !arrives(outside));
	close(outside);
	close(inside);
}

static void a_new_table_counts_when_it_is_whole(void)
{
	struct access_rule dns = rule("10.9.0.1/32", ACCESS_UDP, 53, 53),
			   web = rule("10.9.0.1/32", ACCESS_UDP, 80, 80);
	struct access again;
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 1, &dns, 1, &d) == 0 && change("10.9.0.2", 0, 1) == 0);
	CHECK(access_init(&again, "lo") == 0); /* another process */
	CHECK(again.in_force == a.in_force && access_stage(&again, &d) == 0);
	CHECK(access_set_list(&again, 1, &web, 1, &d) == 0);
	a = again;
	CHECK(change("10.9.0.2", 0, 1) == 0 && change("10.9.0.3", 0, 1) == 0);
	CHECK(reaches("10.9.0.2", "10.9.0.1", 53) && !reaches("10.9.0.2", "10.9.0.1", 80));
	CHECK(reaches("10.9.0.3", "10.9.0.1", 53));
	CHECK(access_enforce(&a, &d) == 0 && access_check(&a) == 0);
	CHECK(!reaches("10.9.0.2", "10.9.0.1", 53) && reaches("10.9.0.2", "10.9.0.1", 80));
	CHECK(!reaches("10.9.0.3", "10.9.0.1", 53));
	CHECK(access_enforce(&a, &d) == ERR_UNKNOWN);
}

static void a_table_that_somebody_removed_is_missed(void)
{
	const char *flush[] = { "nft", "flush", "ruleset", NULL };
	struct diag d = { 0 };

	fresh_table();
	CHECK(program("/usr/sbin/nft", flush) == 0);
	CHECK(change("10.9.0.2", 0, 1) == ERR_UNKNOWN);
	CHECK(access_check(&a) == ERR_UNKNOWN && access_check(&a) == ERR_UNKNOWN);
	CHECK(access_set_list(&a, 1, NULL, 0, &d) == ERR_UNKNOWN);
	fresh_table();
	CHECK(access_check(&a) == 0 && access_clear(&a, &d) == 0);
	CHECK(access_check(&a) == ERR_UNKNOWN);
}

static void a_table_that_cannot_be_looked_for_is_not_taken_for_absent(void)
{
	struct rlimit before, none;
	struct access again;

	fresh_table();
	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK(access_init(&again, "lo") == -EMFILE && !again.interface);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	CHECK(access_init(&again, "lo") == 0 && again.in_force == a.in_force);
}

static bool lists_contain(const char *word)
{
	static char list[NFT_LIST_MAX];
	struct diag d = { 0 };
	char table[NFT_TABLE_NAME_MAX];

	nft_lists_name("lo", a.in_force, table);
	return nft_list_table(table, false, list, &d) == 0 && strstr(list, word);
}

static void what_was_made_is_as_nft_reads_it(void)
{
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 300, NULL, 0, &d) == 0);
	CHECK(change("10.9.0.2", 0, 300) == 0 && change("fd09::2", 0, 300) == 0);
	CHECK(lists_contain("10.9.0.2 : 0x0000012c") && lists_contain("fd09::2 : 0x0000012c"));
	CHECK(lists_contain("0x0000012c : goto list_300"));
	CHECK(nft_remove("lo", &d) == 0 && !lists_contain("list"));
}

static void what_cannot_be_is_refused_with_its_place(void)
{
	struct access_rule rules[] = { rule("10.0.0.0/8", ACCESS_TCP, 1, 1),
				       rule("10.0.0.0/8", ACCESS_TCP, 2, 1) };
	struct nft_element nobody = { .is = 1 };
	struct diag d = { 0 };

	fresh_table();
	CHECK(access_set_list(&a, 1, rules, 2, &d) == ERR_RANGE && strstr(d.text, "rule 2 "));
	CHECK(access_set_list(&a, 0, rules, 1, &d) == ERR_RANGE);
	CHECK(access_set_list(&a, 1, rules, ACCESS_RULES_MAX + 1, &d) == ERR_RANGE);
	rules[0].to.bits = 33;
	CHECK(access_set_list(&a, 1, rules, 1, &d) == ERR_RANGE);
	CHECK(access_apply(&a, &nobody, 1, &d) == ERR_RANGE);
	CHECK(access_apply(&a, &nobody, ACCESS_CHANGES_MAX + 1, &d) == ERR_RANGE);
}

/* --- how much a change costs --- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static struct ip_addr peer_number(size_t i)
{
	struct ip_addr ip = { .family = ADDR_V4,
			      .b = { 11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i } };

	return ip;
}

static void fill(size_t from, size_t to)
{
	static struct nft_element some[ACCESS_CHANGES_MAX];
	struct diag d = { 0 };

	while (from < to) {
		size_t n = 0;

		while (n < ACCESS_CHANGES_MAX && from < to)
			some[n++] = (struct nft_element){ .key = peer_number(from++), .is = 1 };
		CHECK(access_apply(&a, some, n, &d) == 0);
	}
}

/* Does the kernel hold to it? That is seen when a map is full: of addresses, since nobody has time
 * for as many lists. */
static void more_addresses_than_there_may_be_are_refused(void)
{
	char addresses[32], lists[32];
	struct diag d = { 0 };

	snprintf(addresses, sizeof(addresses), "size %d", ACCESS_ADDRESSES_MAX);
	snprintf(lists, sizeof(lists), "size %d", ACCESS_LISTS_MAX);
	fresh_table();
	CHECK(lists_contain(addresses) && lists_contain(lists));
	if (!getenv("CULVERT_SOAK")) {
		printf("# scale: only looked at, not filled\n");
		return;
	}
	fill(0, ACCESS_ADDRESSES_MAX);
	CHECK(change("10.9.0.2", 0, 1) == ERR_EXHAUSTED);
	CHECK(change("11.0.0.1", 1, 2) == 0); /* which is in there */
	CHECK(change("11.0.0.1", 2, 0) == 0 && change("10.9.0.2", 0, 1) == 0);
	CHECK(access_clear(&a, &d) == 0);
}

/* The quickest of some: what others do on this machine only adds. */
static uint64_t one_change_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 20; i++) {
		uint64_t began = now_ns(), took;

		CHECK(change("10.9.0.2", i % 2 ? 1 : 0, i % 2 ? 0 : 1) == 0);
		took = now_ns() - began;
		best = took < best ? took : best;
	}
	return best;
}

static void one_change_costs_the_same_among_many(void)
{
	size_t many = getenv("CULVERT_SOAK") ? 100000 : 10000;
	uint64_t few_ns, many_ns, began;
	struct diag d = { 0 };

	printf("# scale: %zu peers of 100000\n", many);
	fresh_table();
	CHECK(access_set_list(&a, 1, NULL, 0, &d) == 0);
	fill(0, 100);
	few_ns = one_change_ns();
	began = now_ns();
	fill(100, many);
	printf("# %.0f peers a second in batches of %d\n",
	       (double)(many - 100) * 1e9 / (double)(now_ns() - began), ACCESS_CHANGES_MAX);
	many_ns = one_change_ns();
	printf("# one change: %.3f ms among 100, %.3f ms among %zu\n", (double)few_ns / 1e6,
	       (double)many_ns / 1e6, many);
	/* What else this machine does must not decide; in proportion it would be a hundred times. */
	CHECK(many_ns < 4 * few_ns && many_ns < SECOND_NS / 50);
}

/* The host does nothing else meanwhile. */
static void a_list_takes_milliseconds(void)
{
	static struct access_rule rules[ACCESS_RULES_MAX];
	struct diag d = { 0 };

	for (size_t i = 0; i < ACCESS_RULES_MAX; i++)
		rules[i] = rule(i % 2 ? "10.9.0.0/24" : "fd09::/64", ACCESS_TCP,
				(uint16_t)(i + 1), (uint16_t)(i + 9));
	fresh_table();
	for (size_t n = 1; n <= ACCESS_RULES_MAX; n *= 16) {
		uint64_t began = now_ns(), took;

		CHECK(access_set_list(&a, 1, rules, n, &d) == 0);
		took = now_ns() - began;
		printf("# a list of %zu rules: %.1f ms\n", n, (double)took / 1e6);
		CHECK(took < SECOND_NS);
	}
}

static bool prepare(void)
{
	static const char *const addresses[] = { "10.9.0.1/32", "10.9.1.1/32", "10.9.0.2/32",
						 "10.9.0.3/32", "fd09::1/128", "fd09::2/128",
						 "fd09::3/128" };
	const char *up[] = { "ip", "link", "set", "lo", "up", NULL };
	bool is_done = program("/usr/sbin/ip", up) == 0;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const char *add[] = { "ip", "address", "add", addresses[i], "dev", "lo", NULL };

		is_done = is_done && program("/usr/sbin/ip", add) == 0;
	}
	return is_done;
}

int main(void)
{
	struct diag d = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespaces for this user\n");
		return 0;
	}
	if (nft_remove("none", &d) < 0 || !prepare()) {
		printf("1..0 # SKIP nft or ip does not work here: %s\n", d.text);
		return 0;
	}
	RUN(who_has_no_list_goes_anywhere);
	RUN(a_list_lets_through_what_it_says_and_nothing_else);
	RUN(rules_of_every_protocol_are_taken);
	RUN(answers_go_back_to_whoever_came);
	RUN(a_list_and_who_has_it_may_change);
	RUN(a_list_that_changes_counts_for_connections_that_stand);
	RUN(a_new_table_counts_when_it_is_whole);
	RUN(a_table_that_somebody_removed_is_missed);
	RUN(a_table_that_cannot_be_looked_for_is_not_taken_for_absent);
	RUN(what_was_made_is_as_nft_reads_it);
	RUN(a_wrong_picture_changes_nothing);
	RUN(what_cannot_be_is_refused_with_its_place);
	RUN(a_list_takes_milliseconds);
	RUN(more_addresses_than_there_may_be_are_refused);
	RUN(one_change_costs_the_same_among_many);
	return DONE();
}
