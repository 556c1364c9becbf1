/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own; nft itself is asked what it holds. */
#include <stdio.h>
#include <string.h>

#include <sched.h>
#include <unistd.h>

#include "../test.h"
#include "net/nft.h"
#include "sys/program.h"

static struct ip_prefix subnets[2];

static int place(const char *interface, size_t n, struct diag *d)
{
	const struct nft_gateway g = {
		.interface = interface, .subnets = subnets, .n = n, .port = 51820
	};

	return nft_gateway(&g, d);
}

static const char *ruleset(void)
{
	static const char *const argv[] = { "nft", "list", "ruleset", NULL };
	static struct program_result result;

	CHECK(program_run("/usr/sbin/nft", argv, "", 0, UINT64_C(10000000000), &result) == 0);
	return result.out;
}

static void makes_a_table_name_nft_takes(void)
{
	char name[NFT_TABLE_NAME_MAX];

	nft_table_name("wg0", name);
	CHECK(strcmp(name, "culvert_wg0") == 0);
	nft_table_name("a.b-c\"{}", name);
	CHECK(strcmp(name, "culvert_a.b-c___") == 0);
}

static void masquerades_both_families_and_clamps_segments(void)
{
	struct diag d = { 0 };
	const char *rules;

	CHECK(place("wg0", 2, &d) == 0);
	rules = ruleset();
	CHECK(strstr(rules, "table inet culvert_wg0 {"));
	CHECK(strstr(rules, "ip saddr 10.0.1.0/24 oifname != \"wg0\" masquerade"));
	CHECK(strstr(rules, "ip6 saddr fd42:4242:1::/64 oifname != \"wg0\" masquerade"));
	CHECK(strstr(rules, "iifname \"wg0\" tcp flags syn tcp option maxseg size set rt mtu"));
	CHECK(strstr(rules, "oifname \"wg0\" tcp flags syn tcp option maxseg size set rt mtu"));
}

static void a_second_time_replaces_the_first(void)
{
	struct diag d = { 0 };
	const char *first;

	CHECK(place("wg0", 1, &d) == 0);
	first = strstr(ruleset(), "masquerade\n");
	CHECK(first && !strstr(first + 1, "masquerade\n"));
}

static void translated_flows_stay_on_the_larger_side_of_the_port_of_the_tunnel(void)
{
	static const struct {
		uint16_t port;
		const char *range;
	} cases[] = { { 51820, ":1024-51819" }, { 65535, ":1024-65534" },
		      { 33280, ":1024-33279" }, { 33279, ":33280-65535" },
		      { 1024, ":1025-65535" },	{ 443, ":1024-65535" } };
	struct nft_gateway g = { .interface = "wg0", .subnets = subnets, .n = 2 };
	struct diag d = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[64];
		const char *first;

		g.port = cases[i].port;
		snprintf(expected, sizeof(expected),
			 "meta l4proto { tcp, udp } masquerade to %s\n", cases[i].range);
		CHECK(nft_gateway(&g, &d) == 0);
		first = strstr(ruleset(), expected);
		CHECK(first && strstr(first + 1, expected));
	}
}

static void isolation_is_there_when_asked_for_and_gone_again(void)
{
	struct nft_gateway g = {
		.interface = "wg0", .subnets = subnets, .n = 2, .port = 51820, .isolate = true
	};
	struct diag d = { 0 };

	CHECK(nft_gateway(&g, &d) == 0);
	CHECK(strstr(ruleset(), "iifname \"wg0\" oifname \"wg0\" drop"));
	g.isolate = false;
	CHECK(nft_gateway(&g, &d) == 0);
	CHECK(!strstr(ruleset(), "drop"));
}

static void removing_leaves_other_tables_alone_and_may_be_repeated(void)
{
	struct diag d = { 0 };

	CHECK(place("wg1", 2, &d) == 0);
	CHECK(nft_remove("wg0", &d) == 0);
	CHECK(!strstr(ruleset(), "culvert_wg0") && strstr(ruleset(), "culvert_wg1"));
	CHECK(nft_remove("wg0", &d) == 0);
	CHECK(nft_remove("wg1", &d) == 0);
	CHECK(strcmp(ruleset(), "") == 0);
}

static void an_odd_interface_name_stays_a_name(void)
{
	struct diag d = { 0 };

	CHECK(place("a\"}]-$(x)", 2, &d) != 0 || strstr(ruleset(), "masquerade"));
	CHECK(nft_remove("a\"}]-$(x)", &d) == 0);
	CHECK(strcmp(ruleset(), "") == 0);
}

static void a_refusal_carries_the_reason_of_nft(void)
{
	static const char bad[] =
		"{\"nftables\":[{\"add\":{\"table\":{\"family\":\"inet\",\"name\":\"x\"}}},"
		"{\"add\":{\"chain\":{\"family\":\"inet\",\"table\":\"nowhere\",\"name\":\"c\"}}}]}";
	struct diag d = { 0 };

	CHECK(nft_run(bad, sizeof(bad) - 1, &d) == ERR_UNKNOWN);
	CHECK(strncmp(d.text, "nft: ", 5) == 0 && strstr(d.text, "No such file"));
	CHECK(strcmp(ruleset(), "") ==
	      0); /* all or none: the first table is not there either */
}

int main(void)
{
	struct diag d = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespaces for this user\n");
		return 0;
	}
	if (access("/usr/sbin/nft", X_OK) < 0 || nft_remove("none", &d) < 0) {
		printf("1..0 # SKIP nft does not work here: %s\n", d.text);
		return 0;
	}
	if (ip_prefix_parse("10.0.1.0/24", true, &subnets[0]) < 0 ||
	    ip_prefix_parse("fd42:4242:1::/64", true, &subnets[1]) < 0)
		return 1;
	RUN(makes_a_table_name_nft_takes);
	RUN(masquerades_both_families_and_clamps_segments);
	RUN(a_second_time_replaces_the_first);
	RUN(translated_flows_stay_on_the_larger_side_of_the_port_of_the_tunnel);
	RUN(isolation_is_there_when_asked_for_and_gone_again);
	RUN(removing_leaves_other_tables_alone_and_may_be_repeated);
	RUN(an_odd_interface_name_stays_a_name);
	RUN(a_refusal_carries_the_reason_of_nft);
	return DONE();
}
