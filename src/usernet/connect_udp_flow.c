/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/connect_udp_flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "carrier/capsule.h"
#include "usernet/connect_datagram.h"

enum { RECEIVES_PER_TURN = 16, LOOK_BYTES = CAPSULE_READ_MAX + 1 };

#define ONE_WAY_FOR    (30 * SECOND)
#define TWO_WAY_FOR    (300 * SECOND)
#define CONNECT_WITHIN (30 * SECOND)
#define ASK_AGAIN_IN   (60 * SECOND)

/**
 * struct udp_flow - One destination of one port of a peer
 * @talk:	Until it stands
 * @reader:	Of what comes in
 * @waiting:	Octets for the socket, or NULL
 * @first:	The first datagram's beginning, for an error; until it stands
 */
struct udp_flow {
	struct flow flow;
	struct way_talk *talk;
	struct capsule_reader reader;
	uint8_t *waiting;
	uint32_t waiting_len, waiting_sent;
	uint8_t *first;
	uint32_t first_len;
	uint64_t connect_until_ns;
	uint64_t used_ns;
	bool has_answer;
};

static struct udp_flow *of(struct flow *flow)
{
	return (struct udp_flow *)(void *)flow;
}

static uint64_t ends_at(const struct udp_flow *f)
{
	if (f->talk)
		return f->connect_until_ns;
	return f->used_ns + (f->has_answer ? TWO_WAY_FOR : ONE_WAY_FOR);
}

void connect_udp_end(struct usernet *u, struct flow *flow)
{
	struct udp_flow *f = of(flow);

	way_talk_free(f->talk);
	free(f->waiting);
	free(f->first);
	usernet_forget(u, flow);
	free(f);
}

/* --- Opening --- */

static bool is_refused_now(struct usernet *u)
{
	return u->now_ns < u->way.no_udp_until_ns;
}

/* It will not be: tell whoever sent the first datagram. */
static void refuse_first(struct usernet *u, struct udp_flow *f, int err)
{
	enum inet_icmp_error error = INET_ICMP_PROHIBITED;

	if (err == -EOPNOTSUPP)
		u->way.no_udp_until_ns = u->now_ns + ASK_AGAIN_IN;
	else if (!answer_errno(err, &error))
		error = INET_ICMP_HOST_UNREACHABLE;
	usernet_count(u, USERNET_DENIED);
	answer_error(u, error, 0, f->first, f->first_len);
}

static int open_host(struct usernet *u, struct udp_flow *f, const struct inner *in)
{
	const struct inet_pair *pair = &f->flow.pair;
	int err = 0;

	f->first = malloc(OUT_QUOTE);
	f->waiting = malloc(CONNECT_UDP_WAITING);
	if (!f->first || !f->waiting)
		return -ENOMEM;
	f->first_len = answer_quote(in, f->first);
	err = way_open(&u->way, WAY_DATAGRAMS, &pair->local, pair->local_port, &f->talk);
	if (err < 0)
		return err;
	f->flow.fd = err;
	return 0;
}

static struct udp_flow *open_flow(struct usernet *u, const struct inet_pair *pair,
				  const struct inner *in)
{
	struct udp_flow *f = NULL;
	int err = -ENOMEM;

	if (!usernet_make_room(u, pair))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->flow = (struct flow){ .kind = FLOW_CONNECT_UDP, .fd = -1, .pair = *pair };
	f->connect_until_ns = u->now_ns + CONNECT_WITHIN;
	f->used_ns = u->now_ns;
	err = open_host(u, f, in);
	flow_add(&u->flows, &f->flow);
	if (err == 0)
		err = host_watch(u, &f->flow);
	if (err < 0) {
		if (f->first_len)
			refuse_first(u, f, err);
		connect_udp_end(u, &f->flow);
		return NULL;
	}
	usernet_count(u, USERNET_UDP_OPENED);
	return f;
}

/* --- To the proxy --- */

/* What was left of it, to be sent when the socket takes more. Return: false for want of memory. */
static bool keep(struct udp_flow *f, const uint8_t *at, size_t len)
{
	f->waiting = malloc(len);
	if (!f->waiting)
		return false;
	memcpy(f->waiting, at, len);
	f->waiting_len = (uint32_t)len;
	f->waiting_sent = 0;
	return true;
}

/* While it does not stand. */
static bool queue(struct udp_flow *f, const uint8_t *capsule, size_t len)
{
	if (!f->waiting || CONNECT_UDP_WAITING - f->waiting_len < len)
		return false;
	memcpy(f->waiting + f->waiting_len, capsule, len);
	f->waiting_len += (uint32_t)len;
	return true;
}

/* Return: false when it was dropped. A part of a capsule breaks the stream: then the flow is over. */
static bool send_capsule(struct udp_flow *f, const uint8_t *capsule, size_t len)
{
	ssize_t n = 0;

	if (f->talk)
		return queue(f, capsule, len);
	if (f->waiting || f->flow.fd < 0)
		return false;
	n = send(f->flow.fd, capsule, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		if (errno == EAGAIN)
			f->flow.events &= ~(uint32_t)EPOLLOUT;
		return false;
	}
	if ((size_t)n == len)
		return true;
	f->flow.events &= ~(uint32_t)EPOLLOUT;
	if (!keep(f, capsule + n, len - (size_t)n)) {
		host_close_at_once(f->flow.fd);
		f->flow.fd = -1;
	}
	return true;
}

/* The header is written in front of the payload, over what was sent before. */
static void send_payloads(struct usernet *u, struct udp_flow *f, uint8_t *payload, size_t len,
			  size_t step)
{
	uint8_t header[CAPSULE_HEADER_MAX];
	size_t at = 0;

	do {
		size_t n = len - at < step ? len - at : step;
		size_t header_len = capsule_header(header, n);

		memcpy(payload + at - header_len, header, header_len);
		if (!send_capsule(f, payload + at - header_len, header_len + n))
			usernet_count(u, USERNET_DROPPED);
		at += n;
	} while (at < len);
}

void connect_udp_receive(struct usernet *u, const struct inner *in, const struct inet_udp *udp)
{
	const struct inet_pair pair = { .local = in->ip.destination,
					.remote = in->ip.source,
					.local_port = udp->destination_port,
					.remote_port = udp->source_port };
	struct flow *flow = flow_find(&u->flows, FLOW_CONNECT_UDP, &pair);
	struct udp_flow *f = flow ? of(flow) : NULL;
	uint8_t *payload = u->inbox + INBOX_FRONT;
	size_t len = 0;

	if (!f && is_refused_now(u)) {
		connect_datagram_refuse(u, in);
		return;
	}
	if (!f)
		f = open_flow(u, &pair, in);
	if (!f)
		return;
	len = connect_datagram_gather(in, udp, payload, HOST_INBOX_LEN_MAX);
	send_payloads(u, f, payload, len, in->gso_size ? in->gso_size : HOST_INBOX_LEN_MAX);
	f->used_ns = u->now_ns;
	flow_touch(&u->flows, &f->flow);
	flow_wake_at(&u->flows, &f->flow, ends_at(f));
	flow_mark(&u->flows, &f->flow);
}

/* --- From the proxy --- */

static void hand_over(struct usernet *u, struct udp_flow *f, uint8_t *payload, size_t len)
{
	uint32_t header_len = f->flow.pair.local.family == ADDR_V4 ? 28 : 48;
	uint8_t *packet = payload - header_len;
	struct inet_offload offload;

	if (len > HOST_INBOX_LEN_MAX)
		return;
	inet_udp_write(&f->flow.pair, 0, HOPS, payload, (uint32_t)len, HOST_INBOX_LEN_MAX,
		       packet, &offload);
	out_send(u, packet, header_len + (uint32_t)len);
	f->has_answer = true;
	f->used_ns = u->now_ns;
}

/* Whole capsules among @len octets. Return: octets of them, or -EPROTO. */
static ssize_t take_capsules(struct usernet *u, struct udp_flow *f, uint8_t *at, size_t len)
{
	struct capsule_found found = { 0 };
	enum capsule_step step = CAPSULE_MORE;
	size_t used = 0;

	do {
		step = capsule_read(&f->reader, at + used, len - used, &found);
		if (step == CAPSULE_PAYLOAD)
			hand_over(u, f, at + (found.payload - at), found.len);
		used += found.used;
	} while (step == CAPSULE_PAYLOAD);
	return step == CAPSULE_BROKEN || (used == 0 && len == LOOK_BYTES) ? -EPROTO
									  : (ssize_t)used;
}

/* Return: 0; -EAGAIN: nothing for now; another -errno: it is over. */
static int receive(struct usernet *u, struct udp_flow *f)
{
	uint8_t *at = u->inbox + INBOX_FRONT;
	ssize_t n = recv(f->flow.fd, at, LOOK_BYTES, MSG_PEEK | MSG_DONTWAIT), used = 0;

	if (n == 0)
		return -ECONNRESET;
	if (n < 0) {
		if (errno == EAGAIN)
			f->flow.events &= ~(uint32_t)EPOLLIN;
		return errno == EINTR ? 0 : -errno;
	}
	used = take_capsules(u, f, at, (size_t)n);
	if (used < 0)
		return (int)used;
	if (used == 0) { /* a part of one: more of it is a new event */
		if (f->flow.events & EPOLLRDHUP)
			return -ECONNRESET;
		f->flow.events &= ~(uint32_t)EPOLLIN;
		return -EAGAIN;
	}
	return recv(f->flow.fd, at, (size_t)used, MSG_DONTWAIT | MSG_TRUNC) == used ? 0
										    : -EPROTO;
}

/* Return: 0; -EAGAIN: the socket takes no more; another -errno. */
static int send_waiting(struct udp_flow *f)
{
	while (f->waiting && f->waiting_sent < f->waiting_len) {
		ssize_t n = send(f->flow.fd, f->waiting + f->waiting_sent,
				 f->waiting_len - f->waiting_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			f->flow.events &= ~(uint32_t)EPOLLOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
		f->waiting_sent += n > 0 ? (uint32_t)n : 0;
	}
	free(f->waiting);
	f->waiting = NULL;
	return 0;
}

/* Return: 0 or -EAGAIN; another -errno: it is over. */
static int run(struct usernet *u, struct udp_flow *f)
{
	int err = f->flow.fd < 0 ? -ECONNRESET : 0;

	if (err == 0 && f->talk) {
		err = way_go_on(&u->way, f->talk, f->flow.fd, u->now_ns, &f->flow.events);
		if (err < 0)
			return err;
		f->talk = way_talk_free(f->talk);
		free(f->first);
		f->first = NULL;
	}
	if (err == 0)
		err = send_waiting(f);
	if (err < 0 && err != -EAGAIN)
		return err;
	err = 0;
	for (int i = 0; i < RECEIVES_PER_TURN && err == 0 &&
			f->flow.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	     i++)
		err = receive(u, f);
	if (err == 0 && f->flow.events & EPOLLIN)
		flow_mark(&u->flows, &f->flow);
	return err;
}

void connect_udp_work(struct usernet *u, struct flow *flow)
{
	struct udp_flow *f = of(flow);
	int err = run(u, f);

	if (ends_at(f) <= u->now_ns)
		err = -ETIMEDOUT;
	if (err == 0 || err == -EAGAIN) {
		flow_wake_at(&u->flows, flow, ends_at(f));
		return;
	}
	if (f->talk)
		refuse_first(u, f, err);
	connect_udp_end(u, flow);
}
