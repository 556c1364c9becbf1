/* SPDX-License-Identifier: Apache-2.0 */
/* nft itself judges every shape of the tables, in a network namespace of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "client/firewall.h"
#include "net/nft.h"
#include "net/nft_look.h"

static struct client_plan p;

static void add_prefix(struct ip_prefix *list, size_t *n, const char *text)
{
	CHECK(ip_prefix_parse(text, true, &list[*n]) == 0);
	(*n)++;
}

static void add_address(const char *text)
{
	CHECK(ip_addr_parse(text, &p.addresses[p.n_addresses].ip) == 0);
	p.addresses[p.n_addresses++].bits = 24;
}

static void begin(enum client_scope scope)
{
	struct endpoint e;

	memset(&p, 0, sizeof(p));
	snprintf(p.interface, sizeof(p.interface), "wg0");
	p.scope = scope;
	p.number = p.mark = 51820;
	p.uid = 1000;
	p.has_ipv6 = p.is_routed = p.has_kill_switch = true;
	p.has_tunnel4 = p.has_tunnel6 = true;
	add_address("10.8.0.2");
	add_address("fd08::2");
	CHECK(endpoint_parse("203.0.113.2:51820", &e) == 0);
	CHECK(client_plan_add_endpoint(&p, &e) == 0);
	CHECK(endpoint_parse("[2001:db8::2]:443", &e) == 0);
	CHECK(client_plan_add_endpoint(&p, &e) == 0);
}

static int apply(void (*put)(struct text *out), struct diag *d)
{
	struct text t = { 0 };
	int err;

	put(&t);
	err = t.err ? t.err : nft_run_text(t.data, t.len, d);
	if (err < 0)
		printf("# %s\n%s\n", d->text, t.data);
	text_done(&t);
	return err;
}

static void put_plan(struct text *out)
{
	client_firewall_put(out, &p);
}

static void put_removal(struct text *out)
{
	client_firewall_put_removal(out, "wg0");
}

static void put_endpoint(struct text *out)
{
	struct endpoint e;

	CHECK(endpoint_parse("[2001:db8::3]:443", &e) == 0);
	client_firewall_put_endpoint(out, "wg0", &e);
}

static bool holds(const char *text)
{
	char list[NFT_LIST_MAX];
	struct diag d = { 0 };

	return nft_list_table("culvert_client_wg0", false, list, &d) == 0 && strstr(list, text);
}

static void nft_takes_every_shape_again_and_again(void)
{
	static const enum client_scope scopes[] = { CLIENT_FULL, CLIENT_SPLIT, CLIENT_USER };
	struct diag d = { 0 };

	for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
		for (int lan = 0; lan < 2; lan++) {
			begin(scopes[i]);
			p.lan = lan;
			add_prefix(p.prefixes, &p.n_prefixes, "10.0.0.0/8");
			add_prefix(p.prefixes, &p.n_prefixes, "10.1.0.0/16"); /* overlaps */
			add_prefix(p.prefixes, &p.n_prefixes, "2001:db8:1::/48");
			add_prefix(p.excludes, &p.n_excludes, "198.51.100.0/24");
			CHECK(apply(put_plan, &d) == 0);
			p.has_kill_switch = false;
			CHECK(apply(put_plan, &d) == 0);
		}
	}
}

/* The tables for a cgroup, whose path nft looks for: the root, where no version 2 is mounted. */
static void nft_takes_the_tables_of_a_cgroup(void)
{
	struct diag d = { 0 };

	begin(CLIENT_CGROUP);
	snprintf(p.cgroup, sizeof(p.cgroup), "%s", ".");
	CHECK(apply(put_plan, &d) == 0);
}

static int run(const char *text)
{
	struct diag d = { 0 };

	return nft_run_text(text, strlen(text), &d);
}

static uint64_t print_now(void)
{
	struct nft_look now;

	CHECK(nft_look("culvert_client_wg0", &now) == 0);
	CHECK((now.print != 0) == now.is_there || now.n_rules);
	return now.print;
}

static void what_is_taken_away_or_put_beside_it_is_seen(void)
{
	struct nft_look now;
	struct diag d = { 0 };
	uint64_t made;
	int fd = nft_look_open();

	begin(CLIENT_FULL);
	CHECK(apply(put_plan, &d) == 0);
	made = print_now();
	CHECK(made != 0 && apply(put_endpoint, &d) == 0 && print_now() == made);
	CHECK(run("add table inet other") == 0 && print_now() == made);
	CHECK(run("insert rule inet culvert_client_wg0 output accept") == 0);
	CHECK(print_now() != made);
	CHECK(apply(put_plan, &d) == 0 && print_now() != made);
	made = print_now();
	CHECK(run("flush chain inet culvert_client_wg0 output") == 0 && print_now() != made);
	CHECK(run("add table inet culvert_client_wg0 { flags dormant; }") == 0);
	CHECK(nft_look("culvert_client_wg0", &now) == 0 && !now.is_there && now.n_rules);
	CHECK(run("flush ruleset") == 0 && print_now() == 0);
	CHECK(fd >= 0);
	nft_look_drain(fd);
	CHECK(run("add table inet other") == 0);
	CHECK(recv(fd, &now, sizeof(now), MSG_DONTWAIT) > 0);
	close(fd);
}

static void the_kill_switch_is_a_policy_and_endpoints_join_it(void)
{
	struct diag d = { 0 };

	begin(CLIENT_FULL);
	CHECK(apply(put_plan, &d) == 0);
	CHECK(holds("203.0.113.2 . 51820") && !holds("2001:db8::3"));
	CHECK(apply(put_endpoint, &d) == 0 && holds("2001:db8::3 . 443"));
}

static void put_lockdown(struct text *out)
{
	client_firewall_put_lockdown(out, true);
}

static void put_no_lockdown(struct text *out)
{
	client_firewall_put_lockdown(out, false);
}

static void lockdown_is_made_again_and_removed_again(void)
{
	char list[NFT_LIST_MAX];
	struct diag d = { 0 };

	CHECK(apply(put_lockdown, &d) == 0 && apply(put_lockdown, &d) == 0);
	CHECK(nft_list_table("culvert_lockdown", false, list, &d) == 0);
	CHECK(apply(put_no_lockdown, &d) == 0 && apply(put_no_lockdown, &d) == 0);
	CHECK(nft_list_table("culvert_lockdown", false, list, &d) == ERR_UNKNOWN);
}

static void removal_needs_no_table(void)
{
	struct diag d = { 0 };

	CHECK(apply(put_removal, &d) == 0 && apply(put_removal, &d) == 0);
	CHECK(!holds("table"));
}

int main(void)
{
	struct diag d = { 0 };

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespaces for this user\n");
		return 0;
	}
	if (nft_remove("none", &d) < 0) {
		printf("1..0 # SKIP nft does not work here: %s\n", d.text);
		return 0;
	}
	RUN(nft_takes_every_shape_again_and_again);
	RUN(nft_takes_the_tables_of_a_cgroup);
	RUN(what_is_taken_away_or_put_beside_it_is_seen);
	RUN(the_kill_switch_is_a_policy_and_endpoints_join_it);
	RUN(lockdown_is_made_again_and_removed_again);
	RUN(removal_needs_no_table);
	return DONE();
}
