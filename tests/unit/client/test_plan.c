/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "client/plan.h"

#define KEY "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="

static struct client_plan p;
static struct wgconf conf;

/* Parse and decide; the file stays in @conf until the next. */
static int make(const char *address, const char *allowed, const char *more,
		const struct client_options *options, bool has_ipv6)
{
	char text[1024];
	struct diag d = { 0 };

	wgconf_done(&conf);
	memset(&conf, 0, sizeof(conf));
	snprintf(text, sizeof(text),
		 "[Interface]\nPrivateKey = " KEY "\nAddress = %s\n%s\n[Peer]\nPublicKey = " KEY
		 "\nAllowedIPs = %s\nEndpoint = 203.0.113.2:51820\n",
		 address, more, allowed);
	if (wgconf_parse(text, strlen(text), &conf, &d) < 0) {
		printf("# %s\n", d.text);
		return -1;
	}
	return client_plan_make(&p, "wg0", &conf, options, has_ipv6, &d);
}

static void put_rules(struct text *out)
{
	struct netlink_rule r;
	char to[ADDR_TEXT_MAX];

	for (size_t i = 0; client_plan_rule(&p, i, &r); i++)
		text_printf(out, "%s%u:%u mark %u/%u to %s suppress %d uid %d -> %u\n",
			    r.invert ? "not " : "", r.family, r.priority, r.mark, r.mask,
			    r.to.ip.family ? ip_prefix_format(&r.to, to) : "any",
			    r.suppress_bits, r.has_uid ? (int)r.uid : -1, r.table);
}

static void put_routes(struct text *out)
{
	struct netlink_route r;
	char to[ADDR_TEXT_MAX];

	for (size_t i = 0; client_plan_route(&p, i, &r); i++)
		text_printf(out, "%s%s table %u\n", r.is_unreachable ? "unreachable " : "",
			    ip_prefix_format(&r.destination, to), r.table);
}

static bool gives(void (*put)(struct text *out), const char *expected)
{
	struct text t = { 0 };
	bool same;

	put(&t);
	same = strcmp(t.data ? t.data : "", expected) == 0;
	if (!same)
		printf("# %s\n", t.data ? t.data : "nothing");
	text_done(&t);
	return same;
}

static void a_default_route_of_one_family_takes_both(void)
{
	const struct client_options none = { .lan = false };

	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &none, true) == 0);
	CHECK(p.scope == CLIENT_FULL && p.has_kill_switch && p.has_tunnel4 && !p.has_tunnel6);
	CHECK(gives(put_rules,
		    "not 4:5183 mark 51820/4294967295 to any suppress -1 uid -1 -> 51820\n"
		    "not 6:5183 mark 51820/4294967295 to any suppress -1 uid -1 -> 51820\n"));
	CHECK(gives(put_routes, "unreachable 0.0.0.0/0 table 51820\n"
				"unreachable ::/0 table 51820\n"
				"0.0.0.0/0 table 51820\n"));
	CHECK(make("10.8.0.2/24", "0.0.0.0/1, 128.0.0.0/1", "", &none, false) == 0);
	CHECK(p.scope == CLIENT_FULL);
	CHECK(gives(put_routes, "unreachable 0.0.0.0/0 table 51820\n0.0.0.0/1 table 51820\n"
				"128.0.0.0/1 table 51820\n"));
	CHECK(make("10.8.0.2/24, fd08::2/64", "0.0.0.0/1", "", &none, true) == 0);
	CHECK(p.scope == CLIENT_SPLIT);
}

static void without_a_kill_switch_there_is_no_last_route(void)
{
	const struct client_options o = { .no_kill_switch = true };

	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &o, true) == 0);
	CHECK(!p.has_kill_switch && gives(put_routes, "0.0.0.0/0 table 51820\n"));
}

static void a_split_tunnel_has_the_name_servers_it_leads_to(void)
{
	struct ip_prefix split, beside;
	struct client_options o = { .split = &split, .n_split = 1, .exclude = &beside };

	CHECK(ip_prefix_parse("198.51.100.0/24", true, &split) == 0);
	CHECK(ip_prefix_parse("198.51.100.53/32", true, &beside) == 0);
	CHECK(make("10.8.0.2/24", "0.0.0.0/0",
		   "DNS = 9.9.9.9, 198.51.100.53, 10.8.0.1, 2001:db8::1", &o, true) == 0);
	CHECK(p.n_dns == 2 && p.n_dns_beside == 1 && p.dns[0].b[0] == 198 &&
	      p.dns[1].b[0] == 10);
	o.n_exclude = 1;
	CHECK(make("10.8.0.2/24", "10.9.0.0/16", "DNS = 198.51.100.53, 10.8.0.1", &o, true) ==
	      0);
	CHECK(p.n_dns == 0 && p.n_dns_beside == 2);
	CHECK(make("10.8.0.2/24", "10.9.0.0/16", "DNS = 9.9.9.9\nTable = off", &o, true) == 0);
	CHECK(p.n_dns == 1 && p.n_dns_beside == 0);
}

static void routes_of_a_family_that_the_tunnel_has_not_are_left_out(void)
{
	const struct client_options none = { .lan = false };

	CHECK(make("fd08::2/64", "0.0.0.0/0, ::/0", "", &none, true) == 0);
	CHECK(gives(put_routes, "unreachable 0.0.0.0/0 table 51820\n"
				"unreachable ::/0 table 51820\n::/0 table 51820\n"));
	CHECK(make("10.8.0.2/24, fd08::2/64", "10.0.0.0/8, 2001:db8::/32", "", &none, false) ==
	      0);
	CHECK(p.scope == CLIENT_SPLIT && gives(put_routes, "10.0.0.0/8 table 51820\n"));
}

static void what_stays_beside_the_tunnel_is_looked_up_first(void)
{
	struct ip_prefix beside[2];
	struct client_options o = { .exclude = beside, .n_exclude = 2, .lan = true };

	CHECK(ip_prefix_parse("198.51.100.0/24", true, &beside[0]) == 0);
	CHECK(ip_prefix_parse("2001:db8::/32", true, &beside[1]) == 0);
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &o, false) == 0);
	CHECK(gives(put_rules, "4:5182 mark 0/0 to 198.51.100.0/24 suppress -1 uid -1 -> 254\n"
			       "4:5182 mark 0/0 to 10.0.0.0/8 suppress 0 uid -1 -> 254\n"
			       "4:5182 mark 0/0 to 172.16.0.0/12 suppress 0 uid -1 -> 254\n"
			       "4:5182 mark 0/0 to 192.168.0.0/16 suppress 0 uid -1 -> 254\n"
			       "4:5182 mark 0/0 to 169.254.0.0/16 suppress 0 uid -1 -> 254\n"
			       "not 4:5183 mark 51820/4294967295 to any suppress -1 uid -1 -> "
			       "51820\n"));
	CHECK(ip_prefix_parse("0.0.0.0/0", true, &beside[0]) == 0);
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &o, false) == ERR_FORMAT);
}

static void one_users_packets_are_told_by_the_user(void)
{
	const struct client_options o = { .has_uid = true, .uid = 1000 };

	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &o, false) == 0);
	CHECK(p.scope == CLIENT_USER && p.has_kill_switch);
	CHECK(gives(put_rules,
		    "4:5183 mark 0/4294967295 to any suppress -1 uid 1000 -> 51820\n"));
	CHECK(gives(put_routes, "unreachable 0.0.0.0/0 table 51820\n0.0.0.0/0 table 51820\n"));
}

static void a_cgroups_packets_have_a_mark_that_is_not_the_tunnels(void)
{
	struct client_options o = { .cgroup = "user.slice" };

	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "FwMark = 7", &o, false) == 0);
	CHECK(p.scope == CLIENT_CGROUP && p.mark == 7 && client_plan_inner_mark(&p) != 7);
	o.cgroup = "a\" accept";
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &o, false) == ERR_FORMAT);
	o.cgroup = "../a";
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "", &o, false) == ERR_FORMAT);
}

static void table_off_leaves_routes_to_the_user(void)
{
	const struct client_options none = { .lan = false };

	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "Table = off", &none, true) == 0);
	CHECK(!p.has_kill_switch && gives(put_rules, "") && gives(put_routes, ""));
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "Table = auto", &none, true) == 0);
	CHECK(p.has_kill_switch);
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "Table = 77", &none, true) == ERR_FORMAT);
}

static void the_mtu_leaves_room_for_what_packets_grow_by(void)
{
	const struct client_options none = { .lan = false };

	CHECK(make("10.8.0.2/24, fd08::2/64", "0.0.0.0/0", "", &none, true) == 0);
	CHECK(client_plan_mtu(&p, 1500, 0) == 1420 && client_plan_mtu(&p, 1500, 20) == 1400);
	CHECK(client_plan_mtu(&p, 1300, 0) == 1280); /* IPv6 has no smaller one */
	CHECK(make("10.8.0.2/24", "0.0.0.0/0", "MTU = 1333", &none, true) == 0);
	CHECK(client_plan_mtu(&p, 1500, 0) == 1333);
}

static void names_of_interfaces_are_safe_in_rules(void)
{
	CHECK(client_interface_is_valid("wg0") && client_interface_is_valid("a_b=c+d.e-f"));
	CHECK(!client_interface_is_valid("") && !client_interface_is_valid("sixteen-letters-"));
	CHECK(!client_interface_is_valid("a\"b") && !client_interface_is_valid("a b"));
	CHECK(!client_interface_is_valid("../x") && !client_interface_is_valid("-f"));
}

static void an_endpoint_twice_is_one_and_a_table_of_them_has_an_end(void)
{
	struct endpoint e = { .port = 1 };

	memset(&p, 0, sizeof(p));
	CHECK(ip_addr_parse("192.0.2.1", &e.ip) == 0);
	for (int i = 0; i < CLIENT_ENDPOINTS_MAX; i++, e.port++)
		CHECK(client_plan_add_endpoint(&p, &e) == 0);
	CHECK(client_plan_add_endpoint(&p, &e) == ERR_LIMIT);
	e.port = 1;
	CHECK(client_plan_add_endpoint(&p, &e) == 0 && p.n_endpoints == CLIENT_ENDPOINTS_MAX);
}

int main(void)
{
	RUN(a_default_route_of_one_family_takes_both);
	RUN(without_a_kill_switch_there_is_no_last_route);
	RUN(a_split_tunnel_has_the_name_servers_it_leads_to);
	RUN(routes_of_a_family_that_the_tunnel_has_not_are_left_out);
	RUN(what_stays_beside_the_tunnel_is_looked_up_first);
	RUN(one_users_packets_are_told_by_the_user);
	RUN(a_cgroups_packets_have_a_mark_that_is_not_the_tunnels);
	RUN(table_off_leaves_routes_to_the_user);
	RUN(the_mtu_leaves_room_for_what_packets_grow_by);
	RUN(names_of_interfaces_are_safe_in_rules);
	RUN(an_endpoint_twice_is_one_and_a_table_of_them_has_an_end);
	wgconf_done(&conf);
	return DONE();
}
