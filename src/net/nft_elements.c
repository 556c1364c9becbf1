/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch is a row of messages in one datagram. The kernel goes through all of it before send()
 * returns and queues what it has to say: an error for each message that it refuses, then
 * nothing was done; and an answer to the last one, which asks for it.
 */
#include "net/nft_elements.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

enum {
	BUFFER_MAX = 131072, /* 1024 IPv6 addresses that change: 24 KiB leave, 40 KiB come */
	ANSWER_MAX = 8192,
	V6_LEN = 16,
	V4_LEN = 4,
};

/* struct batch - @next: where the next message goes; @sequence: of the last one */
struct batch {
	char *buffer;
	char *next;
	uint32_t sequence;
};

static struct nlmsghdr *begin_message(struct batch *b, uint16_t type, uint16_t flags,
				      uint8_t family, uint16_t resource)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(b->next);
	struct nfgenmsg *header;

	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	m->nlmsg_seq = ++b->sequence;
	header = mnl_nlmsg_put_extra_header(m, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = htons(resource);
	return m;
}

static void end_message(struct batch *b, const struct nlmsghdr *m)
{
	b->next += NLMSG_ALIGN(m->nlmsg_len);
}

static uint16_t nft_type(int type)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
}

static void put_element(struct nlmsghdr *m, const struct nft_element *e, bool with_data)
{
	struct nlattr *element = mnl_attr_nest_start(m, NFTA_LIST_ELEM);
	struct nlattr *part = mnl_attr_nest_start(m, NFTA_SET_ELEM_KEY);

	mnl_attr_put(m, NFTA_DATA_VALUE, e->key.family == ADDR_V4 ? V4_LEN : V6_LEN, e->key.b);
	mnl_attr_nest_end(m, part);
	if (with_data) {
		part = mnl_attr_nest_start(m, NFTA_SET_ELEM_DATA);
		mnl_attr_put(m, NFTA_DATA_VALUE, sizeof(e->is), &e->is); /* as marks are kept */
		mnl_attr_nest_end(m, part);
	}
	mnl_attr_nest_end(m, element);
}

/* Those of @family that leave, or those that come: one message. Return: how many. */
static size_t put_elements(struct batch *b, const char *table, const char *map, uint8_t family,
			   bool come, const struct nft_element *elements, size_t n)
{
	struct nlmsghdr *m =
		begin_message(b, nft_type(come ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM),
			      come ? NLM_F_CREATE | NLM_F_EXCL : 0, NFPROTO_INET, 0);
	struct nlattr *list;
	size_t found = 0;

	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET, map);
	list = mnl_attr_nest_start(m, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = 0; i < n; i++) {
		const struct nft_element *e = &elements[i];

		if (e->key.family != family || (come ? e->is : e->was) == 0)
			continue;
		put_element(m, e, come);
		found++;
	}
	mnl_attr_nest_end(m, list);
	if (found == 0)
		b->sequence--; /* it is not sent */
	else
		end_message(b, m);
	return found;
}

static void put_edge(struct batch *b, uint16_t type)
{
	end_message(b, begin_message(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

/* What is there is removed before anything comes in its place. Return: how many elements. */
static size_t fill(struct batch *b, const char *table, const char *map4, const char *map6,
		   const struct nft_element *elements, size_t n)
{
	struct nlmsghdr *last = NULL;
	size_t found = 0;

	put_edge(b, NFNL_MSG_BATCH_BEGIN);
	for (int come = 0; come <= 1; come++) {
		for (int family = ADDR_V4; family <= ADDR_V6; family += ADDR_V6 - ADDR_V4) {
			struct nlmsghdr *m = (void *)b->next;
			size_t some = put_elements(b, table, family == ADDR_V4 ? map4 : map6,
						   (uint8_t)family, come, elements, n);

			last = some > 0 ? m : last;
			found += some;
		}
	}
	if (last)
		last->nlmsg_flags |= NLM_F_ACK;
	put_edge(b, NFNL_MSG_BATCH_END);
	return found;
}

/* --- Asking --- */

static int open_socket(struct mnl_socket **ret)
{
	int one = 1;
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		if (s)
			mnl_socket_close(s);
		return err;
	}
	/* A refusal does not bring the whole message back. */
	(void)mnl_socket_setsockopt(s, NETLINK_CAP_ACK, &one, sizeof(one));
	*ret = s;
	return 0;
}

/* Look through one datagram. Return: the first refusal in it, or 0; @ret_is_answered: the last message was
 * heard of. */
static int read_answer(const char *data, size_t len, uint32_t last, bool *ret_is_answered)
{
	const struct nlmsghdr *m = (const void *)data;
	int left = (int)len, first = 0;

	for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

		*ret_is_answered |= m->nlmsg_seq == last;
		if (m->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(m) < sizeof(*e))
			continue;
		first = first ? first : e->error;
	}
	return first;
}

/* Everything is queued already: nothing is waited for. */
static int read_answers(struct mnl_socket *s, uint32_t last)
{
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	bool is_answered = false;
	int first = 0;

	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(s), answer, sizeof(answer), MSG_DONTWAIT);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		err = read_answer(answer, (size_t)n, last, &is_answered);
		first = first ? first : err;
	}
	return first || is_answered ? first : -EIO;
}

static int ask(const struct batch *b, uint32_t last)
{
	struct mnl_socket *s = NULL;
	int err = open_socket(&s);

	if (err < 0)
		return err;
	if (mnl_socket_sendto(s, b->buffer, (size_t)(b->next - b->buffer)) < 0)
		err = -errno;
	else
		err = read_answers(s, last);
	mnl_socket_close(s);
	return err;
}

int nft_elements_set(const char *table, const char *map4, const char *map6,
		     const struct nft_element *elements, size_t n)
{
	struct batch b = { .buffer = NULL };
	int err = 0;

	if (n > NFT_ELEMENTS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		if (elements[i].key.family != ADDR_V4 && elements[i].key.family != ADDR_V6)
			return -EINVAL;
	b.buffer = b.next = calloc(1, BUFFER_MAX);
	if (!b.buffer)
		return -ENOMEM;
	if (fill(&b, table, map4, map6, elements, n) > 0)
		err = ask(&b, b.sequence - 1); /* the last before the end of the batch */
	free(b.buffer);
	return err;
}

int nft_has_chain(const char *table, const char *chain)
{
	_Alignas(struct nlmsghdr) char buffer[512] = { 0 };
	struct batch b = { .buffer = buffer, .next = buffer };
	struct nlmsghdr *m =
		begin_message(&b, nft_type(NFT_MSG_GETCHAIN), NLM_F_ACK, NFPROTO_INET, 0);
	int err;

	mnl_attr_put_strz(m, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(m, NFTA_CHAIN_NAME, chain);
	end_message(&b, m);
	err = ask(&b, b.sequence);
	if (err == -ENOENT)
		return 0;
	return err < 0 ? err : 1;
}
