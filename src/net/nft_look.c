/* SPDX-License-Identifier: Apache-2.0 */
#include "net/nft_look.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	ANSWER_MAX = 32768, /* what the kernel puts into one datagram of a dump at most */
	ANSWER_TIMEOUT_S = 2,
	TRIES = 5, /* a dump is repeated when something changed meanwhile */
};

/* struct looking - @handle, @name, @table: which attributes of the kind at hand say so */
struct looking {
	struct mnl_socket *socket;
	uint32_t sequence;
	const char *wanted;
	uint16_t kind;
	uint16_t table;
	uint16_t handle;
	bool is_inet;
	struct nft_look found;
};

#define FNV_BEGIN UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *octets = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ octets[i]) * FNV_PRIME;
	return hash;
}

/* struct thing - One table, chain or rule */
struct thing {
	const struct looking *l;
	const struct nlattr *table;
	const struct nlattr *handle;
	uint64_t hash;
	bool is_dormant;
};

/* What tells one from another that stands in its place: its number, and what may be changed in place. */
static int read_attribute(const struct nlattr *a, void *context)
{
	struct thing *t = context;
	const uint16_t type = mnl_attr_get_type(a);
	const bool is_flags = t->l->kind == NFT_MSG_NEWTABLE && type == NFTA_TABLE_FLAGS;
	const bool is_policy = t->l->kind == NFT_MSG_NEWCHAIN && type == NFTA_CHAIN_POLICY;

	if (type == t->l->table && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		t->table = a;
	if (type == t->l->handle)
		t->handle = a;
	if (is_flags && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		t->is_dormant = ntohl(mnl_attr_get_u32(a)) & NFT_TABLE_F_DORMANT;
	if (type == t->l->handle || is_flags || is_policy)
		t->hash = mix(t->hash, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	return MNL_CB_OK;
}

static int read_thing(const struct nlmsghdr *m, void *context)
{
	struct looking *l = context;
	struct thing t = { .l = l, .hash = FNV_BEGIN };

	if (m->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | l->kind) ||
	    mnl_attr_parse(m, sizeof(struct nfgenmsg), read_attribute, &t) < 0 || !t.table ||
	    strcmp(mnl_attr_get_str(t.table), l->wanted) != 0)
		return MNL_CB_OK;
	t.hash = mix(t.hash, &l->kind, sizeof(l->kind));
	l->found.print += t.hash; /* in whatever order they come */
	l->found.n_rules += l->is_inet && l->kind == NFT_MSG_NEWRULE;
	if (l->is_inet && l->kind == NFT_MSG_NEWTABLE)
		l->found.is_there = !t.is_dormant;
	return MNL_CB_OK;
}

static int receive(struct looking *l)
{
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	unsigned int port = mnl_socket_get_portid(l->socket);
	int more = MNL_CB_OK;

	while (more == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(l->socket, answer, sizeof(answer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		more = mnl_cb_run(answer, (size_t)n, l->sequence, port, read_thing, l);
		if (more < 0)
			return -errno; /* EINTR: it changed meanwhile */
	}
	return 0;
}

/* All of one kind and family. */
static int dump(struct looking *l, uint8_t family, uint16_t ask)
{
	_Alignas(struct nlmsghdr) char request[256] = { 0 };
	struct nlmsghdr *m = mnl_nlmsg_put_header(request);
	struct nfgenmsg *header;

	m->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | ask);
	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	m->nlmsg_seq = ++l->sequence;
	header = mnl_nlmsg_put_extra_header(m, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	if (ask == NFT_MSG_GETRULE)
		mnl_attr_put_strz(m, NFTA_RULE_TABLE, l->wanted);
	if (mnl_socket_sendto(l->socket, m, m->nlmsg_len) < 0)
		return -errno;
	return receive(l);
}

static int look_at_family(struct looking *l, uint8_t family)
{
	static const struct {
		uint16_t ask, kind, table, handle;
	} kinds[] = {
		{ NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE, NFTA_TABLE_NAME, NFTA_TABLE_HANDLE },
		{ NFT_MSG_GETCHAIN, NFT_MSG_NEWCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_HANDLE },
		{ NFT_MSG_GETRULE, NFT_MSG_NEWRULE, NFTA_RULE_TABLE, NFTA_RULE_HANDLE },
	};
	int err = 0;

	l->is_inet = family == NFPROTO_INET;
	for (size_t i = 0; err == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		l->kind = kinds[i].kind;
		l->table = kinds[i].table;
		l->handle = kinds[i].handle;
		err = dump(l, family, kinds[i].ask);
	}
	return err;
}

/* Each time anew: an answer that came late is nobody's. */
static int try_once(const char *table, struct nft_look *ret)
{
	const struct timeval patience = { .tv_sec = ANSWER_TIMEOUT_S };
	struct looking l = { .wanted = table,
			     .socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC) };
	int err = 0;

	if (!l.socket)
		return -errno;
	if (mnl_socket_bind(l.socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(l.socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0)
		err = -errno;
	if (err == 0)
		err = look_at_family(&l, NFPROTO_INET);
	if (err == 0)
		err = look_at_family(&l, NFPROTO_ARP);
	if (err == 0)
		*ret = l.found;
	mnl_socket_close(l.socket);
	return err;
}

int nft_look(const char *table, struct nft_look *ret)
{
	int err = -EINTR;

	*ret = (struct nft_look){ 0 };
	for (int i = 0; i < TRIES && err == -EINTR; i++)
		err = try_once(table, ret);
	return err;
}

int nft_look_open(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	const int group = NFNLGRP_NFTABLES;
	int err = 0;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		err = -errno;
	if (err < 0)
		close(fd);
	return err < 0 ? err : fd;
}

void nft_look_drain(int fd)
{
	char octets[256];

	/* Too much was said at once: that is no end. */
	while (recv(fd, octets, sizeof(octets), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
	       errno == EINTR)
		;
}
