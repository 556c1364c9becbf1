/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A SYN makes a socket and a connect(); when the host's connection stands, the
 * SYN is answered. From then on there are two TCP connections and two rings between them: what
 * arrives from the peer is sent to the host as far as its socket takes it, what the host sends
 * is read straight into the ring that retransmissions come from, as far as the peer's path may
 * want it. Neither side is read faster than the other takes, so nothing else is queued.
 *
 * Ends are passed on one by one: FIN for the end of a file, reset for reset.
 *
 * With tier A (transparent.h) the SYN goes to the kernel instead of being answered here, and so does what follows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "sys/random.h"
#include "usernet/internal.h"
#include "usernet/service.h"
#include "usernet/transparent.h"

enum {
	HALF_OPEN_MAX = 4096,
	READ_LEAST = TCP_RING_MIN,
	READ_MOST = 1 << 18,
	READ_PER_TURN = 1 << 19,
	TOS_ECN = 3,
	EPHEMERAL_FROM = 32768,
	EPHEMERAL_TRIES = 64,
};

#define TRIM_AFTER     (5 * SECOND)
#define RETRY_AFTER    (SECOND / 100) /* there was no memory for what waits */
#define CONNECT_WITHIN (130 * SECOND) /* the host's own patience is about this */

/**
 * struct tcp_flow - One connection of a peer, and the host's that continues it
 * @syn:	While the host connects: to be answered or refused
 * @through:	Tier A: where it goes on, once the host's connection stands; then @tcp is not in use. NULL: here
 * @talk:	While it connects through a proxy
 * @read_size:	What to ask the host's socket for: grows with what it has
 */
struct tcp_flow {
	struct flow flow;
	struct tcp tcp;
	struct tcp_segment syn;
	struct transparent_flow *through;
	struct way_talk *talk;
	uint64_t trim_ns; /* UINT64_MAX: nothing to give back */
	uint64_t connect_until_ns;
	uint32_t read_size;
	bool is_connecting;
	bool is_trusted; /* a resolver, a service: it may be this host */
	bool host_ended; /* it will send no more */
	bool host_shut;	 /* we told it that the peer will send no more */
	bool lacks_memory;
};

static struct tcp_flow *of(struct flow *flow)
{
	return (struct tcp_flow *)(void *)flow;
}

static void forget(struct usernet *u, struct tcp_flow *f)
{
	if (!f->is_connecting && !f->through)
		tcp_done(&f->tcp);
	way_talk_free(f->talk);
	usernet_forget(u, &f->flow);
	free(f);
}

static void drain(struct usernet *u, struct tcp_flow *f)
{
	struct inet_offload offload;
	uint32_t len = 0;

	while ((len = tcp_output(&f->tcp, u->now_ns, out_room(u), &offload)) != 0)
		out_put(u, len, &offload);
}

void tcp_flow_end(struct usernet *u, struct flow *flow)
{
	struct tcp_flow *f = of(flow);

	if (f->is_connecting) {
		answer_reset(u, &flow->pair, &f->syn, 0);
	} else if (f->through) {
		transparent_end(u, f->through);
	} else {
		tcp_abort(&f->tcp);
		drain(u, f);
	}
	if (flow->fd >= 0) {
		host_close_at_once(flow->fd);
		flow->fd = -1;
	}
	forget(u, f);
}

/* --- Opening --- */

/* Tell the peer why there is no connection. */
static void refuse(struct usernet *u, const struct inet_pair *pair,
		   const struct tcp_segment *syn, int err)
{
	uint8_t packet[TCP_PACKET_HEADERS_MAX];
	enum inet_icmp_error error;
	struct inet_offload offload;
	struct inet_pair back = { .local = pair->remote,
				  .remote = pair->local,
				  .local_port = pair->remote_port,
				  .remote_port = pair->local_port };
	uint32_t len = 0;

	usernet_count(u, USERNET_TCP_REFUSED);
	if (err == -ECONNREFUSED || err == -ECONNRESET || !answer_errno(err, &error)) {
		answer_reset(u, pair, syn, 0);
		return;
	}
	len = tcp_packet_write(&back, syn, 0, 0, 1, packet, &offload);
	answer_error(u, error, 0, packet, len);
}

static int open_straight(struct usernet *u, struct tcp_flow *f, const struct ip_addr *to,
			 const struct inner *in)
{
	struct host_marks marks = { .hops = -1, .tos = -1, .df = 1 };
	uint16_t port = f->flow.pair.local_port;
	struct ip_addr host = *to;
	struct sockaddr_storage address;
	const int on = 1;
	int err;

	f->is_trusted = dns_target(u, &f->flow.pair, &host) ||
			service_find(u, false, &f->flow.pair, &host, &port);
	err = host_socket(host.family, SOCK_STREAM, 0);

	if (err < 0)
		return err;
	f->flow.fd = err;
	setsockopt(f->flow.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(f->flow.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(f->flow.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	host_set_marks(f->flow.fd, host.family, &marks, (uint8_t)(in->hops - 1),
		       in->ip.tos & (uint8_t)~TOS_ECN, true);
	if (connect(f->flow.fd, (struct sockaddr *)&address,
		    host_address(&host, port, &address)) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	return host_watch(u,
			  &f->flow); /* not before: an unconnected socket counts as hung up */
}

static int open_host(struct usernet *u, struct tcp_flow *f, const struct ip_addr *to,
		     const struct inner *in)
{
	int err = 0;

	if (way_is_direct(&u->way))
		return open_straight(u, f, to, in);
	err = way_open(&u->way, WAY_OCTETS, to, f->flow.pair.local_port, &f->talk);
	if (err < 0)
		return err;
	f->flow.fd = err;
	return host_watch(u, &f->flow);
}

static void begin(struct usernet *u, const struct inner *in, const struct inet_pair *pair,
		  const struct ip_addr *to, const struct tcp_segment *syn)
{
	struct tcp_flow *f = calloc(1, sizeof(*f));
	int err = f ? open_host(u,
				(f->flow = (struct flow){ .kind = FLOW_TCP,
							  .fd = -1,
							  .pair = *pair },
				 f),
				to, in)
		    : -ENOMEM;

	if (err < 0) {
		if (err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS)
			usernet_count(u, USERNET_FULL); /* the peer will try again */
		else
			refuse(u, pair, syn, err);
		if (f && f->flow.fd >= 0)
			close(f->flow.fd);
		if (f)
			way_talk_free(f->talk);
		free(f);
		return;
	}
	f->syn = *syn;
	f->is_connecting = true;
	f->read_size = READ_LEAST;
	f->trim_ns = UINT64_MAX;
	f->connect_until_ns = u->now_ns + CONNECT_WITHIN;
	f->flow.is_half_open = true;
	flow_add(&u->flows, &f->flow);
	flow_wake_at(&u->flows, &f->flow, f->connect_until_ns);
	usernet_count(u, USERNET_TCP_OPENED);
}

static void open_flow(struct usernet *u, const struct inner *in, const struct inet_pair *pair,
		      const struct tcp_segment *syn)
{
	struct ip_addr to;
	uint8_t quoted[OUT_QUOTE];

	uint16_t port;

	if (!dns_target(u, pair, &to) && !service_find(u, false, pair, &to, &port)) {
		if (own_is_address(u, &to)) {
			answer_reset(u, pair, syn, 0);
			return;
		}
		if (own_may_reach(u, &to) != EGRESS_OK) {
			usernet_count(u, USERNET_DENIED);
			answer_error(u, INET_ICMP_PROHIBITED, 0, quoted,
				     answer_quote(in, quoted));
			return;
		}
	}
	if (flow_half_open(&u->flows, pair) >= HALF_OPEN_MAX / 2 ||
	    u->flows.half_open >= HALF_OPEN_MAX) {
		usernet_count(u, USERNET_FULL);
		return;
	}
	if (usernet_make_room(u, pair))
		begin(u, in, pair, &to, syn);
}

/* --- A call from outside --- */

/* A port of ours that is free towards this peer; at random, so that none can be foreseen (RFC 6056). */
static bool pick_port(struct usernet *u, struct inet_pair *pair)
{
	for (int i = 0; i < EPHEMERAL_TRIES; i++) {
		uint16_t port = 0;

		random_fill(&port, sizeof(port));
		pair->local_port = port | EPHEMERAL_FROM;
		if (!flow_find(&u->flows, FLOW_TCP, pair))
			return true;
	}
	return false;
}

void tcp_flow_call(struct usernet *u, int fd, const struct ip_addr *to, uint16_t port)
{
	struct inet_pair pair = { .remote = *to, .remote_port = port };
	struct tcp_flow *f = NULL;
	uint32_t ts_offset = 0;
	const int on = 1;

	if (own_address(u, to->family, &pair.local) && usernet_make_room(u, &pair) &&
	    pick_port(u, &pair))
		f = calloc(1, sizeof(*f));
	if (!f) {
		host_close_at_once(fd);
		return;
	}
	f->flow = (struct flow){ .kind = FLOW_TCP, .fd = fd, .pair = pair };
	f->read_size = READ_LEAST;
	f->trim_ns = UINT64_MAX;
	random_fill(&ts_offset, sizeof(ts_offset));
	tcp_connect(&f->tcp, &u->tcp, &pair, tcp_isn(u->isn_key, &pair, u->now_ns), ts_offset,
		    u->now_ns);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	flow_add(&u->flows, &f->flow);
	flow_mark(&u->flows, &f->flow);
	usernet_count(u, USERNET_TCP_OPENED);
	if (host_watch(u, &f->flow) < 0)
		tcp_flow_end(u, &f->flow);
}

/* --- From the peer --- */

/* Is a SYN for this flow the beginning of another connection? */
static bool may_begin_anew(const struct usernet *u, const struct tcp_flow *f,
			   const struct tcp_segment *s)
{
	if (!(s->flags & TCP_FLAG_SYN) || s->flags & TCP_FLAG_ACK || f->is_connecting)
		return false;
	return f->through ? transparent_is_closed(u, f->through) : tcp_may_reuse(&f->tcp, s);
}

void tcp_flow_receive(struct usernet *u, const struct inner *in)
{
	uint32_t offset = in->upper.offset;
	struct inet_pair pair = { .local = in->ip.destination, .remote = in->ip.source };
	struct iovec payload[SLICES_MAX];
	struct tcp_segment s;
	struct flow *flow = NULL;
	size_t n = 0;

	if (!tcp_segment_parse(in->packet + offset, in->len - offset, &s)) {
		usernet_count(u, USERNET_MALFORMED);
		return;
	}
	pair.local_port = s.destination_port;
	pair.remote_port = s.source_port;
	flow = flow_find(&u->flows, FLOW_TCP, &pair);
	if (flow && may_begin_anew(u, of(flow), &s)) {
		tcp_flow_end(u, flow);
		flow = NULL;
	}
	if (!flow) {
		if ((s.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST | TCP_FLAG_FIN)) ==
		    TCP_FLAG_SYN)
			open_flow(u, in, &pair, &s);
		else
			answer_reset(u, &pair, &s, in->len - offset - s.header_len);
		return;
	}
	flow_touch(&u->flows, flow);
	if (of(flow)->is_connecting) {
		if (s.flags & TCP_FLAG_RST && s.sequence == of(flow)->syn.sequence + 1)
			tcp_flow_end(u, flow);
		else if ((s.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN)
			of(flow)->syn = s; /* it may have begun anew */
		return;
	}
	if (of(flow)->through) {
		transparent_receive(u, of(flow)->through, in, s.flags & TCP_FLAG_RST);
		return;
	}
	n = inner_payload(in, offset + s.header_len, payload);
	tcp_input(&of(flow)->tcp, u->now_ns, &s, payload, n, (in->ip.tos & TOS_ECN) == TOS_ECN);
	flow_mark(&u->flows, flow);
}

void tcp_flow_too_big(struct usernet *u, const struct inner *in, uint32_t quoted_at,
		      uint32_t mtu)
{
	const uint8_t *quoted = in->packet + quoted_at;
	uint32_t len = in->len - quoted_at;
	struct inet_upper upper;
	struct inet_pair pair;
	struct inet_ip ip;
	struct flow *flow = NULL;

	/* Of the quotation only the beginning is there: its own length is not to be believed. */
	if (len < 28 || !inet_ip_parse(quoted, UINT16_MAX, &ip) ||
	    !inet_upper_find(quoted, len, &upper) || upper.protocol != INET_TCP ||
	    upper.offset + 8 > len)
		return;
	pair = (struct inet_pair){ .local = ip.source,
				   .remote = ip.destination,
				   .local_port = get_be16(quoted + upper.offset),
				   .remote_port = get_be16(quoted + upper.offset + 2) };
	flow = flow_find(&u->flows, FLOW_TCP, &pair);
	if (!flow || of(flow)->is_connecting)
		return;
	if (of(flow)->through) {
		transparent_too_big(u, of(flow)->through, in, quoted_at);
		return;
	}
	tcp_shrink_mtu(&of(flow)->tcp, mtu, get_be32(quoted + upper.offset + 4));
	flow_mark(&u->flows, flow);
}

/* --- The host's connection stands, or not --- */

/* The host's connection stands. Return: false when the flow is over. */
static bool answer_syn(struct usernet *u, struct tcp_flow *f)
{
	struct inet_pair *pair = &f->flow.pair;
	uint32_t ts_offset = 0;

	if (u->transparent) {
		if (transparent_begin(u, &f->flow, &f->syn, &f->through) == 0)
			return true;
		f->is_connecting = true; /* as if the host had had no socket left */
		usernet_count(u, USERNET_FULL);
		tcp_flow_end(u, &f->flow);
		return false;
	}
	flow_opened(&u->flows, &f->flow);
	random_fill(&ts_offset, sizeof(ts_offset));
	tcp_accept(&f->tcp, &u->tcp, pair, &f->syn, tcp_isn(u->isn_key, pair, u->now_ns),
		   ts_offset, u->now_ns);
	return true;
}

/* Return: 0 when it stands, -EAGAIN, or why it does not. */
static int look_straight(struct usernet *u, struct tcp_flow *f)
{
	struct flow *flow = &f->flow;
	socklen_t size = sizeof(int);
	int err = 0;

	if (!(flow->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return -EAGAIN;
	if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		err = errno;
	if (err == 0 && !f->is_trusted && host_is_ourselves(flow->fd)) {
		usernet_count(u, USERNET_DENIED);
		err = EACCES;
	}
	return -err;
}

static int look_at_host(struct usernet *u, struct tcp_flow *f)
{
	if (u->now_ns >= f->connect_until_ns)
		return -ETIMEDOUT;
	if (!f->talk)
		return look_straight(u, f);
	return way_go_on(&u->way, f->talk, f->flow.fd, u->now_ns, &f->flow.events);
}

/* Return: false while it does not stand; the flow may be over. */
static bool finish_connecting(struct usernet *u, struct tcp_flow *f)
{
	struct flow *flow = &f->flow;
	struct inet_pair pair = flow->pair;
	struct ip_addr to;
	bool is_resolver = dns_target(u, &pair, &to);
	int err = look_at_host(u, f);

	if (err == -EAGAIN)
		return false;
	if (err) {
		if (is_resolver)
			dns_failed(u, &to);
		refuse(u, &pair, &f->syn, err);
		forget(u, f);
		return false;
	}
	f->talk = way_talk_free(f->talk);
	f->is_connecting = false;
	return answer_syn(u, f);
}

/* --- Both ways --- */

static void host_failed(struct tcp_flow *f)
{
	tcp_abort(&f->tcp);
	host_close_at_once(f->flow.fd);
	f->flow.fd = -1;
}

static void deliver(struct usernet *u, struct tcp_flow *f)
{
	struct iovec slices[2];
	int n = 0;

	while (f->flow.fd >= 0 && f->flow.events & EPOLLOUT &&
	       (n = tcp_receive_slices(&f->tcp, slices)) > 0) {
		struct msghdr msg = { .msg_iov = slices, .msg_iovlen = (size_t)n };
		ssize_t sent = sendmsg(f->flow.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN)
			f->flow.events &= ~(uint32_t)EPOLLOUT;
		else if (sent < 0 && errno != EINTR)
			host_failed(f);
		if (sent > 0)
			tcp_receive_taken(&f->tcp, (uint32_t)sent, u->now_ns);
	}
	if (f->flow.fd >= 0 && !f->host_shut && tcp_receive_ended(&f->tcp)) {
		shutdown(f->flow.fd, SHUT_WR);
		f->host_shut = true;
	}
}

/* What was asked for was there: ask for more next time. And less, when it was far from it. */
static void adapt_read(struct tcp_flow *f, uint32_t asked, uint32_t got)
{
	if (got == asked && f->read_size < READ_MOST)
		f->read_size *= 4;
	else if (got < asked / 8 && f->read_size > READ_LEAST)
		f->read_size /= 4;
}

/* Return: octets read, 0 for nothing now. */
static uint32_t read_once(struct usernet *u, struct tcp_flow *f, uint32_t want)
{
	struct iovec slices[2];
	uint32_t asked = want < f->read_size ? want : f->read_size;
	int n = tcp_send_space(&f->tcp, asked, slices);
	ssize_t got = 0;

	f->lacks_memory = n == 0;
	if (n == 0)
		return 0;
	asked = (uint32_t)(slices[0].iov_len + (n > 1 ? slices[1].iov_len : 0));
	got = readv(f->flow.fd, slices, n);
	if (got > 0) {
		tcp_send_written(&f->tcp, (uint32_t)got, (uint32_t)got == asked);
		adapt_read(f, asked, (uint32_t)got);
		if (f->read_size > 4 * READ_LEAST)
			f->trim_ns = u->now_ns + TRIM_AFTER;
		return (uint32_t)got;
	}
	if (got == 0) {
		f->host_ended = true;
		tcp_send_end(&f->tcp);
	} else if (errno == EAGAIN) {
		f->flow.events &= ~(uint32_t)EPOLLIN;
		tcp_send_written(&f->tcp, 0, false);
	} else if (errno != EINTR) {
		host_failed(f);
	}
	return 0;
}

/* Return: true when its turn is over but not its data. */
static bool fetch(struct usernet *u, struct tcp_flow *f)
{
	uint32_t want = 0, got = 0, sum = 0;

	while (f->flow.fd >= 0 && !f->host_ended &&
	       f->flow.events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP) &&
	       (want = tcp_send_wanted(&f->tcp)) > 0) {
		got = read_once(u, f, want);
		sum += got;
		if (got == 0 || sum >= READ_PER_TURN)
			break;
		drain(u, f);
	}
	return sum >= READ_PER_TURN;
}

/* --- The end --- */

static bool has_undelivered(const struct tcp_flow *f)
{
	struct iovec slices[2];

	return f->flow.fd >= 0 && (tcp_receive_slices(&f->tcp, slices) > 0 ||
				   (tcp_receive_ended(&f->tcp) && !f->host_shut));
}

/* Return: true when nothing is left of it. */
static bool settle(struct usernet *u, struct tcp_flow *f)
{
	bool is_over = f->tcp.state == TCP_STATE_CLOSED;

	if (is_over && f->tcp.end != TCP_END_NONE) { /* broken off: so is the other side */
		if (f->flow.fd >= 0)
			host_close_at_once(f->flow.fd);
		f->flow.fd = -1;
		return true;
	}
	if ((is_over || f->tcp.state == TCP_STATE_TIME_WAIT) && f->flow.fd >= 0 &&
	    f->host_ended && !has_undelivered(f)) {
		close(f->flow.fd);
		f->flow.fd = -1;
		flow_retire(&u->flows, &f->flow);
	}
	if (is_over)
		return f->flow.fd < 0;
	if (f->trim_ns <= u->now_ns) {
		tcp_trim(&f->tcp);
		f->trim_ns = UINT64_MAX;
	}
	flow_wake_at(&u->flows, &f->flow, tcp_deadline_ns(&f->tcp));
	flow_wake_at(&u->flows, &f->flow, f->trim_ns);
	if (f->lacks_memory)
		flow_wake_at(&u->flows, &f->flow, u->now_ns + RETRY_AFTER);
	return false;
}

void tcp_flow_work(struct usernet *u, struct flow *flow)
{
	struct tcp_flow *f = of(flow);
	bool has_more = false;

	if (f->is_connecting && !finish_connecting(u, f))
		return;
	if (f->through) {
		if (transparent_work(u, f->through))
			tcp_flow_end(u, flow);
		return;
	}
	if (tcp_deadline_ns(&f->tcp) <= u->now_ns)
		tcp_expire(&f->tcp, u->now_ns);
	deliver(u, f);
	drain(u, f);
	has_more = fetch(u, f);
	drain(u, f);
	if (settle(u, f))
		forget(u, f);
	else if (has_more)
		flow_mark(&u->flows, flow);
}
