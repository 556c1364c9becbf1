/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/transparent.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "usernet/transparent_conduit.h"
#include "usernet/transparent_net.h"

enum {
	PLACES_PER_LISTENER = 65535, /* ports but 0 */
	PACKETS_PER_TURN = 512,
	ACCEPTS_PER_TURN = 64,
	DESCRIPTORS_BESIDE = 256, /* of the tunnel, and listeners */
	FLOWS_LEAST = 64,
	FLOWS_WORTH =
		1024, /* with fewer, where more were asked for, the other tier is the better choice */
	TCP_CHECKSUM_AT = 16,
};

#define ACCEPTED_WITHIN (75 * SECOND) /* the kernel gives up on a handshake after 63 */
#define REMEMBERED_FOR	(61 * SECOND) /* TIME-WAIT */
#define RETIRE_AFTER	SECOND
#define RETRY_AFTER	(SECOND / 100)

/**
 * struct transparent - The namespace, and who is where in it
 * @places:	Flows by place; NULL: free
 * @free_places: A ring: the one that has been free for longest comes next
 */
struct transparent {
	struct transparent_net net;
	struct flow tun;
	struct flow listeners[TRANSPARENT_LISTENERS_MAX];
	struct transparent_flow **places;
	uint32_t *free_places;
	uint32_t n_places;
	uint32_t first_free, n_free;
	struct conduit_pipes pipes;
};

/**
 * struct transparent_flow - The part of a connection in the namespace
 * @accepted:	The accepted socket; its fd is -1 before and afterwards
 * @outer:	The host's socket, and the entry in the table
 * @up, @down:	From the peer to the host and back
 * @until_ns:	Not accepted: when to give up. Closed: when to forget
 * @used_ns:	Last packet, either way
 */
struct transparent_flow {
	struct flow accepted;
	struct flow *outer;
	uint32_t place;
	struct conduit up, down;
	uint64_t until_ns;
	uint64_t used_ns;
	bool is_accepted;
	bool is_closed;
};

static struct transparent_flow *of(struct flow *accepted)
{
	return (struct transparent_flow *)(void *)accepted;
}

/* --- The namespace --- */

/* Two sockets for each flow; pipes and the tunnel's own besides. @ret_flows: how many there may be then */
static int fit_descriptors(const struct usernet *u, uint32_t *ret_flows, struct diag *d)
{
	struct rlimit limit = { 0 };
	rlim_t beside = DESCRIPTORS_BESIDE + 2 * PIPES_MAX, flows = FLOWS_LEAST;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return diag_set(d, -errno, 0, "cannot ask for the limit of descriptors: %s",
				err_text(-errno));
	if (limit.rlim_cur > beside + 2 * flows)
		flows = (limit.rlim_cur - beside) / 2;
	*ret_flows = flows < u->flows.max ? (uint32_t)flows : u->flows.max;
	if (flows < u->flows.max && flows < FLOWS_WORTH && u->options.tier == USERNET_TIER_AUTO)
		return diag_set(
			d, ERR_LIMIT, 0,
			"%llu descriptors are too few for two of each connection (ulimit -n)",
			(unsigned long long)limit.rlim_cur);
	return 0;
}

static int make_places(struct transparent *t, uint32_t n)
{
	t->places = calloc(n, sizeof(struct transparent_flow *));
	t->free_places = malloc(n * sizeof(*t->free_places));
	if (!t->places || !t->free_places)
		return -ENOMEM;
	t->n_places = n;
	t->n_free = n;
	for (uint32_t i = 0; i < n; i++)
		t->free_places[i] = i;
	return 0;
}

static int watch_all(struct usernet *u, struct transparent *t)
{
	int err = 0;

	t->tun = (struct flow){ .kind = FLOW_TUN, .fd = t->net.tun.fd };
	err = host_watch(u, &t->tun);
	for (size_t i = 0; i < t->net.n_listeners && err == 0; i++) {
		t->listeners[i] =
			(struct flow){ .kind = FLOW_ACCEPT, .fd = t->net.listeners[i] };
		err = host_watch(u, &t->listeners[i]);
	}
	return err;
}

int transparent_open(struct usernet *u, struct diag *d)
{
	uint32_t flows = 0;
	size_t listeners = u->options.flows_max / PLACES_PER_LISTENER + 1;
	struct transparent *t = calloc(1, sizeof(*t));
	int err = 0;

	if (!t)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	t->net.tun.fd = -1;
	err = fit_descriptors(u, &flows, d);
	if (err == 0)
		err = transparent_net_open(u->options.mtu, listeners, &t->net, d);
	if (err < 0) {
		transparent_close(t);
		return err;
	}
	err = make_places(t, u->options.flows_max);
	if (err == 0)
		err = watch_all(u, t);
	if (err < 0) {
		transparent_close(t);
		return diag_set(d, err, 0, "cannot use a namespace: %s", err_text(err));
	}
	u->flows.max = flows;
	u->transparent = t;
	return 0;
}

struct transparent *transparent_close(struct transparent *t)
{
	if (!t)
		return NULL;
	conduit_pipes_done(&t->pipes);
	transparent_net_done(&t->net);
	free(t->places);
	free(t->free_places);
	free(t);
	return NULL;
}

/* --- Places --- */

static uint16_t listener_port(uint32_t place)
{
	return (uint16_t)(TRANSPARENT_PORT + place / PLACES_PER_LISTENER);
}

static uint16_t seeming_port(uint32_t place)
{
	return (uint16_t)(1 + place % PLACES_PER_LISTENER);
}

/* NULL: nobody is there. */
static struct transparent_flow *find(const struct transparent *t, uint16_t listener,
				     uint16_t seeming)
{
	uint32_t place = 0;

	if (listener < TRANSPARENT_PORT || seeming == 0)
		return NULL;
	place = (uint32_t)(listener - TRANSPARENT_PORT) * PLACES_PER_LISTENER + seeming - 1;
	return place < t->n_places ? t->places[place] : NULL;
}

static bool take_place(struct transparent *t, struct transparent_flow *f)
{
	if (t->n_free == 0)
		return false;
	f->place = t->free_places[t->first_free];
	t->first_free = (t->first_free + 1) % t->n_places;
	t->n_free--;
	t->places[f->place] = f;
	return true;
}

static void leave_place(struct transparent *t, struct transparent_flow *f)
{
	t->places[f->place] = NULL;
	t->free_places[(t->first_free + t->n_free) % t->n_places] = f->place;
	t->n_free++;
}

/* --- Packets to the namespace --- */

static void use(struct usernet *u, struct transparent_flow *f)
{
	f->used_ns = u->now_ns;
}

int transparent_begin(struct usernet *u, struct flow *outer, const struct tcp_segment *syn,
		      struct transparent_flow **ret)
{
	uint8_t packet[TCP_PACKET_HEADERS_MAX];
	struct inet_pair back = { .local = outer->pair.remote, .remote = outer->pair.local };
	struct tcp_segment copy = *syn;
	struct iovec slices[2] = { 0 };
	struct inet_offload offload;
	struct transparent_flow *f = calloc(1, sizeof(*f));
	int err = 0;

	if (!f)
		return -ENOMEM;
	if (!take_place(u->transparent, f)) {
		free(f);
		return -EMFILE;
	}
	f->accepted = (struct flow){ .kind = FLOW_ACCEPTED, .fd = -1, .pair = outer->pair };
	f->outer = outer;
	f->until_ns = u->now_ns + ACCEPTED_WITHIN;
	use(u, f);
	copy.source_port = seeming_port(f->place);
	copy.destination_port = listener_port(f->place);
	slices[1] = (struct iovec){ packet,
				    tcp_packet_write(&back, &copy, 0, 0, 1, packet, &offload) };
	err = tun_write(&u->transparent->net.tun, slices + 1, 1, &offload);
	if (err < 0) {
		leave_place(u->transparent, f);
		free(f);
		return err;
	}
	*ret = f;
	return 0;
}

/* The checksum was looked at already, so the kernel is told that it is still to be made: it then believes it,
 * and ports may be exchanged without a word about it. */
static void write_packet(struct usernet *u, const struct inner *in)
{
	struct iovec slices[SLICES_MAX + 1];
	struct inet_offload offload = in->offload;
	size_t n = inner_payload(in, 0, slices + 1);

	if (offload.gso == INET_GSO_NONE) {
		offload.needs_csum = true;
		offload.csum_start = (uint16_t)in->upper.offset;
		offload.csum_offset = TCP_CHECKSUM_AT;
	}
	if (tun_write(&u->transparent->net.tun, slices + 1, n, &offload) < 0)
		usernet_count(u, USERNET_DROPPED);
}

void transparent_receive(struct usernet *u, struct transparent_flow *f, const struct inner *in,
			 bool is_reset)
{
	uint8_t *tcp = in->packet + in->upper.offset;

	use(u, f);
	put_be16(tcp, seeming_port(f->place));
	put_be16(tcp + 2, listener_port(f->place));
	write_packet(u, in);
	flow_mark(&u->flows, &u->transparent->tun); /* there may be an answer already */
	if (is_reset && !f->is_accepted) {	    /* nothing will come of it */
		f->until_ns = u->now_ns;
		flow_mark(&u->flows, f->outer);
	}
}

void transparent_too_big(struct usernet *u, struct transparent_flow *f, const struct inner *in,
			 uint32_t quoted_at)
{
	uint8_t *message = in->packet + in->upper.offset;
	uint32_t len = in->len - in->upper.offset;
	struct inet_upper upper;
	uint64_t sum = 0;

	/* In what it quotes we are the source. */
	if (in->n_slices != 1 ||
	    !inet_upper_find(in->packet + quoted_at, in->len - quoted_at, &upper))
		return;
	put_be16(in->packet + quoted_at + upper.offset, listener_port(f->place));
	put_be16(in->packet + quoted_at + upper.offset + 2, seeming_port(f->place));
	put_be16(message + 2, 0);
	sum = inet_sum(message, len);
	if (in->upper.protocol == INET_ICMP6)
		sum += inet_sum_pseudo(in->packet, INET_ICMP6) + inet_sum_number((uint16_t)len);
	inet_checksum_put(message + 2, sum);

	struct iovec slices[2] = { { NULL, 0 }, { in->packet, in->len } };
	const struct inet_offload none = { 0 };

	if (tun_write(&u->transparent->net.tun, slices + 1, 1, &none) < 0)
		usernet_count(u, USERNET_DROPPED);
}

/* --- Packets from the namespace --- */

/* A checksum that is still to be made covers no ports yet. */
static void exchange_port(uint8_t *tcp, uint32_t at, uint16_t port, bool is_summed)
{
	if (is_summed)
		inet_checksum_update(tcp + TCP_CHECKSUM_AT, get_be16(tcp + at), port);
	put_be16(tcp + at, port);
}

static void forward(struct usernet *u, uint8_t *packet, uint32_t len,
		    const struct inet_offload *offload)
{
	struct transparent_flow *f = NULL;
	struct inet_upper upper;
	struct inet_ip ip;
	uint8_t *tcp = NULL;

	if (!inet_ip_parse(packet, len, &ip) || !inet_upper_find(packet, len, &upper) ||
	    upper.protocol != INET_TCP || upper.is_fragment ||
	    upper.offset + TCP_CHECKSUM_AT + 2 > len)
		return; /* what a namespace says to itself: router solicitations and the like */
	tcp = packet + upper.offset;
	f = find(u->transparent, get_be16(tcp), get_be16(tcp + 2));
	if (!f)
		return;
	exchange_port(tcp, 0, f->accepted.pair.local_port, !offload->needs_csum);
	exchange_port(tcp, 2, f->accepted.pair.remote_port, !offload->needs_csum);
	use(u, f);
	out_put(u, len, offload);
}

/* Return: false when the TUN is empty. */
static bool read_packet(struct usernet *u)
{
	struct inet_offload offload;
	uint8_t *packet = out_room(u);
	ssize_t len = tun_read(&u->transparent->net.tun, packet, OUT_ROOM - ENGINE_TAILROOM,
			       &offload);

	if (len > 0)
		forward(u, packet, (uint32_t)len, &offload);
	return len >= 0 || len == -EINTR || len == ERR_FORMAT;
}

void transparent_tun_work(struct usernet *u, struct flow *flow)
{
	uint32_t n = 0;

	while (n < PACKETS_PER_TURN && read_packet(u))
		n++;
	if (n == PACKETS_PER_TURN)
		flow_mark(&u->flows, flow);
}

/* --- Connections --- */

static void take(struct usernet *u, struct transparent_flow *f, int fd)
{
	f->accepted.fd = fd;
	f->is_accepted = true;
	f->until_ns = UINT64_MAX;
	flow_opened(&u->flows, f->outer);
	if (host_watch(u, &f->accepted) < 0) {
		host_close_at_once(fd);
		f->accepted.fd = -1;
	}
	flow_mark(&u->flows, f->outer);
}

void transparent_accept_work(struct usernet *u, struct flow *flow)
{
	uint16_t listener = (uint16_t)(TRANSPARENT_PORT + (flow - u->transparent->listeners));

	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t len = sizeof(from);
		struct transparent_flow *f = NULL;
		struct ip_addr ip;
		uint16_t port = 0;
		int fd = accept4(flow->fd, (struct sockaddr *)&from, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EAGAIN || errno == EMFILE || errno == ENFILE)) {
			flow->events &= ~(uint32_t)EPOLLIN;
			return;
		}
		if (fd < 0)
			continue;
		host_address_read(&from, &ip, &port);
		f = find(u->transparent, listener, port);
		if (f && !f->is_accepted)
			take(u, f, fd);
		else
			host_close_at_once(fd);
	}
	flow_mark(&u->flows, flow);
}

void transparent_accepted_work(struct usernet *u, struct flow *flow)
{
	flow_mark(&u->flows, of(flow)->outer);
}

/* Did the peer's reset reach it, and we have not heard of it yet? */
static bool is_dead(const struct flow *accepted)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return accepted->fd >= 0 &&
	       getsockopt(accepted->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_CLOSE;
}

/* A SYN must not reach the namespace for a connection that is no more: the listener would answer it, and
 * nothing would stand outside. */
bool transparent_is_closed(const struct usernet *u, const struct transparent_flow *f)
{
	if (f->is_closed || is_dead(&f->accepted))
		return true;
	return !f->is_accepted && f->until_ns <= u->now_ns;
}

static void close_sockets(struct usernet *u, struct transparent_flow *f, bool at_once)
{
	int fds[] = { f->accepted.fd, f->outer->fd };

	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0 && at_once)
			host_close_at_once(fds[i]);
		else if (fds[i] >= 0)
			close(fds[i]);
	}
	f->accepted.fd = -1;
	f->outer->fd = -1;
	f->is_closed = true;
	f->until_ns = 0;
	use(u, f);
	conduit_done(&f->up, &u->transparent->pipes);
	conduit_done(&f->down, &u->transparent->pipes);
	flow_opened(&u->flows, f->outer);
}

struct transparent_flow *transparent_end(struct usernet *u, struct transparent_flow *f)
{
	struct transparent *t = u->transparent;

	if (!f->is_closed) {
		close_sockets(u, f, true);
		/* Its reset, before nobody knows any more whose it is. */
		for (int i = 0; i < PACKETS_PER_TURN && read_packet(u); i++)
			;
	}
	flow_unmark(&u->flows, &f->accepted);
	leave_place(t, f);
	free(f);
	return NULL;
}

/* A socket that has an error is read to find it out; but who cannot be written to is not read. */
static bool is_broken(struct flow *flow)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (!(flow->events & EPOLLERR))
		return false;
	return getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0;
}

/* Return: false when one of the sockets broke. */
static bool move(struct usernet *u, struct transparent_flow *f)
{
	struct conduit_pipes *pipes = &u->transparent->pipes;
	struct flow *in = &f->accepted, *out = f->outer;
	enum conduit_turn up, down;

	if (in->fd < 0 || is_broken(in) || is_broken(out))
		return false;
	up = conduit_move(&f->up, pipes, in->fd, &in->events, out->fd, &out->events);
	down = conduit_move(&f->down, pipes, out->fd, &out->events, in->fd, &in->events);
	if (up == CONDUIT_HAS_MORE || down == CONDUIT_HAS_MORE)
		flow_mark(&u->flows, out);
	if (up == CONDUIT_NO_PIPE || down == CONDUIT_NO_PIPE)
		flow_wake_at(&u->flows, out, u->now_ns + RETRY_AFTER);
	return up != CONDUIT_FAILED && down != CONDUIT_FAILED;
}

/* Return: true when nobody will ask for it any more. */
static bool is_forgotten(struct usernet *u, struct transparent_flow *f)
{
	if (f->used_ns + REMEMBERED_FOR <= u->now_ns)
		return true;
	if (f->used_ns + RETIRE_AFTER <= u->now_ns)
		flow_retire(&u->flows, f->outer); /* the first to make room for others */
	else
		flow_wake_at(&u->flows, f->outer, f->used_ns + RETIRE_AFTER);
	flow_wake_at(&u->flows, f->outer, f->used_ns + REMEMBERED_FOR);
	return false;
}

bool transparent_work(struct usernet *u, struct transparent_flow *f)
{
	if (f->is_closed)
		return is_forgotten(u, f);
	if (!f->is_accepted) {
		flow_wake_at(&u->flows, f->outer, f->until_ns);
		return f->until_ns <= u->now_ns;
	}
	if (!move(u, f))
		close_sockets(u, f, true);
	else if (f->up.is_shut && f->down.is_shut)
		close_sockets(u, f, false);
	if (f->is_closed)
		flow_wake_at(&u->flows, f->outer, f->used_ns + RETIRE_AFTER);
	return false;
}
