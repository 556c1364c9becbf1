/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A data worker sleeps in epoll until its TUN queue or a socket has
 * something, takes a bounded share from each, and runs it to the other side before it
 * looks again. Small packets are read up to 64 at a time so that the engine can group them; a
 * super-frame goes through alone, while its 64 KiB are in the cache.
 */
#include "device/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/steering.h"
#include "sys/clock.h"

enum {
	DATA_BUFFER_BYTES = 65536,
	KEEPER_BUFFERS = 64,
	KEEPER_BUFFER_BYTES = STEERING_KEEPER_BYTES,
	READS_PER_TURN = 8,
	TUN_ROUNDS = 8, /* super-frames or batches per wake */
	TUN_PACKET_ROOM = 65536 + ENGINE_TAILROOM,
	SEGMENTS_PER_RECEIVE = 128,
	DATAGRAMS_MAX = 64,
};

#define NO_GSO_FOR   (10 * ENGINE_SECOND)
#define NO_MERGE_FOR (10 * ENGINE_SECOND)

static void count(struct worker *w, enum worker_count c)
{
	atomic_fetch_add_explicit(&w->counts[c], 1, memory_order_relaxed);
}

uint64_t worker_counted(const struct worker *w, enum worker_count c)
{
	return atomic_load_explicit(&w->counts[c], memory_order_relaxed);
}

/* --- Sending datagrams --- */

static struct no_gso *no_gso_slot(struct worker *w, const struct ip_addr *ip)
{
	unsigned int sum = ip->family;

	for (int i = 0; i < 16; i++)
		sum = sum * 31 + ip->b[i];
	return &w->no_gso[sum % NO_GSO_SLOTS];
}

static bool path_takes_gso(struct worker *w, const struct ip_addr *ip, uint64_t now_ns)
{
	const struct no_gso *slot = no_gso_slot(w, ip);

	return now_ns >= slot->until_ns || !ip_addr_equal(&slot->ip, ip);
}

static int socket_for(const struct worker *w, const struct ip_addr *ip)
{
	const struct sockets *s = &w->shared->sockets;
	unsigned int n = w->is_keeper ? 0 : w->number;

	return ip->family == ADDR_V4 ? s->v4.data[n] : s->v6.data[n];
}

static bool may_be_about_gso(int err)
{
	return err == -EIO || err == -EINVAL || err == -EMSGSIZE;
}

static bool may_be_about_source(int err)
{
	return err == -EINVAL || err == -EADDRNOTAVAIL || err == -ENETUNREACH ||
	       err == -EHOSTUNREACH;
}

/* Segmentation refused: datagram by datagram, and so for a while. */
static int send_apart(struct worker *w, int fd, const struct udp_block *block, uint64_t now_ns)
{
	struct no_gso *slot = no_gso_slot(w, &block->to.ip);
	int err = udp_send(fd, block, false);

	if (err == 0)
		*slot = (struct no_gso){ .ip = block->to.ip, .until_ns = now_ns + NO_GSO_FOR };
	return err;
}

static void send_block(struct worker *w, const struct engine_output *o, uint64_t now_ns)
{
	struct udp_block block = { .data = o->data,
				   .len = o->len,
				   .segment = o->segment,
				   .tos = o->tos,
				   .to = o->to };
	int fd = socket_for(w, &o->to.ip);
	bool is_many = block.segment < block.len;
	bool use_gso = is_many && path_takes_gso(w, &o->to.ip, now_ns);
	int err = 0;

	if (fd < 0) {
		count(w, WORKER_SEND_FAILED);
		return;
	}
	err = udp_send(fd, &block, use_gso);
	if (err < 0 && use_gso && may_be_about_gso(err))
		err = send_apart(w, fd, &block, now_ns);
	if (err < 0 && block.to.local.family != ADDR_NONE && may_be_about_source(err)) {
		engine_source_failed(w->engine_worker, o->peer);
		block.to.local = (struct ip_addr){ 0 };
		err = udp_send(fd, &block, false);
	}
	if (err < 0)
		count(w, WORKER_SEND_FAILED);
}

/* --- Writing packets --- */

/* A kernel that takes the header but not the super-frame: no runs for a while. */
static void write_failed(struct worker *w, const struct inet_write *write, int err,
			 uint64_t now_ns)
{
	count(w, WORKER_WRITE_FAILED);
	if (write->offload.gso != INET_GSO_NONE && (err == -EINVAL || err == -EIO)) {
		w->no_merge_until_ns = now_ns + NO_MERGE_FOR;
		engine_worker_set_merge(w->engine_worker, false);
	}
}

static void write_packets(struct worker *w, uint64_t now_ns)
{
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL, local[INET_MERGE_SLICES + 2];
	size_t n = engine_writes(w->engine_worker, &writes, &slices);

	for (size_t i = 0; i < n; i++) {
		const struct inet_write *write = &writes[i];
		const struct tun_queue *q =
			&w->shared->queues[write->flow_hash % w->shared->n_queues];
		int err = 0;

		memcpy(local + 1, slices + write->first_slice,
		       write->n_slices * sizeof(local[0]));
		err = tun_write(q, local + 1, write->n_slices, &write->offload);
		if (err < 0)
			write_failed(w, write, err, now_ns);
	}
}

/* To usernet. It calls engine_send() meanwhile, so the lists must not be the engine's own. */
static void hand_over(struct worker *w, uint64_t now_ns)
{
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL;
	size_t n = engine_writes(w->engine_worker, &writes, &slices), n_slices = 0;

	if (n == 0)
		return;
	n_slices = writes[n - 1].first_slice + writes[n - 1].n_slices;
	memcpy(w->writes, writes, n * sizeof(*writes));
	memcpy(w->slices, slices, n_slices * sizeof(*slices));
	usernet_receive(w->shared->usernet, now_ns, w->writes, n, w->slices);
	usernet_run(w->shared->usernet, now_ns);
}

static void send_outputs(struct worker *w, uint64_t now_ns)
{
	const struct engine_output *outputs = NULL;
	size_t n = engine_outputs(w->engine_worker, &outputs);

	for (size_t i = 0; i < n; i++)
		send_block(w, &outputs[i], now_ns);
}

static void flush(struct worker *w, uint64_t now_ns)
{
	send_outputs(w, now_ns);
	if (w->shared->usernet && !w->is_keeper)
		hand_over(w, now_ns);
	else
		write_packets(w, now_ns);
	if (!w->is_keeper && engine_wants_keeper(w->engine_worker))
		eventfd_write(w->shared->keeper_wake, 1);
}

/* --- From the TUN --- */

/* Fill @packets from the queue: small ones together, or one super-frame as the last.
 * Return: how many; *@ret_dry when the queue is empty. */
static size_t read_packets(struct worker *w, struct engine_packet *packets, bool *ret_dry)
{
	const struct tun_queue *q = &w->shared->queues[w->number];
	size_t n = 0, used = 0;

	while (n < ENGINE_PACKETS_MAX && used + TUN_PACKET_ROOM <= TUN_BUFFER_BYTES) {
		struct engine_packet *p = &packets[n];
		ssize_t len = 0;

		p->data = w->tun_buffer + used;
		len = tun_read(q, p->data, TUN_PACKET_ROOM - ENGINE_TAILROOM, &p->offload);
		if (len == ERR_FORMAT || len == -EINTR)
			continue;
		if (len < 0) {
			*ret_dry = true;
			break;
		}
		p->len = (uint32_t)len;
		n++;
		if (p->offload.gso != INET_GSO_NONE)
			break;
		used += ((size_t)len + ENGINE_TAILROOM + 63) & ~(size_t)63;
	}
	return n;
}

static void pump_tun(struct worker *w)
{
	struct engine_packet packets[ENGINE_PACKETS_MAX];
	bool is_dry = false;

	for (int round = 0; round < TUN_ROUNDS && !is_dry; round++) {
		size_t n = read_packets(w, packets, &is_dry), small = n;
		uint64_t now = clock_boot_ns();

		if (n == 0)
			break;
		if (packets[n - 1].offload.gso != INET_GSO_NONE)
			small--;
		if (small) {
			engine_send(w->engine_worker, now, packets, small);
			flush(w, now);
		}
		if (small < n) {
			engine_send(w->engine_worker, now, packets + small, 1);
			flush(w, now);
		}
	}
}

/* --- From usernet --- */

/* What the engine would answer, unreachable, is for nobody: whoever sent this is a server outside. */
static void send_for_usernet(void *context, uint64_t now_ns, struct engine_packet *packets,
			     size_t n)
{
	struct worker *w = context;

	engine_send(w->engine_worker, now_ns, packets, n);
	send_outputs(w, now_ns);
}

static bool is_peer(void *context, const struct ip_addr *address)
{
	const struct worker *w = context;

	return engine_has_route(w->engine_worker, address);
}

void worker_usernet(struct worker *w, struct usernet_options *options)
{
	options->send = send_for_usernet;
	options->is_peer = is_peer;
	options->context = w;
}

/* What the keeper opened: rarely anything. */
static void pump_handed(struct worker *w)
{
	for (int i = 0; i < TUN_ROUNDS; i++) {
		struct inet_write write = { .header = w->tun_buffer, .n_slices = 1 };
		ssize_t len = tun_read(&w->shared->handed, w->tun_buffer, TUN_PACKET_ROOM,
				       &write.offload);
		struct iovec slice = { w->tun_buffer, len > 0 ? (size_t)len : 0 };

		if (len <= 0)
			return;
		write.len = (uint32_t)len;
		usernet_receive(w->shared->usernet, clock_boot_ns(), &write, 1, &slice);
	}
}

/* --- From a socket --- */

static unsigned int segments_in(const struct udp_datagram *d)
{
	return d->segment ? d->len / d->segment + 1 : 1;
}

/* Take datagrams until the engine has enough for one call. Return: where to go on. */
static int gather(struct worker *w, const struct udp_datagram *from, int at, int n,
		  struct engine_datagram *out, size_t *ret_n)
{
	unsigned int segments = 0;
	size_t n_out = 0;

	for (; at < n && n_out < DATAGRAMS_MAX; at++) {
		const struct udp_datagram *d = &from[at];

		if (d->is_cut) {
			count(w, WORKER_CUT);
			continue;
		}
		if (segments && segments + segments_in(d) > SEGMENTS_PER_RECEIVE)
			break;
		segments += segments_in(d);
		out[n_out++] = (struct engine_datagram){ .data = d->data,
							 .len = d->len,
							 .segment = d->segment,
							 .tos = d->tos,
							 .source = d->source };
	}
	*ret_n = n_out;
	return at;
}

/* Return: datagrams taken. */
static int pump_socket(struct worker *w, int fd)
{
	const struct udp_datagram *got = NULL;
	struct engine_datagram datagrams[DATAGRAMS_MAX];
	int n = fd < 0 ? 0 : udp_receive(fd, w->inbox, &got);
	uint64_t now = n > 0 ? clock_boot_ns() : 0;

	for (int at = 0; at < n;) {
		size_t count_now = 0;

		at = gather(w, got, at, n, datagrams, &count_now);
		engine_receive(w->engine_worker, now, datagrams, count_now);
		flush(w, now);
	}
	return n;
}

static void restore_merge(struct worker *w)
{
	if (w->no_merge_until_ns && clock_boot_ns() >= w->no_merge_until_ns) {
		w->no_merge_until_ns = 0;
		engine_worker_set_merge(w->engine_worker, true);
	}
}

/* --- The threads --- */

/* Return: false when it is time to end; nothing may be read any more then. */
static bool sleep_until_woken(struct worker *w, int timeout_ms)
{
	struct epoll_event events[8];
	int n = 0;

	engine_leave(w->engine_worker);
	n = epoll_wait(w->epoll, events, 8, timeout_ms);
	for (int i = 0; i < n; i++)
		if (events[i].data.fd == w->wake) {
			eventfd_t value = 0;

			eventfd_read(w->wake, &value);
		}
	gate_pass(&w->shared->gate);
	engine_enter(w->engine_worker);
	return !atomic_load_explicit(&w->shared->is_stopping, memory_order_acquire);
}

static int timeout_ms(uint64_t at, uint64_t now)
{
	if (at == UINT64_MAX)
		return -1;
	if (at <= now)
		return 0;
	return at - now > 60 * ENGINE_SECOND ? 60000 : (int)((at - now + 999999) / 1000000);
}

static void usernet_loop(struct worker *w)
{
	struct sockets *s = &w->shared->sockets;
	struct usernet *u = w->shared->usernet;
	bool more = false;

	while (sleep_until_woken(
		w, more ? 0 : timeout_ms(usernet_deadline_ns(u), clock_boot_ns()))) {
		pump_socket(w, s->v4.data[w->number]);
		pump_socket(w, s->v6.data[w->number]);
		pump_handed(w);
		more = usernet_run(u, clock_boot_ns());
		if (engine_wants_keeper(w->engine_worker))
			eventfd_write(w->shared->keeper_wake, 1);
	}
}

static void tun_loop(struct worker *w)
{
	struct sockets *s = &w->shared->sockets;

	while (sleep_until_woken(w, -1)) {
		restore_merge(w);
		pump_socket(w, s->v4.data[w->number]);
		pump_socket(w, s->v6.data[w->number]);
		pump_tun(w);
	}
}

static void *data_loop(void *context)
{
	struct worker *w = context;

	engine_enter(w->engine_worker);
	if (w->shared->usernet)
		usernet_loop(w);
	else
		tun_loop(w);
	engine_leave(w->engine_worker);
	gate_leave(&w->shared->gate);
	return NULL;
}

static int keeper_timeout_ms(struct worker *w)
{
	return timeout_ms(engine_deadline_ns(w->engine_worker), clock_boot_ns());
}

/* Take what waits at the socket while there is room for it, and not for ever: what is no
 * handshake message takes no room. Return: true if more may wait. */
static bool fill_queue(struct worker *w, int fd)
{
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (engine_handshakes_waiting(w->shared->engine) >
		    ENGINE_HANDSHAKES_MAX - KEEPER_BUFFERS)
			return true;
		if (pump_socket(w, fd) < KEEPER_BUFFERS)
			return false;
	}
	return true;
}

/* The families take turns at being first: a flood of one does not shut out the other. */
static bool fill_queue_from_both(struct worker *w)
{
	const struct sockets *s = &w->shared->sockets;
	bool more = fill_queue(w, w->v6_first ? s->v6.handshake : s->v4.handshake);

	more |= fill_queue(w, w->v6_first ? s->v4.handshake : s->v6.handshake);
	w->v6_first = !w->v6_first;
	return more;
}

static void *keeper_loop(void *context)
{
	struct worker *w = context;
	bool more = true;

	engine_enter(w->engine_worker);
	while (sleep_until_woken(w, more ? 0 : keeper_timeout_ms(w))) {
		more = fill_queue_from_both(w);
		uint64_t now = clock_boot_ns();

		more |= engine_keep(w->engine_worker, now, clock_wall_ns());
		flush(w, now);
	}
	engine_leave(w->engine_worker);
	gate_leave(&w->shared->gate);
	return NULL;
}

/* --- Making and unmaking --- */

static int watch(struct worker *w, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int worker_watch_sockets(struct worker *w)
{
	const struct sockets *s = &w->shared->sockets;
	int v4 = w->is_keeper ? s->v4.handshake : s->v4.data[w->number];
	int v6 = w->is_keeper ? s->v6.handshake : s->v6.data[w->number];
	int err = v4 >= 0 ? watch(w, v4) : 0;

	return err == 0 && v6 >= 0 ? watch(w, v6) : err;
}

static int watch_usernet(struct worker *w)
{
	int err = watch(w, w->shared->handed.fd);

	w->writes = calloc(DEVICE_PACKETS_PER_RECEIVE, sizeof(*w->writes));
	w->slices = calloc(DEVICE_PACKETS_PER_RECEIVE, sizeof(*w->slices));
	if (!w->writes || !w->slices)
		return -ENOMEM;
	return err < 0 ? err : watch(w, usernet_fd(w->shared->usernet));
}

int worker_init(struct worker *w, struct worker_shared *shared, unsigned int number,
		bool is_keeper)
{
	size_t buffers = is_keeper ? KEEPER_BUFFERS : shared->data_buffers;
	size_t buffer_bytes = is_keeper ? KEEPER_BUFFER_BYTES : DATA_BUFFER_BYTES;
	int err = 0;

	memset(w, 0, sizeof(*w));
	w->shared = shared;
	w->number = number;
	w->is_keeper = is_keeper;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->wake = is_keeper ? shared->keeper_wake : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->epoll < 0 || w->wake < 0)
		return -errno;
	err = engine_worker_new(shared->engine, &w->engine_worker);
	if (err == 0)
		err = udp_inbox_new(buffers, buffer_bytes, &w->inbox);
	if (err == 0)
		err = watch(w, w->wake);
	if (err < 0 || is_keeper)
		return err;
	w->tun_buffer = aligned_alloc(64, TUN_BUFFER_BYTES);
	if (!w->tun_buffer)
		return -ENOMEM;
	engine_worker_set_merge(w->engine_worker, shared->queues[number].has_tso);
	engine_worker_set_merge_udp(w->engine_worker, shared->queues[number].has_uso);
	return shared->usernet ? watch_usernet(w) : watch(w, shared->queues[number].fd);
}

void worker_done(struct worker *w)
{
	engine_worker_free(w->engine_worker);
	udp_inbox_free(w->inbox);
	free(w->tun_buffer);
	free(w->writes);
	free(w->slices);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->wake >= 0 && !w->is_keeper)
		close(w->wake);
	memset(w, 0, sizeof(*w));
	w->epoll = -1;
	w->wake = -1;
}

int worker_start(struct worker *w)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all); /* signals belong to the control thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	gate_join(&w->shared->gate);
	err = pthread_create(&w->thread, NULL, w->is_keeper ? keeper_loop : data_loop, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		gate_leave(&w->shared->gate);
		return -err;
	}
	w->is_started = true;
	return 0;
}

void worker_wake(struct worker *w)
{
	eventfd_write(w->wake, 1);
}

void worker_join(struct worker *w)
{
	if (w->is_started)
		pthread_join(w->thread, NULL);
	w->is_started = false;
}
