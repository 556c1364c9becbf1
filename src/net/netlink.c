/* SPDX-License-Identifier: Apache-2.0 */
#include "net/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	REQUEST_MAX = 1024,
	ANSWER_MAX = 32768, /* what the kernel puts into one datagram of a dump at most */
	ANSWER_TIMEOUT_S = 5,
	DUMP_TRIES = 5, /* a dump is repeated when the table changed meanwhile */
};

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	_Alignas(struct nlmsghdr) char request[REQUEST_MAX];
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
};

int netlink_open(struct netlink **ret)
{
	const struct timeval patience = { .tv_sec = ANSWER_TIMEOUT_S };
	struct netlink *nl = calloc(1, sizeof(*nl));
	int err = 0;

	if (!nl)
		return -ENOMEM;
	nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0) {
		err = -errno;
		goto out;
	}
	*ret = nl;
	nl = NULL;
out:
	netlink_close(nl);
	return err;
}

struct netlink *netlink_close(struct netlink *nl)
{
	if (nl && nl->socket)
		mnl_socket_close(nl->socket);
	free(nl);
	return NULL;
}

/* A request with its family header of @header_len octets; attributes are added by the caller. */
static struct nlmsghdr *begin(struct netlink *nl, uint16_t type, uint16_t flags,
			      size_t header_len, void **ret_header)
{
	struct nlmsghdr *message;

	memset(nl->request, 0, sizeof(nl->request));
	message = mnl_nlmsg_put_header(nl->request);
	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	message->nlmsg_seq = ++nl->sequence;
	*ret_header = mnl_nlmsg_put_extra_header(message, header_len);
	return message;
}

/* Answers of earlier requests that timed out carry another sequence number: skipped. */
static int receive(struct netlink *nl, mnl_cb_t each, void *context)
{
	unsigned int port = mnl_socket_get_portid(nl->socket);

	for (;;) {
		const struct nlmsghdr *first = (const struct nlmsghdr *)nl->answer;
		ssize_t n = mnl_socket_recvfrom(nl->socket, nl->answer, sizeof(nl->answer));
		int more;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if ((size_t)n >= sizeof(*first) && first->nlmsg_seq != nl->sequence)
			continue;
		more = mnl_cb_run(nl->answer, (size_t)n, nl->sequence, port, each, context);
		if (more < 0)
			return -errno;
		if (more == MNL_CB_STOP)
			return 0;
	}
}

/* With NLM_F_ACK or NLM_F_DUMP, so that the kernel always says when it is done. */
static int ask(struct netlink *nl, struct nlmsghdr *message, mnl_cb_t each, void *context)
{
	if (mnl_socket_sendto(nl->socket, message, message->nlmsg_len) < 0)
		return -errno;
	return receive(nl, each, context);
}

/* --- links --- */

static int read_kind(const struct nlattr *attr, void *context)
{
	struct netlink_link *link = context;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		strncpy(link->kind, mnl_attr_get_str(attr), sizeof(link->kind) - 1);
	return MNL_CB_OK;
}

/* Where the number of an attribute goes, NULL if it is none of those. */
static uint32_t *number_of(struct netlink_link *link, uint16_t type)
{
	switch (type) {
	case IFLA_MTU:
		return &link->mtu;
	case IFLA_TXQLEN:
		return &link->txqueuelen;
	case IFLA_GSO_MAX_SIZE:
		return &link->gso_max_size;
	case IFLA_GSO_MAX_SEGS:
		return &link->gso_max_segs;
	default:
		return NULL;
	}
}

static int read_link_attribute(const struct nlattr *attr, void *context)
{
	struct netlink_link *link = context;
	uint16_t type = mnl_attr_get_type(attr);
	uint32_t *number = number_of(link, type);

	if (number && mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
		*number = mnl_attr_get_u32(attr);
	else if (type == IFLA_IFNAME && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		strncpy(link->name, mnl_attr_get_str(attr), sizeof(link->name) - 1);
	else if (type == IFLA_IFALIAS && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
		strncpy(link->alias, mnl_attr_get_str(attr), sizeof(link->alias) - 1);
	else if (type == IFLA_LINKINFO && mnl_attr_validate(attr, MNL_TYPE_NESTED) == 0)
		mnl_attr_parse_nested(attr, read_kind, link);
	return MNL_CB_OK;
}

static int read_link(const struct nlmsghdr *message, void *context)
{
	struct netlink_link *link = context;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return MNL_CB_OK;
	link->index = (uint32_t)info->ifi_index;
	link->flags = info->ifi_flags;
	return mnl_attr_parse(message, sizeof(*info), read_link_attribute, link);
}

int netlink_link_find(struct netlink *nl, const char *name, struct netlink_link *ret)
{
	struct netlink_link found = { 0 };
	struct nlmsghdr *message;
	struct ifinfomsg *info;
	void *header;
	int err;

	if (strlen(name) >= LINK_NAME_MAX)
		return -ENAMETOOLONG;
	message = begin(nl, RTM_GETLINK, NLM_F_ACK, sizeof(*info), &header);
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	err = ask(nl, message, read_link, &found);
	if (err == 0)
		*ret = found;
	return err;
}

static struct nlmsghdr *begin_link(struct netlink *nl, uint16_t type, uint32_t index,
				   struct ifinfomsg **ret_info)
{
	void *header;
	struct nlmsghdr *message =
		begin(nl, type, NLM_F_ACK, sizeof(struct ifinfomsg), &header);

	*ret_info = header;
	(*ret_info)->ifi_index = (int)index;
	return message;
}

int netlink_link_set_up(struct netlink *nl, uint32_t index, bool up)
{
	struct ifinfomsg *info;
	struct nlmsghdr *message = begin_link(nl, RTM_NEWLINK, index, &info);

	info->ifi_change = IFF_UP;
	info->ifi_flags = up ? IFF_UP : 0;
	return ask(nl, message, NULL, NULL);
}

static int set_number(struct netlink *nl, uint32_t index, uint16_t attribute, uint32_t value)
{
	struct ifinfomsg *info;
	struct nlmsghdr *message = begin_link(nl, RTM_NEWLINK, index, &info);

	mnl_attr_put_u32(message, attribute, value);
	return ask(nl, message, NULL, NULL);
}

int netlink_link_set_mtu(struct netlink *nl, uint32_t index, uint32_t mtu)
{
	return set_number(nl, index, IFLA_MTU, mtu);
}

int netlink_link_set_txqueuelen(struct netlink *nl, uint32_t index, uint32_t packets)
{
	return set_number(nl, index, IFLA_TXQLEN, packets);
}

int netlink_link_set_gso(struct netlink *nl, uint32_t index, uint32_t max_size,
			 uint32_t max_segs)
{
	struct ifinfomsg *info;
	struct nlmsghdr *message = begin_link(nl, RTM_NEWLINK, index, &info);

	mnl_attr_put_u32(message, IFLA_GSO_MAX_SIZE, max_size);
	mnl_attr_put_u32(message, IFLA_GSO_MAX_SEGS, max_segs);
	return ask(nl, message, NULL, NULL);
}

int netlink_link_set_alias(struct netlink *nl, uint32_t index, const char *alias)
{
	struct ifinfomsg *info;
	struct nlmsghdr *message = begin_link(nl, RTM_NEWLINK, index, &info);

	if (strlen(alias) >= LINK_ALIAS_MAX)
		return -ENAMETOOLONG;
	mnl_attr_put_strz(message, IFLA_IFALIAS, alias);
	return ask(nl, message, NULL, NULL);
}

int netlink_link_delete(struct netlink *nl, uint32_t index)
{
	struct ifinfomsg *info;

	return ask(nl, begin_link(nl, RTM_DELLINK, index, &info), NULL, NULL);
}

int netlink_link_create(struct netlink *nl, const char *name, const char *kind)
{
	struct nlmsghdr *message;
	struct nlattr *information;
	void *header;

	if (strlen(name) >= LINK_NAME_MAX || strlen(kind) >= LINK_KIND_MAX)
		return -ENAMETOOLONG;
	message = begin(nl, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
			sizeof(struct ifinfomsg), &header);
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	information = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(message, information);
	return ask(nl, message, NULL, NULL);
}

/* --- addresses --- */

static uint8_t kernel_family(const struct ip_addr *ip)
{
	return ip->family == ADDR_V4 ? AF_INET : AF_INET6;
}

static void put_ip(struct nlmsghdr *message, uint16_t attribute, const struct ip_addr *ip)
{
	mnl_attr_put(message, attribute, ip_addr_bits(ip) / 8, ip->b);
}

static int change_address(struct netlink *nl, uint16_t type, uint16_t flags,
			  const struct netlink_address *address)
{
	struct nlmsghdr *message;
	struct ifaddrmsg *info;
	void *header;

	if (address->ip.family != ADDR_V4 && address->ip.family != ADDR_V6)
		return -EINVAL;
	message = begin(nl, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*info), &header);
	info = header;
	info->ifa_family = kernel_family(&address->ip);
	info->ifa_prefixlen = address->bits;
	info->ifa_index = address->index;
	if (address->ip.family == ADDR_V6)
		info->ifa_flags = IFA_F_NODAD;
	put_ip(message, IFA_LOCAL, &address->ip);
	put_ip(message, IFA_ADDRESS, &address->ip);
	return ask(nl, message, NULL, NULL);
}

int netlink_address_add(struct netlink *nl, const struct netlink_address *address)
{
	return change_address(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

int netlink_address_remove(struct netlink *nl, const struct netlink_address *address)
{
	return change_address(nl, RTM_DELADDR, 0, address);
}

struct address_walk {
	bool (*each)(void *context, const struct netlink_address *address);
	void *context;
	bool is_over;
};

/* IFA_LOCAL is the own address where IFA_ADDRESS is the other end of a point-to-point link. */
static int pick_address(const struct nlattr *attr, void *context)
{
	const struct nlattr **best = context;
	uint16_t type = mnl_attr_get_type(attr);

	if (type == IFA_LOCAL || (type == IFA_ADDRESS && !*best))
		*best = attr;
	return MNL_CB_OK;
}

static bool read_address(const struct nlmsghdr *message, struct netlink_address *address)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *best = NULL;

	if (mnl_attr_parse(message, sizeof(*info), pick_address, &best) < 0 || !best)
		return false;
	if (info->ifa_family == AF_INET && mnl_attr_get_payload_len(best) == 4)
		address->ip = ip_addr_v4(mnl_attr_get_payload(best));
	else if (info->ifa_family == AF_INET6 && mnl_attr_get_payload_len(best) == 16)
		address->ip = ip_addr_v6(mnl_attr_get_payload(best));
	else
		return false;
	address->bits = info->ifa_prefixlen;
	address->index = info->ifa_index;
	return true;
}

static int visit_address(const struct nlmsghdr *message, void *context)
{
	struct netlink_address address = { 0 };
	struct address_walk *walk = context;

	if (walk->is_over || message->nlmsg_type != RTM_NEWADDR ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct ifaddrmsg))
		return MNL_CB_OK; /* the rest of the dump must still be read off the socket */
	if (read_address(message, &address))
		walk->is_over = !walk->each(walk->context, &address);
	return MNL_CB_OK;
}

int netlink_addresses(struct netlink *nl,
		      bool (*each)(void *context, const struct netlink_address *address),
		      void *context)
{
	struct address_walk walk = { .each = each, .context = context };
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		void *header;
		struct nlmsghdr *message =
			begin(nl, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg), &header);

		err = ask(nl, message, visit_address, &walk);
	}
	return err;
}

/* --- routes --- */

static uint8_t scope_of(uint16_t type, const struct netlink_route *route)
{
	if (type != RTM_NEWROUTE)
		return RT_SCOPE_NOWHERE;
	if (route->is_local)
		return RT_SCOPE_HOST;
	return route->gateway.family || route->is_unreachable ? RT_SCOPE_UNIVERSE
							      : RT_SCOPE_LINK;
}

static int change_route(struct netlink *nl, uint16_t type, uint16_t flags,
			const struct netlink_route *route)
{
	struct nlmsghdr *message;
	struct rtmsg *info;
	void *header;

	if (route->destination.ip.family != ADDR_V4 && route->destination.ip.family != ADDR_V6)
		return -EINVAL;
	message = begin(nl, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*info), &header);
	info = header;
	info->rtm_family = kernel_family(&route->destination.ip);
	info->rtm_dst_len = route->destination.bits;
	info->rtm_table = RT_TABLE_UNSPEC; /* the attribute has room for all of them */
	info->rtm_type = route->is_unreachable	? RTN_UNREACHABLE
			 : type != RTM_NEWROUTE ? RTN_UNSPEC
			 : route->is_local	? RTN_LOCAL
						: RTN_UNICAST;
	info->rtm_protocol = type == RTM_NEWROUTE ? RTPROT_STATIC : RTPROT_UNSPEC;
	info->rtm_scope = scope_of(type, route);
	put_ip(message, RTA_DST, &route->destination.ip);
	if (route->gateway.family && !route->is_unreachable)
		put_ip(message, RTA_GATEWAY, &route->gateway);
	if (route->index && !route->is_unreachable)
		mnl_attr_put_u32(message, RTA_OIF, route->index);
	if (route->metric)
		mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
	mnl_attr_put_u32(message, RTA_TABLE, route->table ? route->table : RT_TABLE_MAIN);
	return ask(nl, message, NULL, NULL);
}

int netlink_route_add(struct netlink *nl, const struct netlink_route *route)
{
	return change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
}

int netlink_route_delete(struct netlink *nl, const struct netlink_route *route)
{
	return change_route(nl, RTM_DELROUTE, 0, route);
}

/* --- rules --- */

static void put_rule(struct nlmsghdr *message, const struct netlink_rule *rule)
{
	mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(message, FRA_TABLE, rule->table);
	if (rule->mask) {
		mnl_attr_put_u32(message, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(message, FRA_FWMASK, rule->mask);
	}
	if (rule->came_by)
		mnl_attr_put_strz(message, FRA_IIFNAME, rule->came_by);
	if (rule->to.ip.family)
		put_ip(message, FRA_DST, &rule->to.ip);
	if (rule->suppress_bits >= 0)
		mnl_attr_put_u32(message, FRA_SUPPRESS_PREFIXLEN,
				 (uint32_t)rule->suppress_bits);
	if (rule->has_uid) {
		const struct fib_rule_uid_range range = { rule->uid, rule->uid };

		mnl_attr_put(message, FRA_UID_RANGE, sizeof(range), &range);
	}
}

static int change_rule(struct netlink *nl, uint16_t type, uint16_t flags,
		       const struct netlink_rule *rule)
{
	struct nlmsghdr *message;
	struct fib_rule_hdr *info;
	void *header;

	if (rule->family != ADDR_V4 && rule->family != ADDR_V6)
		return -EINVAL;
	message = begin(nl, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*info), &header);
	info = header;
	info->family = rule->family == ADDR_V4 ? AF_INET : AF_INET6;
	info->action = FR_ACT_TO_TBL;
	info->dst_len = rule->to.ip.family ? rule->to.bits : 0;
	info->flags = rule->invert ? FIB_RULE_INVERT : 0;
	put_rule(message, rule);
	return ask(nl, message, NULL, NULL);
}

int netlink_rule_add(struct netlink *nl, const struct netlink_rule *rule)
{
	return change_rule(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int netlink_rule_delete(struct netlink *nl, const struct netlink_rule *rule)
{
	return change_rule(nl, RTM_DELRULE, 0, rule);
}

static int read_rule_attribute(const struct nlattr *attr, void *context)
{
	struct netlink_rule *rule = context;

	if (mnl_attr_get_payload_len(attr) != sizeof(uint32_t))
		return MNL_CB_OK;
	switch (mnl_attr_get_type(attr)) {
	case FRA_PRIORITY:
		rule->priority = mnl_attr_get_u32(attr);
		break;
	case FRA_TABLE:
		rule->table = mnl_attr_get_u32(attr);
		break;
	case FRA_FWMARK:
		rule->mark = mnl_attr_get_u32(attr);
		break;
	case FRA_FWMASK:
		rule->mask = mnl_attr_get_u32(attr);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

struct rule_walk {
	bool (*each)(void *context, const struct netlink_rule *rule);
	void *context;
	uint8_t family;
	bool is_over;
};

static int visit_rule(const struct nlmsghdr *message, void *context)
{
	struct rule_walk *walk = context;
	struct netlink_rule rule = { .family = walk->family, .suppress_bits = -1 };

	if (walk->is_over || message->nlmsg_type != RTM_NEWRULE ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct fib_rule_hdr))
		return MNL_CB_OK; /* the rest of the dump must still be read off the socket */
	if (mnl_attr_parse(message, sizeof(struct fib_rule_hdr), read_rule_attribute, &rule) >=
	    0)
		walk->is_over = !walk->each(walk->context, &rule);
	return MNL_CB_OK;
}

int netlink_rules(struct netlink *nl, uint8_t family,
		  bool (*each)(void *context, const struct netlink_rule *rule), void *context)
{
	struct rule_walk walk = { .each = each, .context = context, .family = family };
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		struct fib_rule_hdr *info;
		void *header;
		struct nlmsghdr *message =
			begin(nl, RTM_GETRULE, NLM_F_DUMP, sizeof(*info), &header);

		info = header;
		info->family = family == ADDR_V4 ? AF_INET : AF_INET6;
		err = ask(nl, message, visit_rule, &walk);
	}
	return err;
}
