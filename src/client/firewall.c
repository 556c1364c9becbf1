/* SPDX-License-Identifier: Apache-2.0 */
#include "client/firewall.h"

#include <stdio.h>
#include <string.h>

#include "net/nft.h"

void client_firewall_name(const char *interface, char out[NFT_TABLE_NAME_MAX])
{
	char name[sizeof("client_") + LINK_NAME_MAX];

	snprintf(name, sizeof(name), "client_%.15s", interface);
	nft_table_name(name, out);
}

/* --- Sets --- */

static void put_endpoint(struct text *out, const struct endpoint *e)
{
	char address[ADDR_TEXT_MAX];

	text_printf(out, "%s . %u", ip_addr_format(&e->ip, address), e->port);
}

static void put_places(struct text *out, const char *name, uint8_t family,
		       const struct endpoint *places, size_t n)
{
	const char *separator = "\t\telements = { ";

	text_printf(out, "\tset %s%u {\n\t\ttype ipv%u_addr . inet_service\n", name,
		    family == ADDR_V4 ? 4U : 6U, family == ADDR_V4 ? 4U : 6U);
	for (size_t i = 0; i < n; i++) {
		if (places[i].ip.family != family)
			continue;
		text_puts(out, separator);
		put_endpoint(out, &places[i]);
		separator = ", ";
	}
	text_puts(out, *separator == ',' ? " }\n\t}\n" : "\t}\n");
}

/* A set of networks; nft merges those that overlap. */
static void put_networks(struct text *out, const char *name, uint8_t family,
			 const struct ip_prefix *prefixes, size_t n)
{
	const char *separator = "\t\telements = { ";
	char text[ADDR_TEXT_MAX];

	text_printf(out,
		    "\tset %s%u {\n\t\ttype ipv%u_addr\n\t\tflags interval\n\t\tauto-merge\n",
		    name, family == ADDR_V4 ? 4U : 6U, family == ADDR_V4 ? 4U : 6U);
	for (size_t i = 0; i < n; i++) {
		if (prefixes[i].ip.family != family)
			continue;
		text_printf(out, "%s%s", separator, ip_prefix_format(&prefixes[i], text));
		separator = ", ";
	}
	text_puts(out, *separator == ',' ? " }\n\t}\n" : "\t}\n");
}

static void put_sets(struct text *out, const struct client_plan *p)
{
	put_places(out, "endpoints", ADDR_V4, p->endpoints, p->n_endpoints);
	put_places(out, "endpoints", ADDR_V6, p->endpoints, p->n_endpoints);
	if (p->n_carriers) {
		put_places(out, "carriers", ADDR_V4, p->carriers, p->n_carriers);
		put_places(out, "carriers", ADDR_V6, p->carriers, p->n_carriers);
	}
	put_networks(out, "beside", ADDR_V4, p->excludes, p->n_excludes);
	put_networks(out, "beside", ADDR_V6, p->excludes, p->n_excludes);
	if (p->scope == CLIENT_SPLIT) {
		put_networks(out, "inside", ADDR_V4, p->prefixes, p->n_prefixes);
		put_networks(out, "inside", ADDR_V6, p->prefixes, p->n_prefixes);
	}
}

/* --- Chains that every tunnel has --- */

static const char *protocol(const struct client_plan *p)
{
	return p->is_tcp ? "tcp" : "udp";
}

/* Where rp_filter is strict, answers of the endpoints and of DHCP are judged by the route that
 * packets with the mark take. */
static void put_marks(struct text *out, const struct client_plan *p)
{
	const char *carried = p->n_carriers ? "{ tcp, udp }" : protocol(p);

	text_printf(out,
		    "\tchain marks_in {\n"
		    "\t\ttype filter hook prerouting priority mangle\n"
		    "\t\tiifname != \"%s\" meta l4proto %s ct mark %u meta mark set ct mark\n"
		    "\t\tiifname != \"%s\" udp sport 67 udp dport 68 meta mark set %u\n"
		    "\t}\n"
		    "\tchain marks_out {\n"
		    "\t\ttype filter hook postrouting priority mangle\n"
		    "\t\tmeta l4proto %s meta mark %u ct mark set meta mark\n"
		    "\t}\n",
		    p->interface, carried, p->mark, p->interface, p->mark, carried, p->mark);
}

/* Who is not at the other end of the tunnel has no business with our addresses in it. */
static void put_probes(struct text *out, const struct client_plan *p)
{
	char address[ADDR_TEXT_MAX];

	text_puts(out, "\tchain probes {\n\t\ttype filter hook prerouting priority raw\n");
	for (size_t i = 0; i < p->n_addresses; i++) {
		const struct ip_addr *ip = &p->addresses[i].ip;

		text_printf(out,
			    "\t\tiifname != { \"lo\", \"%s\" } %s daddr %s "
			    "fib saddr type != local counter drop\n",
			    p->interface, ip->family == ADDR_V4 ? "ip" : "ip6",
			    ip_addr_format(ip, address));
	}
	text_puts(out, "\t}\n");
}

/* Packets of a cgroup are sent to the tunnel's table by a mark, after their source address was
 * chosen for another way out. Where rp_filter is strict, answers are judged by the same way. */
static void put_cgroup(struct text *out, const struct client_plan *p)
{
	uint32_t mark = client_plan_inner_mark(p);
	unsigned int level = 1;

	for (const char *c = p->cgroup; *c; c++)
		level += *c == '/';
	text_printf(out,
		    "\tchain marks_cgroup {\n" /* "cgroup" is a word of nft's own */
		    "\t\ttype route hook output priority mangle\n"
		    "\t\tmeta mark 0 socket cgroupv2 level %u \"%s\" meta mark set %u\n"
		    "\t}\n"
		    "\tchain cgroup_answers {\n"
		    "\t\ttype filter hook prerouting priority mangle\n"
		    "\t\tiifname \"%s\" fib daddr type local meta mark set %u\n"
		    "\t}\n"
		    "\tchain cgroup_source {\n"
		    "\t\ttype nat hook postrouting priority srcnat\n"
		    "\t\toifname \"%s\" meta mark %u masquerade\n"
		    "\t}\n",
		    level, p->cgroup, mark, p->interface, mark, p->interface, mark);
}

/* --- The kill switch --- */

static const char discovery_out[] =
	"\t\tip daddr { 255.255.255.255, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, "
	"169.254.0.0/16 } udp sport 68 udp dport 67 accept\n"
	"\t\tip6 saddr fe80::/10 ip6 daddr { ff02::1:2, ff05::1:3 } udp sport 546 "
	"udp dport 547 accept\n"
	"\t\tip6 daddr ff02::2 ip6 hoplimit 255 icmpv6 type nd-router-solicit accept\n"
	"\t\tip6 daddr { fe80::/10, ff02::1:ff00:0/104 } ip6 hoplimit 255 "
	"icmpv6 type nd-neighbor-solicit accept\n"
	"\t\tip6 daddr { fe80::/10, ff02::1 } ip6 hoplimit 255 "
	"icmpv6 type nd-neighbor-advert accept\n"
	"\t\tip6 daddr ff02::16 ip6 hoplimit 1 icmpv6 type mld2-listener-report accept\n";

static const char discovery_in[] =
	"\t\tudp sport 67 udp dport 68 accept\n"
	"\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n"
	"\t\tip6 saddr fe80::/10 ip6 hoplimit 255 icmpv6 type nd-router-advert accept\n"
	"\t\tip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	"\t\ticmp type destination-unreachable icmp code frag-needed accept\n"
	"\t\ticmpv6 type packet-too-big accept\n";

/* What names are asked for by: in the tunnel, or not at all. */
static const char no_dns[] = "\t\tmeta l4proto { tcp, udp } th dport { 53, 853, 5355 } reject "
			     "with icmpx admin-prohibited\n";

static void put_lan(struct text *out, const char *direction)
{
	text_printf(out,
		    "\t\tip %s { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 } "
		    "accept\n"
		    "\t\tip6 %s { fe80::/10, fc00::/7 } accept\n",
		    direction, direction);
}

static void put_lan_groups(struct text *out)
{
	text_puts(out, "\t\tip daddr { 224.0.0.0/24, 239.0.0.0/8, 255.255.255.255 } accept\n"
		       "\t\tip6 daddr { ff02::/16, ff05::/16 } accept\n");
}

static void put_to_endpoints(struct text *out, const struct client_plan *p)
{
	text_printf(out,
		    "\t\tmeta mark %u ip daddr . %s dport @endpoints4 accept\n"
		    "\t\tmeta mark %u ip6 daddr . %s dport @endpoints6 accept\n",
		    p->mark, protocol(p), p->mark, protocol(p));
	/* A carrier of this host: its connection has the tunnel's mark, too. */
	if (p->n_carriers)
		text_printf(out,
			    "\t\tmeta mark %u ip daddr . tcp dport @carriers4 accept\n"
			    "\t\tmeta mark %u ip6 daddr . tcp dport @carriers6 accept\n",
			    p->mark, p->mark);
}

/* An endpoint on this very link has to be found. */
static void put_neighbours(struct text *out, const struct endpoint *places, size_t n)
{
	char address[ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		if (places[i].ip.family != ADDR_V6)
			continue;
		text_printf(out,
			    "\t\tip6 daddr %s ip6 hoplimit 255 icmpv6 type "
			    "{ nd-neighbor-solicit, nd-neighbor-advert } accept\n",
			    ip_addr_format(&places[i].ip, address));
	}
}

static void put_full_output(struct text *out, const struct client_plan *p)
{
	text_printf(out,
		    "\tchain output {\n"
		    "\t\ttype filter hook output priority filter; policy drop\n"
		    "\t\toifname { \"lo\", \"%s\" } accept\n"
		    "\t\tmeta l4proto 41 drop\n",
		    p->interface);
	put_to_endpoints(out, p);
	text_puts(out, discovery_out);
	put_neighbours(out, p->endpoints, p->n_endpoints);
	put_neighbours(out, p->carriers, p->n_carriers);
	text_puts(out, no_dns);
	if (p->lan) {
		put_lan(out, "daddr");
		put_lan_groups(out);
	}
	text_puts(out, "\t\tip daddr @beside4 accept\n"
		       "\t\tip6 daddr @beside6 accept\n"
		       "\t\tcounter reject with icmpx admin-prohibited\n"
		       "\t}\n");
}

static void put_full_input(struct text *out, const struct client_plan *p)
{
	text_printf(out,
		    "\tchain input {\n"
		    "\t\ttype filter hook input priority filter; policy drop\n"
		    "\t\tiifname { \"lo\", \"%s\" } accept\n"
		    "\t\tip saddr . %s sport @endpoints4 accept\n"
		    "\t\tip6 saddr . %s sport @endpoints6 accept\n",
		    p->interface, protocol(p), protocol(p));
	if (p->n_carriers)
		text_puts(out,
			  "\t\tct state established ip saddr . tcp sport @carriers4 accept\n"
			  "\t\tct state established ip6 saddr . tcp sport @carriers6 accept\n");
	text_puts(out, discovery_in);
	if (p->lan)
		put_lan(out, "saddr");
	text_puts(out, "\t\tip saddr @beside4 accept\n"
		       "\t\tip6 saddr @beside6 accept\n"
		       "\t\tcounter\n"
		       "\t}\n");
}

/* Containers and virtual machines of this host go through the tunnel, too, or nowhere. */
static void put_full_forward(struct text *out, const struct client_plan *p)
{
	text_printf(out,
		    "\tchain forward {\n"
		    "\t\ttype filter hook forward priority filter; policy drop\n"
		    "\t\tmeta l4proto 41 drop\n"
		    "\t\toifname \"%s\" accept\n"
		    "\t\tiifname \"%s\" ct state established,related accept\n",
		    p->interface, p->interface);
	text_puts(out, no_dns);
	text_puts(out, "\t\tip daddr @beside4 accept\n"
		       "\t\tip6 daddr @beside6 accept\n"
		       "\t\tip saddr @beside4 ct state established,related accept\n"
		       "\t\tip6 saddr @beside6 ct state established,related accept\n"
		       "\t\tcounter\n"
		       "\t}\n");
}

/* Only what belongs into the tunnel is stopped elsewhere; the rest is not ours. */
static void put_partial(struct text *out, const struct client_plan *p, const char *hook)
{
	text_printf(out,
		    "\tchain %s {\n"
		    "\t\ttype filter hook %s priority filter\n"
		    "\t\toifname { \"lo\", \"%s\" } accept\n",
		    hook, hook, p->interface);
	put_to_endpoints(out, p);
	text_puts(out, "\t\tip daddr @beside4 accept\n"
		       "\t\tip6 daddr @beside6 accept\n");
	if (p->lan && p->scope != CLIENT_SPLIT) {
		put_lan(out, "daddr");
		put_lan_groups(out);
	}
}

static void put_partial_end(struct text *out, const struct client_plan *p)
{
	static const char refusal[] = "counter reject with icmpx admin-prohibited\n";

	if (p->scope == CLIENT_SPLIT) {
		text_printf(out, "\t\tip daddr @inside4 %s\t\tip6 daddr @inside6 %s", refusal,
			    refusal);
	} else if (p->scope == CLIENT_USER) {
		text_printf(out, "\t\tmeta skuid %u %s", p->uid, refusal);
	} else {
		text_printf(out, "\t\tmeta mark %u counter drop\n", client_plan_inner_mark(p));
	}
	text_puts(out, "\t}\n");
}

static void put_kill_switch(struct text *out, const struct client_plan *p)
{
	if (p->scope == CLIENT_FULL) {
		put_full_output(out, p);
		put_full_input(out, p);
		put_full_forward(out, p);
		return;
	}
	/* In "output" a packet that was sent another way by its mark is still seen on its first one. */
	put_partial(out, p, p->scope == CLIENT_CGROUP ? "postrouting" : "output");
	put_partial_end(out, p);
	if (p->scope == CLIENT_SPLIT) {
		put_partial(out, p, "forward");
		put_partial_end(out, p);
	}
}

/* --- The tables --- */

/* Not who asks for our address in the tunnel, nor who claims to have it. */
static void put_arp(struct text *out, const struct client_plan *p, const char *table)
{
	char address[ADDR_TEXT_MAX];

	text_printf(out,
		    "table arp %s {\n\tchain input {\n\t\ttype filter hook input priority "
		    "filter\n",
		    table);
	for (size_t i = 0; i < p->n_addresses; i++) {
		if (p->addresses[i].ip.family == ADDR_V4)
			text_printf(out, "\t\tarp daddr ip %s drop\n",
				    ip_addr_format(&p->addresses[i].ip, address));
	}
	text_puts(out, "\t}\n}\n");
}

void client_firewall_put(struct text *out, const struct client_plan *p)
{
	char table[NFT_TABLE_NAME_MAX];

	client_firewall_name(p->interface, table);
	client_firewall_put_removal(out, p->interface);
	put_arp(out, p, table);
	text_printf(out, "table inet %s {\n", table);
	put_sets(out, p);
	put_marks(out, p);
	put_probes(out, p);
	if (p->scope == CLIENT_CGROUP && p->is_routed)
		put_cgroup(out, p);
	if (p->has_kill_switch)
		put_kill_switch(out, p);
	text_puts(out, "}\n");
}

void client_firewall_put_removal(struct text *out, const char *interface)
{
	static const char *const families[] = { "inet", "arp" };
	char table[NFT_TABLE_NAME_MAX];

	client_firewall_name(interface, table);
	/* Deleting what is not there fails, so it is added first. */
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		text_printf(out, "table %s %s\ndelete table %s %s\n", families[i], table,
			    families[i], table);
}

void client_firewall_put_endpoint(struct text *out, const char *interface,
				  const struct endpoint *endpoint)
{
	char table[NFT_TABLE_NAME_MAX];

	client_firewall_name(interface, table);
	text_printf(out, "add element inet %s endpoints%u { ", table,
		    endpoint->ip.family == ADDR_V4 ? 4U : 6U);
	put_endpoint(out, endpoint);
	text_puts(out, " }\n");
}

void client_firewall_put_lockdown(struct text *out, bool on)
{
	text_puts(out, "table inet culvert_lockdown\ndelete table inet culvert_lockdown\n");
	if (!on)
		return;
	text_puts(out, "table inet culvert_lockdown {\n"
		       "\tchain output {\n"
		       "\t\ttype filter hook output priority filter; policy drop\n"
		       "\t\toifname \"lo\" accept\n"
		       "\t\tmeta l4proto 41 drop\n");
	text_puts(out, discovery_out);
	text_puts(out, "\t\tcounter reject with icmpx admin-prohibited\n"
		       "\t}\n"
		       "\tchain input {\n"
		       "\t\ttype filter hook input priority filter; policy drop\n"
		       "\t\tiifname \"lo\" accept\n");
	text_puts(out, discovery_in);
	text_puts(out, "\t}\n"
		       "\tchain forward {\n"
		       "\t\ttype filter hook forward priority filter; policy drop\n"
		       "\t}\n"
		       "}\n");
}
