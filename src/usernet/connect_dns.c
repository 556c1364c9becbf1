/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/connect_dns.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "inet/dns_message.h"
#include "sys/random.h"
#include "usernet/internal.h"

enum {
	SLOT_MASK = CONNECT_DNS_WAITING - 1,
	OUT_BYTES = 1 << 16,
	IN_BYTES = 2 + 65535,
	ANSWER_MAX = 4096, /* as a datagram, whatever the asker takes: RFC 6891 section 6.2.5 */
	READS_PER_TURN = 16,
	TRIES_BESIDE_RESOLVERS = 1,
};

#define ANSWER_WITHIN  (10 * SECOND)
#define CONNECT_WITHIN (10 * SECOND)
#define SILENCE_MAX    (3 * SECOND) /* a connection that says nothing for so long is replaced */
#define LOOK_AGAIN     (SECOND / 2)

static_assert((CONNECT_DNS_WAITING & SLOT_MASK) == 0, "a slot is the low bits of a number");

/**
 * struct waiting - A query without an answer
 * @query:	NULL: the slot is free
 * @number:	Ours; its low bits are the slot
 * @tries:	Connections it was lost with
 */
struct waiting {
	uint8_t *query;
	uint16_t len;
	uint16_t number;
	uint16_t asked_number;
	uint16_t answer_max;
	uint8_t tries;
	bool is_sent;
	struct inet_pair asker;
	uint64_t until_ns;
};

/**
 * struct connect_dns - The connection, if there is one, and what waits for it
 * @talk:	While the proxy connects
 * @connect_until_ns: As long as @talk
 * @silent_since_ns: An answer is waited for since then
 */
struct connect_dns {
	struct flow flow;
	struct way_talk *talk;
	struct ip_addr resolver;
	uint64_t connect_until_ns;
	uint64_t silent_since_ns;
	uint32_t n_waiting;
	uint32_t n_unsent;
	uint32_t next_slot;
	uint32_t out_len, out_sent;
	uint32_t in_len;
	struct waiting waiting[CONNECT_DNS_WAITING];
	uint8_t out[OUT_BYTES];
	uint8_t in[IN_BYTES];
};

static struct connect_dns *of(struct flow *flow)
{
	return (struct connect_dns *)(void *)flow;
}

int connect_dns_new(struct connect_dns **ret)
{
	struct connect_dns *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->flow = (struct flow){ .kind = FLOW_CONNECT_DNS, .fd = -1 };
	*ret = c;
	return 0;
}

static void hang_up(struct connect_dns *c)
{
	c->talk = way_talk_free(c->talk);
	if (c->flow.fd >= 0)
		close(c->flow.fd);
	c->flow.fd = -1;
	c->flow.events = 0;
	c->out_len = c->out_sent = c->in_len = 0;
}

static void release(struct connect_dns *c, struct waiting *w)
{
	c->n_unsent -= !w->is_sent;
	c->n_waiting--;
	free(w->query);
	w->query = NULL;
}

struct connect_dns *connect_dns_free(struct connect_dns *c)
{
	if (!c)
		return NULL;
	hang_up(c);
	for (int i = 0; i < CONNECT_DNS_WAITING; i++)
		free(c->waiting[i].query);
	free(c);
	return NULL;
}

/* --- To who asked --- */

static void send_answer(struct usernet *u, const struct inet_pair *asker, const uint8_t *answer,
			size_t len)
{
	struct inet_offload offload;
	uint32_t header_len = asker->local.family == ADDR_V4 ? 28 : 48;
	uint8_t *packet = u->inbox;

	inet_udp_write(asker, 0, HOPS, answer, (uint32_t)len, HOST_INBOX_LEN_MAX, packet,
		       &offload);
	memcpy(packet + header_len, answer, len);
	out_send(u, packet, header_len + (uint32_t)len);
}

/* Better than silence: who asked need not wait, and tries elsewhere. */
static void refuse(struct usernet *u, struct connect_dns *c, struct waiting *w)
{
	uint8_t answer[DNS_QUESTION_MAX];

	put_be16(w->query, w->asked_number);
	send_answer(u, &w->asker, answer,
		    dns_message_refuse(w->query, w->len, DNS_SERVFAIL, answer));
	usernet_count(u, USERNET_DROPPED);
	release(c, w);
}

static void take_answer(struct usernet *u, struct connect_dns *c, uint8_t *answer, size_t len)
{
	uint8_t cut[DNS_QUESTION_MAX];
	struct waiting *w = NULL;

	if (len < DNS_HEADER || dns_message_is_query(answer, len))
		return;
	w = &c->waiting[get_be16(answer) & SLOT_MASK];
	if (!w->query || w->number != get_be16(answer))
		return;
	put_be16(answer, w->asked_number);
	if (len > w->answer_max)
		send_answer(u, &w->asker, cut, dns_message_cut(answer, len, cut));
	else
		send_answer(u, &w->asker, answer, len);
	c->silent_since_ns = u->now_ns;
	release(c, w);
}

/* --- The connection --- */

/* Return: 0 or -errno. */
static int call(struct usernet *u, struct connect_dns *c)
{
	int err = 0;

	c->resolver = u->options.resolvers[u->resolver];
	err = way_open(&u->way, WAY_OCTETS, &c->resolver, DNS_PORT, &c->talk);
	if (err < 0)
		return err;
	c->flow.fd = err;
	c->connect_until_ns = u->now_ns + CONNECT_WITHIN;
	return host_watch(u, &c->flow);
}

/* What was asked over a connection that is gone. */
static void take_back(struct usernet *u, struct connect_dns *c)
{
	size_t most = u->options.n_resolvers + TRIES_BESIDE_RESOLVERS;

	for (int i = 0; i < CONNECT_DNS_WAITING && c->n_waiting; i++) {
		struct waiting *w = &c->waiting[i];

		if (!w->query)
			continue;
		c->n_unsent += w->is_sent;
		w->is_sent = false;
		if (++w->tries >= most)
			refuse(u, c, w);
	}
}

/* It did not come to stand, or ended. As often as there are tries left. */
static void lose(struct usernet *u, struct connect_dns *c, bool is_resolvers_fault)
{
	int err = 0;

	do {
		if (is_resolvers_fault)
			dns_failed(u, &c->resolver);
		hang_up(c);
		take_back(u, c);
		err = c->n_waiting ? call(u, c) : 0;
		is_resolvers_fault = true;
	} while (err < 0);
}

/* Return: false when there is no room now. */
static bool put(struct connect_dns *c, struct waiting *w, uint64_t now_ns)
{
	uint8_t *at = c->out + c->out_len;

	if (OUT_BYTES - c->out_len < w->len + 2U)
		return false;
	put_be16(at, w->len);
	memcpy(at + 2, w->query, w->len);
	put_be16(at + 2, w->number);
	c->out_len += w->len + 2U;
	if (c->n_waiting == c->n_unsent) /* nothing was asked until now */
		c->silent_since_ns = now_ns;
	w->is_sent = true;
	c->n_unsent--;
	return true;
}

static void fill(struct connect_dns *c, uint64_t now_ns)
{
	if (c->out_len)
		return;
	for (int i = 0; i < CONNECT_DNS_WAITING && c->n_unsent; i++)
		if (c->waiting[i].query && !c->waiting[i].is_sent &&
		    !put(c, &c->waiting[i], now_ns))
			return;
}

/* Return: 0, or -errno when the connection is over. */
static int send_queries(struct connect_dns *c, uint64_t now_ns)
{
	fill(c, now_ns);
	while (c->out_len && c->flow.events & EPOLLOUT) {
		ssize_t n = send(c->flow.fd, c->out + c->out_sent, c->out_len - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			c->flow.events &= ~(uint32_t)EPOLLOUT;
		else if (n < 0 && errno != EINTR)
			return -errno;
		c->out_sent += n > 0 ? (uint32_t)n : 0;
		if (c->out_sent < c->out_len)
			continue;
		c->out_len = c->out_sent = 0;
		fill(c, now_ns);
	}
	return 0;
}

static void take_answers(struct usernet *u, struct connect_dns *c)
{
	uint32_t at = 0;

	while (c->in_len - at >= 2) {
		uint32_t len = get_be16(c->in + at);

		if (c->in_len - at - 2 < len)
			break;
		take_answer(u, c, c->in + at + 2, len);
		at += 2 + len;
	}
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

/* Return: 0, or -errno when the connection is over; its end is -ECONNRESET. */
static int receive_answers(struct usernet *u, struct connect_dns *c)
{
	for (int i = 0; i < READS_PER_TURN && c->flow.events & (EPOLLIN | EPOLLRDHUP); i++) {
		ssize_t n =
			recv(c->flow.fd, c->in + c->in_len, IN_BYTES - c->in_len, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			c->flow.events &= ~(uint32_t)EPOLLIN;
			return 0;
		}
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		c->in_len += n > 0 ? (uint32_t)n : 0;
		take_answers(u, c);
	}
	if (c->flow.events & (EPOLLIN | EPOLLRDHUP))
		flow_mark(&u->flows, &c->flow);
	return 0;
}

/* --- Asking --- */

static struct waiting *free_slot(struct connect_dns *c)
{
	for (uint32_t i = 0; i < CONNECT_DNS_WAITING; i++) {
		struct waiting *w = &c->waiting[(c->next_slot + i) & SLOT_MASK];

		if (w->query)
			continue;
		c->next_slot = (uint32_t)(w - c->waiting) + 1;
		return w;
	}
	return NULL;
}

static uint16_t number_for(const struct connect_dns *c, const struct waiting *w)
{
	uint16_t number = 0;

	random_fill(&number, sizeof(number));
	return (uint16_t)((number & ~(uint32_t)SLOT_MASK) | (uint32_t)(w - c->waiting));
}

void connect_dns_ask(struct usernet *u, const struct inet_pair *asker, const uint8_t *query,
		     size_t len)
{
	struct connect_dns *c = u->queries;
	struct waiting *w = free_slot(c);
	uint16_t most = dns_message_datagram_max(query, len);
	uint8_t *copy = NULL;

	if (w && dns_message_is_query(query, len) && len <= CONNECT_DNS_QUERY_MAX)
		copy = malloc(len);
	if (!copy) {
		usernet_count(u, USERNET_DROPPED);
		return;
	}
	memcpy(copy, query, len);
	*w = (struct waiting){ .query = copy,
			       .len = (uint16_t)len,
			       .number = number_for(c, w),
			       .asked_number = get_be16(query),
			       .answer_max = most < ANSWER_MAX ? most : ANSWER_MAX,
			       .asker = *asker,
			       .until_ns = u->now_ns + ANSWER_WITHIN };
	c->n_waiting++;
	c->n_unsent++;
	flow_mark(&u->flows, &c->flow);
}

/* Return: true when somebody waited in vain. */
static bool expire(struct usernet *u, struct connect_dns *c)
{
	bool is_late = false;

	for (int i = 0; i < CONNECT_DNS_WAITING && c->n_waiting; i++) {
		struct waiting *w = &c->waiting[i];

		if (w->query && w->until_ns <= u->now_ns) {
			refuse(u, c, w);
			is_late = true;
		}
	}
	return is_late;
}

/* Return: 0, or why the connection is over. */
static int run(struct usernet *u, struct connect_dns *c)
{
	int err = 0;

	if (c->talk) {
		if (u->now_ns >= c->connect_until_ns)
			return -ETIMEDOUT;
		err = way_go_on(&u->way, c->talk, c->flow.fd, u->now_ns, &c->flow.events);
		if (err == -EAGAIN)
			return 0;
		if (err < 0)
			return err;
		c->talk = way_talk_free(c->talk);
	}
	err = send_queries(c, u->now_ns);
	if (err == 0)
		err = receive_answers(u, c);
	if (err == 0 && c->n_waiting > c->n_unsent &&
	    u->now_ns >= c->silent_since_ns + SILENCE_MAX)
		err = -ETIMEDOUT;
	return err;
}

void connect_dns_work(struct usernet *u, struct flow *flow)
{
	struct connect_dns *c = of(flow);
	bool is_late = expire(u, c);

	if (flow->fd < 0 && c->n_waiting && call(u, c) < 0)
		lose(u, c, true);
	if (flow->fd >= 0) {
		bool is_connecting = c->talk != NULL;
		int err = run(u, c);

		/* An end after a silence is the resolver's right, and nothing is wrong with it. */
		if (err < 0)
			lose(u, c, is_connecting || err == -ETIMEDOUT);
		else if (is_late)
			lose(u, c, true);
	}
	if (c->n_waiting)
		flow_wake_at(&u->flows, flow, u->now_ns + LOOK_AGAIN);
}
