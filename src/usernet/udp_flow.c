/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One socket per port of a peer, whomever it speaks to; the port that the world sees does not depend on
 * that, and whoever learns of it may answer (RFC 4787, requirements 1 and 8). Queries to a
 * resolver have a socket each, connected to it, because their answers come from our own address.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "usernet/connect_datagram.h"
#include "usernet/forward_udp.h"
#include "usernet/internal.h"
#include "usernet/service.h"

enum {
	RECEIVES_PER_TURN = 16,
	SOCKET_BUFFER_BYTES = 4 << 20, /* as much of it as the kernel lets anybody have */
	SEGMENTS_MAX = 64,
};

/* RFC 4787 requirement 5 asks for two minutes at least, once there is an answer; RFC 5452 and practice for
 * DNS. */
#define ONE_WAY_FOR (30 * SECOND)
#define TWO_WAY_FOR (300 * SECOND)
#define QUERY_FOR   (17 * SECOND)

/* Where all of a flow goes. ADDR_NONE: where the peer says. */
struct target {
	struct ip_addr to;
	uint16_t port;
	bool is_service; /* rather than a resolver */
};

struct udp_flow {
	struct flow flow;
	struct host_marks marks;
	struct ip_addr judged; /* the last destination that was allowed */
	struct target target;
	uint64_t used_ns;
	uint8_t family; /* of the host's socket: a resolver may have another than the peer */
	bool has_answer;
};

static struct udp_flow *of(struct flow *flow)
{
	return (struct udp_flow *)(void *)flow;
}

static uint64_t ends_at(const struct udp_flow *f)
{
	if (f->target.to.family != ADDR_NONE && !f->target.is_service)
		return f->used_ns + QUERY_FOR;
	return f->used_ns + (f->has_answer ? TWO_WAY_FOR : ONE_WAY_FOR);
}

void udp_flow_end(struct usernet *u, struct flow *flow)
{
	usernet_forget(u, flow);
	free(flow);
}

/* --- Opening --- */

static int open_host(struct usernet *u, struct udp_flow *f)
{
	const int on = 1, buffer = SOCKET_BUFFER_BYTES;
	bool is_v4 = f->family == ADDR_V4;
	int fd = host_socket(f->family, SOCK_DGRAM, 0);

	if (fd < 0)
		return fd;
	f->flow.fd = fd;
	setsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_RECVERR : IPV6_RECVERR,
		   &on, sizeof(on));
	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on)); /* where the kernel has it */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	if (f->target.to.family != ADDR_NONE) {
		struct sockaddr_storage to;

		if (connect(fd, (struct sockaddr *)&to,
			    host_address(&f->target.to, f->target.port, &to)) < 0)
			return -errno;
	}
	return host_watch(u, &f->flow);
}

static struct udp_flow *open_flow(struct usernet *u, const struct inet_pair *key,
				  const struct target *target)
{
	struct udp_flow *f = NULL;
	int err = -ENOMEM;

	if (!usernet_make_room(u, key))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (f) {
		f->flow = (struct flow){ .kind = FLOW_UDP, .fd = -1, .pair = *key };
		f->marks = (struct host_marks){ -1, -1, -1 };
		f->target = *target;
		f->family =
			target->to.family != ADDR_NONE ? target->to.family : key->remote.family;
		err = open_host(u, f);
	}
	if (err < 0) {
		usernet_count(u, USERNET_FULL);
		if (f && f->flow.fd >= 0)
			close(f->flow.fd);
		free(f);
		return NULL;
	}
	flow_add(&u->flows, &f->flow);
	usernet_count(u, USERNET_UDP_OPENED);
	return f;
}

/* --- To the host --- */

static void set_segment(struct msghdr *msg, void *control, size_t room, uint16_t size)
{
	struct cmsghdr *c = NULL;

	memset(control, 0, room);
	msg->msg_control = control;
	msg->msg_controllen = room;
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

/* An error that waits at the socket is told by the next call that sends: that one is free. */
static int send_message(int fd, const struct msghdr *msg)
{
	for (int tries = 0; tries < 3; tries++) {
		if (sendmsg(fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != EPROTO)
			return -errno;
	}
	return -EAGAIN;
}

static int send_to_host(struct udp_flow *f, const struct inner *in, const struct inet_udp *udp)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
	struct iovec payload[SLICES_MAX];
	struct sockaddr_storage to;
	struct msghdr msg = { .msg_iov = payload };

	msg.msg_iovlen = inner_payload(in, in->upper.offset + INET_UDP_HEADER, payload);
	if (!in->gso_size && msg.msg_iovlen) /* what lies behind the datagram's own end */
		payload[0].iov_len = udp->len - INET_UDP_HEADER;
	if (f->target.to.family == ADDR_NONE) {
		msg.msg_namelen = host_address(&in->ip.destination, udp->destination_port, &to);
		msg.msg_name = &to;
	}
	if (in->gso_size)
		set_segment(&msg, control, sizeof(control), in->gso_size);
	return send_message(f->flow.fd, &msg);
}

static void refuse(struct usernet *u, const struct inner *in, enum inet_icmp_error error,
		   uint32_t mtu)
{
	uint8_t quoted[OUT_QUOTE];

	answer_error(u, error, mtu, quoted, answer_quote(in, quoted));
}

static void tell_failure(struct usernet *u, struct udp_flow *f, const struct inner *in, int err)
{
	enum inet_icmp_error error;

	usernet_count(u, USERNET_DROPPED);
	if (err ==
	    -EMSGSIZE) { /* how large it may be stands in the error queue: udp_flow_work() */
		f->flow.events |= EPOLLERR;
		flow_mark(&u->flows, &f->flow);
		return;
	}
	if (answer_errno(err, &error))
		refuse(u, in, error, 0);
}

/* Return: whether @in may go where it wants to. */
static bool may_pass(struct usernet *u, struct udp_flow *f, const struct inner *in)
{
	if (f->target.to.family != ADDR_NONE || ip_addr_equal(&f->judged, &in->ip.destination))
		return true;
	if (own_may_reach(u, &in->ip.destination) != EGRESS_OK)
		return false;
	f->judged = in->ip.destination;
	return true;
}

static struct udp_flow *find(struct usernet *u, const struct inner *in,
			     const struct inet_udp *udp)
{
	struct inet_pair key = { .local = in->ip.destination,
				 .remote = in->ip.source,
				 .local_port = udp->destination_port,
				 .remote_port = udp->source_port };
	struct target target = { .port = DNS_PORT };
	bool is_fixed = dns_target(u, &key, &target.to);
	struct flow *flow = NULL;

	if (!is_fixed)
		is_fixed = target.is_service =
			service_find(u, true, &key, &target.to, &target.port);
	if (!is_fixed) {
		if (own_is_address(u, &key.local)) {
			refuse(u, in, INET_ICMP_PORT_UNREACHABLE, 0);
			return NULL;
		}
		target.to = key.local = (struct ip_addr){ 0 };
		key.local_port = 0;
	}
	flow = flow_find(&u->flows, FLOW_UDP, &key);
	if (flow)
		return of(flow);
	if (!is_fixed && own_may_reach(u, &in->ip.destination) != EGRESS_OK) {
		usernet_count(u, USERNET_DENIED);
		refuse(u, in, INET_ICMP_PROHIBITED, 0);
		return NULL;
	}
	return open_flow(u, &key, &target);
}

void udp_flow_receive(struct usernet *u, const struct inner *in)
{
	struct inet_udp udp;
	struct udp_flow *f = NULL;
	bool df = in->ip.source.family == ADDR_V4 && in->packet[6] & 0x40;
	int err = 0;

	if (!inet_udp_parse(in->packet + in->upper.offset, in->len - in->upper.offset,
			    in->gso_size != 0, &udp)) {
		usernet_count(u, USERNET_MALFORMED);
		return;
	}
	if (own_is_address(u, &in->ip.destination) && forward_udp_answer(u, in, &udp))
		return;
	if (!way_is_direct(&u->way)) {
		connect_datagram_receive(u, in, &udp);
		return;
	}
	f = find(u, in, &udp);
	if (!f)
		return;
	if (!may_pass(u, f, in)) {
		usernet_count(u, USERNET_DENIED);
		refuse(u, in, INET_ICMP_PROHIBITED, 0);
		return;
	}
	host_set_marks(f->flow.fd, f->family, &f->marks, (uint8_t)(in->hops - 1), in->ip.tos,
		       df);
	err = send_to_host(f, in, &udp);
	if (err < 0)
		tell_failure(u, f, in, err);
	f->used_ns = u->now_ns;
	flow_touch(&u->flows, &f->flow);
	flow_wake_at(&u->flows, &f->flow, ends_at(f));
}

/* --- From the host --- */

/* Each is too large for the tunnel. The headers are written in front of it: over the one before. */
static void pass_on_in_pieces(struct usernet *u, const struct inet_pair *pair, uint8_t *payload,
			      uint32_t len, uint32_t segment)
{
	uint32_t header_len = pair->local.family == ADDR_V4 ? 28 : 48;
	struct inet_offload offload;

	for (uint32_t at = 0; at < len; at += segment) {
		uint32_t n = len - at < segment ? len - at : segment;
		uint8_t *packet = payload + at - header_len;

		inet_udp_write(pair, 0, HOPS, payload + at, n, HOST_INBOX_LEN_MAX, packet,
			       &offload);
		out_send(u, packet, header_len + n);
	}
}

/* A datagram, or several of one size, to the peer. */
static void pass_on(struct usernet *u, const struct inet_pair *pair, uint8_t *payload,
		    uint32_t len, uint32_t segment)
{
	uint32_t header_len = pair->local.family == ADDR_V4 ? 28 : 48;
	struct inet_offload offload;
	uint8_t *out = NULL;

	if (header_len + segment > u->options.mtu) {
		pass_on_in_pieces(u, pair, payload, len, segment);
		return;
	}
	out = out_room(u);
	inet_udp_write(pair, 0, HOPS, payload, len, segment, out, &offload);
	memcpy(out + header_len, payload, len);
	out_put(u, header_len + len, &offload);
}

static void hand_over(struct usernet *u, struct udp_flow *f, const struct host_received *r)
{
	struct inet_pair pair = f->flow.pair;

	if (f->target.to.family == ADDR_NONE) {
		/* Also for whoever calls uninvited: what must not be reached must not reach in. */
		if (!ip_addr_equal(&f->judged, &r->from) &&
		    own_may_reach(u, &r->from) != EGRESS_OK) {
			usernet_count(u, USERNET_DENIED);
			return;
		}
		pair.local = r->from;
		pair.local_port = r->from_port;
	}
	f->has_answer = true;
	f->used_ns = u->now_ns;
	pass_on(u, &pair, r->payload, r->len, r->segment);
}

/* Put the peer's datagram together again, and tell what became of it. */
static void hand_over_error(struct usernet *u, struct udp_flow *f, const struct host_error *e,
			    const uint8_t *payload, uint32_t len)
{
	uint8_t quoted[OUT_QUOTE];
	struct inet_offload offload;
	struct inet_pair pair = { .local = f->flow.pair.remote,
				  .local_port = f->flow.pair.remote_port,
				  .remote = e->to,
				  .remote_port = e->to_port };
	struct ip_addr source = e->source;
	uint32_t header_len = 0;

	if (f->target.to.family != ADDR_NONE) {
		pair.remote = f->flow.pair.local;
		pair.remote_port = f->flow.pair.local_port;
		dns_failed(u, &f->target.to);
	}
	if (pair.remote.family != pair.local.family)
		return;
	if (len > OUT_QUOTE - INET_UDP_HEADERS_MAX)
		len = OUT_QUOTE - INET_UDP_HEADERS_MAX;
	header_len = inet_udp_write(&pair, 0, HOPS, payload, len, HOST_INBOX_LEN_MAX, quoted,
				    &offload);
	memcpy(quoted + header_len, payload, len);
	if (source.family != pair.local.family || f->target.to.family != ADDR_NONE)
		source = pair.remote;
	answer_error_from(u, &e->kind, &source, quoted, header_len + len);
}

static void receive(struct usernet *u, struct udp_flow *f)
{
	struct host_received *received = NULL;
	int n = host_inbox_receive(u->datagrams, f->flow.fd, &received);

	if (n == -EAGAIN)
		f->flow.events &= ~(uint32_t)EPOLLIN;
	for (int i = 0; i < n; i++)
		hand_over(u, f, &received[i]);
}

void udp_flow_work(struct usernet *u, struct flow *flow)
{
	struct udp_flow *f = of(flow);
	struct host_error error;
	int n = 0;

	while (flow->events & EPOLLERR && n < RECEIVES_PER_TURN) {
		int len = host_error_read(flow->fd, &error, u->inbox, HOST_INBOX_LEN_MAX);

		if (len < 0)
			flow->events &= ~(uint32_t)EPOLLERR;
		else
			hand_over_error(u, f, &error, u->inbox, (uint32_t)len);
		n++;
	}
	for (n = 0; n < RECEIVES_PER_TURN && flow->events & EPOLLIN; n++)
		receive(u, f);
	if (flow->events & (EPOLLIN | EPOLLERR))
		flow_mark(&u->flows, flow);
	if (ends_at(f) <= u->now_ns) {
		if (f->target.to.family != ADDR_NONE && !f->has_answer)
			dns_failed(u, &f->target.to);
		udp_flow_end(u, flow);
	} else {
		flow_wake_at(&u->flows, flow, ends_at(f));
	}
}
