/* SPDX-License-Identifier: Apache-2.0 */
#include "client/plan.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/codec.h"

enum {
	/* What a packet grows by: an IP header, UDP's 8, WireGuard's 32. As wg-quick has it, the
	 * larger family's counts always. */
	OVERHEAD = 80,
	METRIC_LAST = 0x7fffffff, /* behind every route into the tunnel */
	OWN_MARK_STEP = 0x10000,  /* from the mark of the tunnel to the mark of a cgroup */
};

static const char *const private_networks[] = {
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7",
};

enum { PRIVATE_NETWORKS = sizeof(private_networks) / sizeof(private_networks[0]) };

bool client_private(size_t index, struct ip_prefix *ret)
{
	int err;

	if (index >= PRIVATE_NETWORKS)
		return false;
	err = ip_prefix_parse(private_networks[index], true, ret);
	assert(err == 0);
	return err == 0;
}

bool client_interface_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= LINK_NAME_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("_=+.-", name[i]))
			return false;
	}
	return true;
}

/* --- What goes through the tunnel --- */

/* "0.0.0.0/0", or both halves of it, as some write to leave the default route alone. */
static bool covers_all(const struct ip_prefix *prefixes, size_t n, uint8_t family)
{
	unsigned int halves = 0;

	for (size_t i = 0; i < n; i++) {
		if (prefixes[i].ip.family != family || prefixes[i].bits > 1)
			continue;
		if (prefixes[i].bits == 0)
			return true;
		halves |= prefixes[i].ip.b[0] & 0x80 ? 2U : 1U;
	}
	return halves == 3;
}

static int take_prefixes(struct client_plan *p, const struct ip_prefix *prefixes, size_t n,
			 struct diag *d)
{
	if (n > CLIENT_PREFIXES_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d networks through the tunnel",
				CLIENT_PREFIXES_MAX);
	memcpy(p->prefixes, prefixes, n * sizeof(*prefixes));
	p->n_prefixes = n;
	return 0;
}

static int take_excludes(struct client_plan *p, const struct client_options *o, struct diag *d)
{
	if (o->n_exclude > CLIENT_EXCLUDES_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d networks beside the tunnel",
				CLIENT_EXCLUDES_MAX);
	for (size_t i = 0; i < o->n_exclude; i++) {
		if (o->exclude[i].bits == 0)
			return diag_set(
				d, ERR_FORMAT, 0,
				"all of a family beside the tunnel leaves nothing in it");
		p->excludes[p->n_excludes++] = o->exclude[i];
	}
	return 0;
}

static int take_scope(struct client_plan *p, const struct wgconf *conf,
		      const struct client_options *o, struct diag *d)
{
	if ((o->has_uid != 0) + (o->cgroup != NULL) + (o->n_split != 0) > 1)
		return diag_set(d, ERR_FORMAT, 0,
				"--split, --only-user and --only-cgroup go without each other");
	if (o->cgroup && (strlen(o->cgroup) >= sizeof(p->cgroup) || !o->cgroup[0] ||
			  strpbrk(o->cgroup, "\"\\\n") || strstr(o->cgroup, "..")))
		return diag_set(d, ERR_FORMAT, 0, "not the path of a cgroup");
	if (o->n_split) {
		p->scope = CLIENT_SPLIT;
		return take_prefixes(p, o->split, o->n_split, d);
	}
	if (o->has_uid) {
		p->scope = CLIENT_USER;
		p->uid = o->uid;
	} else if (o->cgroup) {
		p->scope = CLIENT_CGROUP;
		memcpy(p->cgroup, o->cgroup, strlen(o->cgroup) + 1);
	} else if (covers_all(conf->allowed_ips, conf->n_allowed_ips, ADDR_V4) ||
		   covers_all(conf->allowed_ips, conf->n_allowed_ips, ADDR_V6)) {
		p->scope = CLIENT_FULL;
	} else {
		p->scope = CLIENT_SPLIT;
	}
	return take_prefixes(p, conf->allowed_ips, conf->n_allowed_ips, d);
}

/* --- What the file says --- */

static int take_addresses(struct client_plan *p, const struct wgconf *conf, struct diag *d)
{
	if (conf->n_addresses > CLIENT_ADDRESSES_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d addresses",
				CLIENT_ADDRESSES_MAX);
	if (conf->n_addresses == 0)
		return diag_set(d, ERR_FORMAT, 0,
				"no Address in [Interface]: nothing could be sent");
	for (size_t i = 0; i < conf->n_addresses; i++) {
		const struct wgconf_address *a = &conf->addresses[i];

		p->addresses[p->n_addresses++] =
			(struct netlink_address){ .ip = a->ip, .bits = a->bits };
		p->has_tunnel4 |= a->ip.family == ADDR_V4;
		p->has_tunnel6 |= a->ip.family == ADDR_V6;
	}
	return 0;
}

static bool is_domain(const char *text)
{
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr("-._", *text))
			return false;
	}
	return true;
}

static int take_dns(struct client_plan *p, const struct wgconf *conf, struct diag *d)
{
	for (size_t i = 0; i < conf->n_dns; i++) {
		char word[CLIENT_DOMAIN_MAX];
		struct ip_addr address;

		if (conf->dns[i].len >= sizeof(word))
			return diag_set(d, ERR_FORMAT, 0, "DNS: a name is too long");
		memcpy(word, conf->dns[i].at, conf->dns[i].len);
		word[conf->dns[i].len] = '\0';
		if (ip_addr_parse(word, &address) == 0) {
			if (p->n_dns < CLIENT_DNS_MAX) /* resolvers would ignore the others */
				p->dns[p->n_dns++] = address;
			continue;
		}
		if (!is_domain(word))
			return diag_set(d, ERR_FORMAT, 0,
					"DNS: neither an address nor a domain");
		if (p->n_search < CLIENT_SEARCH_MAX)
			memcpy(p->search[p->n_search++], word, strlen(word) + 1);
	}
	return 0;
}

static bool is_in(const struct ip_prefix *prefixes, size_t n, const struct ip_addr *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (ip_prefix_contains(&prefixes[i], ip))
			return true;
	}
	return false;
}

static bool is_on_link(const struct client_plan *p, const struct ip_addr *ip)
{
	for (size_t i = 0; i < p->n_addresses; i++) {
		const struct ip_prefix network = { p->addresses[i].ip, p->addresses[i].bits };

		if (ip_prefix_contains(&network, ip))
			return true;
	}
	return false;
}

/* Does the way to @ip lead into a tunnel that is not for everything, and through it? */
static bool leads_inside(const struct client_plan *p, const struct wgconf *conf,
			 const struct ip_addr *ip)
{
	return (ip->family == ADDR_V4 ? p->has_tunnel4 : p->has_tunnel6) &&
	       (is_in(p->prefixes, p->n_prefixes, ip) || is_on_link(p, ip)) &&
	       is_in(conf->allowed_ips, conf->n_allowed_ips, ip) &&
	       !is_in(p->excludes, p->n_excludes, ip);
}

/* Name servers beside the tunnel would be asked in clear, by everybody. */
static void leave_dns_beside(struct client_plan *p, const struct wgconf *conf)
{
	size_t n = 0;

	if (p->scope != CLIENT_SPLIT || !p->is_routed)
		return;
	for (size_t i = 0; i < p->n_dns; i++) {
		if (leads_inside(p, conf, &p->dns[i]))
			p->dns[n++] = p->dns[i];
	}
	p->n_dns_beside = p->n_dns - n;
	p->n_dns = n;
}

/* "off", "auto" or a table of the user's choice, which wg-quick gives routes and no rules. */
static int take_table(struct client_plan *p, const struct wgconf *conf, struct diag *d)
{
	struct wgconf_span table = conf->interface.table;

	p->is_routed = true;
	if (table.len == 0 || (table.len == 4 && memcmp(table.at, "auto", 4) == 0))
		return 0;
	if (table.len == 3 && memcmp(table.at, "off", 3) == 0) {
		p->is_routed = false;
		return 0;
	}
	return diag_set(d, ERR_FORMAT, 0,
			"Table: a client has a table of its own: take the line away, or say "
			"\"off\" and make the routes yourself");
}

static int check_peers(const struct wgconf *conf, struct diag *d)
{
	if (!conf->interface.has_private_key)
		return diag_set(d, ERR_FORMAT, 0, "no PrivateKey in [Interface]");
	if (conf->n_peers == 0)
		return diag_set(d, ERR_FORMAT, 0, "no [Peer]: there is nobody to connect to");
	for (size_t i = 0; i < conf->n_peers; i++) {
		if (conf->peers[i].endpoint_host.len)
			return 0;
	}
	return diag_set(d, ERR_FORMAT, 0, "no Endpoint in any [Peer]");
}

int client_plan_make(struct client_plan *p, const char *interface, const struct wgconf *conf,
		     const struct client_options *options, bool has_ipv6, struct diag *d)
{
	int err = check_peers(conf, d);

	memset(p, 0, sizeof(*p));
	if (err == 0 && !client_interface_is_valid(interface))
		err = diag_set(
			d, ERR_FORMAT, 0,
			"\"%.20s\" cannot be the name of an interface; choose another with "
			"--interface",
			interface);
	if (err == 0)
		err = take_addresses(p, conf, d);
	if (err == 0)
		err = take_dns(p, conf, d);
	if (err == 0)
		err = take_table(p, conf, d);
	if (err == 0)
		err = take_scope(p, conf, options, d);
	if (err == 0)
		err = take_excludes(p, options, d);
	if (err < 0)
		return err;
	memcpy(p->interface, interface, strlen(interface) + 1);
	p->mtu = conf->interface.mtu;
	p->lan = options->lan;
	p->is_tcp = options->is_tcp;
	memcpy(p->carriers, options->carriers, sizeof(p->carriers));
	p->n_carriers = options->n_carriers;
	p->has_ipv6 = has_ipv6;
	p->has_tunnel6 = p->has_tunnel6 && has_ipv6;
	p->has_kill_switch = p->is_routed && !options->no_kill_switch;
	leave_dns_beside(p, conf);
	client_plan_set_number(p, conf, CLIENT_NUMBER);
	return 0;
}

void client_plan_set_number(struct client_plan *p, const struct wgconf *conf, uint32_t number)
{
	p->number = number;
	p->mark = conf->interface.has_fwmark && conf->interface.fwmark ? conf->interface.fwmark
								       : number;
}

int client_plan_add_endpoint(struct client_plan *p, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < p->n_endpoints; i++) {
		if (endpoint_same_remote(&p->endpoints[i], endpoint))
			return 0;
	}
	if (p->n_endpoints == CLIENT_ENDPOINTS_MAX)
		return ERR_LIMIT;
	p->endpoints[p->n_endpoints++] = *endpoint;
	return 0;
}

/* --- Rules --- */

static bool is_family_used(const struct client_plan *p, uint8_t family)
{
	return family == ADDR_V4 || p->has_ipv6;
}

/* What stays beside the tunnel: looked up as if there was none. */
static bool bypass_rule(const struct client_plan *p, size_t index, struct netlink_rule *ret)
{
	struct ip_prefix to;

	*ret = (struct netlink_rule){ .table = 254, .suppress_bits = -1 };
	if (index < p->n_excludes) {
		ret->to = p->excludes[index];
	} else if (p->lan && client_private(index - p->n_excludes, &to)) {
		ret->to = to;
		ret->suppress_bits = 0; /* networks, not the way out */
	} else {
		return false;
	}
	ret->family = ret->to.ip.family;
	return true;
}

uint32_t client_plan_inner_mark(const struct client_plan *p)
{
	return p->mark ^ OWN_MARK_STEP;
}

/* The one rule of @family that leads into the tunnel. */
static void tunnel_rule(const struct client_plan *p, uint8_t family, struct netlink_rule *ret)
{
	*ret = (struct netlink_rule){ .family = family,
				      .table = p->number,
				      .mark = p->mark,
				      .mask = UINT32_MAX,
				      .suppress_bits = -1,
				      .invert = true };
	if (p->scope == CLIENT_USER) {
		ret->mark = 0; /* the tunnel may be the same user's */
		ret->invert = false;
		ret->has_uid = true;
		ret->uid = p->uid;
	} else if (p->scope == CLIENT_CGROUP) {
		ret->mark = client_plan_inner_mark(p);
		ret->invert = false;
	}
}

bool client_plan_rule(const struct client_plan *p, size_t index, struct netlink_rule *ret)
{
	static const uint8_t families[] = { ADDR_V4, ADDR_V6 };
	size_t seen = 0;

	if (!p->is_routed)
		return false;
	for (size_t i = 0; bypass_rule(p, i, ret); i++) {
		if (!is_family_used(p, ret->family))
			continue;
		ret->priority = CLIENT_RULE_PRIORITY;
		if (seen++ == index)
			return true;
	}
	for (size_t i = 0; i < sizeof(families); i++) {
		if (!is_family_used(p, families[i]) || seen++ != index)
			continue;
		tunnel_rule(p, families[i], ret);
		ret->priority = CLIENT_RULE_PRIORITY + 1;
		return true;
	}
	return false;
}

/* --- Routes --- */

static bool is_carried(const struct client_plan *p, const struct ip_prefix *prefix)
{
	return prefix->ip.family == ADDR_V4 ? p->has_tunnel4 : p->has_tunnel6;
}

/* Behind the routes into the tunnel: where it ends, or carries only one family, nothing goes
 * on to the main table, unless that is what was asked for. */
static bool last_route(const struct client_plan *p, size_t index, struct netlink_route *ret)
{
	if (p->scope == CLIENT_SPLIT || !p->has_kill_switch || index > (p->has_ipv6 ? 1U : 0U))
		return false;
	*ret = (struct netlink_route){ .table = p->number,
				       .metric = METRIC_LAST,
				       .is_unreachable = true };
	ret->destination.ip.family = index == 0 ? ADDR_V4 : ADDR_V6;
	return true;
}

bool client_plan_route(const struct client_plan *p, size_t index, struct netlink_route *ret)
{
	size_t seen = 0;

	if (!p->is_routed)
		return false;
	for (size_t i = 0; last_route(p, i, ret); i++) {
		if (seen++ == index)
			return true;
	}
	for (size_t i = 0; i < p->n_prefixes; i++) {
		if (!is_carried(p, &p->prefixes[i]) || seen++ != index)
			continue;
		*ret = (struct netlink_route){ .destination = p->prefixes[i],
					       .table = p->number };
		return true;
	}
	return false;
}

uint32_t client_plan_mtu(const struct client_plan *p, uint32_t path, uint32_t padding)
{
	uint32_t least = p->has_tunnel6 ? CLIENT_MTU_MIN_V6 : CLIENT_MTU_MIN;
	uint32_t taken = OVERHEAD + padding;

	if (p->mtu)
		return p->mtu;
	return path < least + taken ? least : path - taken;
}
