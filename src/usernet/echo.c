/* SPDX-License-Identifier: Apache-2.0 */
/* Echo: each identifier of a peer has a socket of its own (echo_socket.h), and another identifier outside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "usernet/echo_socket.h"
#include "usernet/internal.h"

enum {
	REQUEST_V4 = 8,
	REPLY_V4 = 0,
	REQUEST_V6 = 128,
	REPLY_V6 = 129,
	RECEIVES_PER_TURN = 32,
	MESSAGE_MAX = 65507,
	V4_DF = 0x40,
};

#define ECHO_FOR (60 * SECOND) /* RFC 5508 requirement 2 */

struct echo_flow {
	struct flow flow;
	struct host_marks marks;
	struct echo_socket socket;
	uint64_t used_ns;
};

static struct echo_flow *of(struct flow *flow)
{
	return (struct echo_flow *)(void *)flow;
}

void echo_end(struct usernet *u, struct flow *flow)
{
	u->n_raw_echoes -= of(flow)->socket.is_raw;
	usernet_forget(u, flow);
	free(flow);
}

static int open_host(struct usernet *u, struct echo_flow *f)
{
	const int on = 1;
	bool is_v4 = f->flow.pair.remote.family == ADDR_V4;
	int err = echo_socket_open(&f->socket, f->flow.pair.remote.family, u->n_raw_echoes);

	if (err < 0)
		return err;
	f->flow.fd = f->socket.fd;
	setsockopt(f->flow.fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
		   is_v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
	return host_watch(u, &f->flow);
}

static struct echo_flow *open_flow(struct usernet *u, const struct inet_pair *key, int *ret_err)
{
	struct echo_flow *f = NULL;

	*ret_err = -ENOMEM;
	if (!usernet_make_room(u, key))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->flow = (struct flow){ .kind = FLOW_ECHO, .fd = -1, .pair = *key };
	f->marks = (struct host_marks){ -1, -1, -1 };
	*ret_err = open_host(u, f);
	if (*ret_err < 0) {
		if (f->flow.fd >= 0)
			close(f->flow.fd);
		free(f);
		return NULL;
	}
	u->n_raw_echoes += f->socket.is_raw;
	flow_add(&u->flows, &f->flow);
	usernet_count(u, USERNET_ECHO_OPENED);
	return f;
}

static void refuse(struct usernet *u, const struct inner *in, enum inet_icmp_error error)
{
	uint8_t quoted[OUT_QUOTE];

	answer_error(u, error, 0, quoted, answer_quote(in, quoted));
}

static int send_to_host(struct echo_flow *f, const struct inner *in)
{
	struct iovec payload[SLICES_MAX];
	struct sockaddr_storage to;
	struct msghdr msg = { .msg_iov = payload, .msg_name = &to };

	msg.msg_iovlen = inner_payload(in, in->upper.offset, payload);
	msg.msg_namelen = host_address(&in->ip.destination, 0, &to);
	for (int tries = 0; tries < 2; tries++)
		if (sendmsg(f->flow.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
	return -errno;
}

void echo_receive(struct usernet *u, const struct inner *in)
{
	bool is_v4 = in->ip.source.family == ADDR_V4;
	const uint8_t *message = in->packet + in->upper.offset;
	struct inet_pair key = { .remote = in->ip.source };
	enum inet_icmp_error error;
	struct flow *flow = NULL;
	struct echo_flow *f = NULL;
	int err = 0;

	if (in->len - in->upper.offset < INET_ECHO_HEADER ||
	    message[0] != (is_v4 ? REQUEST_V4 : REQUEST_V6))
		return;
	if (!way_is_direct(&u->way) || own_may_reach(u, &in->ip.destination) != EGRESS_OK) {
		usernet_count(u, USERNET_DENIED);
		refuse(u, in, INET_ICMP_PROHIBITED);
		return;
	}
	key.remote_port = get_be16(message + 4);
	flow = flow_find(&u->flows, FLOW_ECHO, &key);
	f = flow ? of(flow) : open_flow(u, &key, &err);
	if (f) {
		host_set_marks(f->flow.fd, in->ip.source.family, &f->marks,
			       (uint8_t)(in->hops - 1), in->ip.tos,
			       is_v4 && in->packet[6] & V4_DF);
		echo_socket_prepare(&f->socket, in->packet + in->upper.offset);
		err = send_to_host(f, in);
		if (err < 0)
			echo_socket_restore(&f->socket, in->packet + in->upper.offset,
					    key.remote_port);
		f->used_ns = u->now_ns;
		flow_touch(&u->flows, &f->flow);
		flow_wake_at(&u->flows, &f->flow, f->used_ns + ECHO_FOR);
	}
	if (err < 0 && answer_errno(err, &error))
		refuse(u, in, error);
}

/* --- From the host --- */

static void hand_over(struct usernet *u, const struct echo_flow *f, const struct ip_addr *from,
		      uint8_t *message, uint32_t len)
{
	bool is_v4 = f->flow.pair.remote.family == ADDR_V4;
	uint32_t header_len = is_v4 ? 20 : 40;

	if (!echo_socket_is_own(&f->socket, message, len) ||
	    message[0] != (is_v4 ? REPLY_V4 : REPLY_V6) ||
	    from->family != f->flow.pair.remote.family)
		return;
	put_be16(message + 4, f->flow.pair.remote_port);
	inet_echo_write(from, &f->flow.pair.remote, HOPS, message, len, message - header_len);
	out_send(u, message - header_len, header_len + len);
}

static void hand_over_error(struct usernet *u, const struct echo_flow *f,
			    const struct host_error *e, uint8_t *message, uint32_t len)
{
	uint8_t quoted[OUT_QUOTE];
	struct ip_addr source = e->source.family == e->to.family ? e->source : e->to;
	uint32_t at = f->flow.pair.remote.family == ADDR_V4 ? 20 : 40;

	if (!echo_socket_is_own(&f->socket, message, len) ||
	    e->to.family != f->flow.pair.remote.family)
		return;
	if (len > OUT_QUOTE - at)
		len = OUT_QUOTE - at;
	put_be16(message + 4, f->flow.pair.remote_port);
	memcpy(quoted + at, message, len);
	inet_echo_write(&f->flow.pair.remote, &e->to, HOPS, quoted + at, len, quoted);
	answer_error_from(u, &e->kind, &source, quoted, at + len);
}

static bool receive_one(struct usernet *u, struct echo_flow *f)
{
	struct sockaddr_storage from = { 0 };
	socklen_t size = sizeof(from);
	struct ip_addr ip;
	uint16_t port;
	uint32_t skipped;
	ssize_t n = recvfrom(f->flow.fd, u->inbox + INBOX_FRONT, MESSAGE_MAX, MSG_DONTWAIT,
			     (struct sockaddr *)&from, &size);

	if (n < 0) {
		if (errno == EAGAIN)
			f->flow.events &= ~(uint32_t)EPOLLIN;
		return false;
	}
	host_address_read(&from, &ip, &port);
	f->used_ns = u->now_ns;
	skipped = echo_socket_skip(&f->socket, u->inbox + INBOX_FRONT, (uint32_t)n);
	hand_over(u, f, &ip, u->inbox + INBOX_FRONT + skipped, (uint32_t)n - skipped);
	return true;
}

void echo_work(struct usernet *u, struct flow *flow)
{
	struct echo_flow *f = of(flow);
	struct host_error error;

	for (int n = 0; n < RECEIVES_PER_TURN && flow->events & EPOLLERR; n++) {
		int len = host_error_read(flow->fd, &error, u->inbox, MESSAGE_MAX);

		if (len < 0)
			flow->events &= ~(uint32_t)EPOLLERR;
		else
			hand_over_error(u, f, &error, u->inbox, (uint32_t)len);
	}
	for (int n = 0; n < RECEIVES_PER_TURN && flow->events & EPOLLIN; n++)
		receive_one(u, f);
	if (flow->events & (EPOLLIN | EPOLLERR))
		flow_mark(&u->flows, flow);
	if (f->used_ns + ECHO_FOR <= u->now_ns)
		echo_end(u, flow);
	else
		flow_wake_at(&u->flows, flow, f->used_ns + ECHO_FOR);
}
