/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. Sealed packets are written one behind the other into the worker's
 * arena. Packets of one peer that are equally long form a block, which leaves
 * with one system call (UDP_SEGMENT); one shorter packet may end a block. A super-frame
 * is cut and sealed in one pass (inet/split.h): no payload is copied before the cipher
 * reads it. The sending counter is taken once per block.
 *
 * A packet without a usable key is copied aside, and the keeper is asked for a handshake.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"
#include "inet/split.h"

enum { KEPT = 16 }; /* octets behind a packet that are put back after it was sealed in place */

/* A block under construction. Packets of one length get one draw of padding, so that a run of
 * them stays one block. */
struct block {
	struct peer *peer;
	struct session *session;
	const struct frame_profile *profile;
	struct endpoint to;
	uint64_t counter; /* of the next packet */
	uint32_t segment; /* size of the first datagram; 0: none yet */
	uint32_t len;
	uint32_t n;
	uint32_t drawn_for; /* a length; UINT32_MAX: none yet */
	uint32_t drawn;
	uint8_t tos;
	bool is_closed; /* a shorter datagram ended it */
	struct frame_message messages[SEGMENTS_MAX];
};

static_assert((int)SEGMENTS_MAX <= (int)FRAME_BATCH, "a block is dressed in one call");

static void block_begin(struct block *b, struct peer *p, struct session *s,
			const struct endpoint *to, uint8_t tos, uint64_t first_counter)
{
	b->peer = p;
	b->session = s;
	b->profile = profile_of(p->engine, p);
	b->drawn_for = UINT32_MAX;
	b->drawn = 0;
	b->to = *to;
	b->counter = first_counter;
	b->segment = 0;
	b->len = 0;
	b->n = 0;
	b->tos = tos;
	b->is_closed = false;
}

static void block_end(struct engine_worker *w, struct block *b)
{
	if (b->n == 0)
		return;
	frame_wrap(b->profile, MESSAGE_DATA, b->messages, b->n, &w->random);
	outputs_add(w, b->len, b->segment, b->tos, &b->to, b->peer);
	atomic_fetch_add_explicit(&b->peer->tx_bytes, b->len, memory_order_relaxed);
	peer_widen_window(b->peer, b->segment);
	b->segment = 0;
	b->len = 0;
	b->n = 0;
	b->is_closed = false;
}

/* Does a datagram of @len octets continue the block? */
static bool block_takes(const struct block *b, uint32_t len)
{
	if (b->n == 0)
		return true;
	return !b->is_closed && len <= b->segment && b->n < SEGMENTS_MAX &&
	       b->len + len <= ENGINE_DATAGRAM_MAX;
}

static uint32_t draw_padding(struct engine_worker *w, struct block *b, uint32_t len,
			     uint32_t mtu)
{
	if (b->drawn_for != len) {
		uint32_t window = atomic_load_explicit(&b->peer->window, memory_order_relaxed);

		b->drawn_for = len;
		b->drawn = frame_content_padding(b->profile, len, mtu, window, &w->random);
	}
	return b->drawn;
}

/* Seal @len octets at @plain and @padding zeroes into @job's destination. What stands behind
 * @plain is the next segment's: a few octets of it are put back, more are left alone. */
static void seal(struct engine_worker *w, struct aead_job *job, uint8_t *plain, uint32_t len,
		 uint32_t padding)
{
	uint8_t behind[KEPT];

	if (padding > sizeof(behind)) {
		memcpy(job->dst, plain, len);
		memset(job->dst + len, 0, padding);
		job->src = job->dst;
		aead_seal(w->suite, job, 1);
		return;
	}
	memcpy(behind, plain + len, sizeof(behind));
	memset(plain + len, 0, padding);
	aead_seal(w->suite, job, 1);
	memcpy(plain + len, behind, sizeof(behind));
}

/* Seal @len octets at @plain (ENGINE_TAILROOM behind it is restored) as the next datagram. */
static bool block_add(struct engine_worker *w, struct block *b, uint8_t *plain, uint32_t len,
		      uint32_t mtu)
{
	uint32_t padding = draw_padding(w, b, len, mtu);
	uint32_t wire_len = len + padding + frame_data_overhead(b->profile);

	if (!block_takes(b, wire_len))
		block_end(w, b);
	if (wire_len > ENGINE_DATAGRAM_MAX || !outputs_have_room(w, b->len + wire_len))
		return false;

	uint8_t *out = arena_end(w) + b->len;
	struct msg_data *msg = (struct msg_data *)(void *)(out + b->profile->pad[MESSAGE_DATA]);
	struct aead_job job = {
		.key = b->session->send.b,
		.counter = b->counter++,
		.src = plain,
		.dst = msg->sealed,
		.len = len + padding,
	};

	msg->type = le32_from(frame_type(b->profile, MESSAGE_DATA, &w->random));
	msg->receiver = le32_from(b->session->remote_index);
	msg->counter = le64_from(job.counter);
	seal(w, &job, plain, len, padding);

	b->messages[b->n++] = (struct frame_message){ .data = out, .len = wire_len };
	b->is_closed = b->segment && wire_len < b->segment;
	if (!b->segment)
		b->segment = wire_len;
	b->len += wire_len;
	return true;
}

/* Take @n counters. false: the key is used up. */
static bool take_counters(struct session *s, uint64_t n, uint64_t *ret_first)
{
	*ret_first = atomic_fetch_add_explicit(&s->send_counter, n, memory_order_relaxed);
	return *ret_first + n <= REJECT_AFTER_MESSAGES && *ret_first + n >= n;
}

static void sent(struct engine_worker *w, struct peer *p, struct session *s, uint64_t now_ns,
		 bool is_data)
{
	timers_any_sent(w, p, now_ns);
	if (is_data)
		timers_data_sent(w, p, now_ns);
	if (atomic_load_explicit(&s->send_counter, memory_order_relaxed) >
		    REKEY_AFTER_MESSAGES ||
	    (s->is_initiator && elapsed(now_ns, s->born_ns) >= s->rekey_send_ns))
		ask_handshake(w, p, now_ns);
}

static void drop(struct engine_worker *w, struct peer *p, enum counter why)
{
	atomic_fetch_add_explicit(&p->drops, 1, memory_order_relaxed);
	count(w, why, 1);
}

/* --- Waiting for a key --- */

static void staged_free(struct engine *e, struct staged *s)
{
	atomic_fetch_sub_explicit(&e->staged_bytes, sizeof(*s) + s->len + ENGINE_TAILROOM,
				  memory_order_relaxed);
	free(s);
}

static struct staged *staged_new(struct engine *e, const struct engine_packet *packet)
{
	size_t size = sizeof(struct staged) + packet->len + ENGINE_TAILROOM;
	struct staged *s = NULL;

	if (atomic_fetch_add_explicit(&e->staged_bytes, size, memory_order_relaxed) + size <=
	    e->options.staged_bytes_max)
		s = malloc(size);
	if (!s) {
		atomic_fetch_sub_explicit(&e->staged_bytes, size, memory_order_relaxed);
		return NULL;
	}
	s->next = NULL;
	s->len = packet->len;
	s->offload = packet->offload;
	s->segments =
		packet->offload.gso == INET_GSO_NONE
			? 1
			: packet->len / (packet->offload.gso_size ? packet->offload.gso_size
								  : 1) +
				  1;
	if (s->segments > ENGINE_STAGED_MAX)
		s->segments = ENGINE_STAGED_MAX;
	memcpy(s->data, packet->data, packet->len);
	memset(s->data + packet->len, 0, ENGINE_TAILROOM);
	return s;
}

/* Under the lock: the oldest, or NULL. */
static struct staged *staged_pop(struct peer *p)
{
	struct staged *s = p->staged_first;

	if (s) {
		p->staged_first = s->next;
		if (!s->next)
			p->staged_last = NULL;
		atomic_fetch_sub(&p->n_staged, s->segments);
	}
	return s;
}

static void stage(struct engine_worker *w, struct peer *p, const struct engine_packet *packet)
{
	struct staged *s = staged_new(w->engine, packet);
	struct staged *oldest = NULL;

	if (!s) {
		drop(w, p, COUNT_STAGED_DROPPED);
		return;
	}
	spin_lock(&p->lock);
	if (p->staged_last)
		p->staged_last->next = s;
	else
		p->staged_first = s;
	p->staged_last = s;
	atomic_fetch_add(&p->n_staged, s->segments);
	while (atomic_load(&p->n_staged) > ENGINE_STAGED_MAX && p->staged_first != s) {
		struct staged *old = staged_pop(p);

		old->next = oldest;
		oldest = old;
	}
	spin_unlock(&p->lock);
	while (oldest) {
		struct staged *next = oldest->next;

		drop(w, p, COUNT_STAGED_DROPPED);
		staged_free(w->engine, oldest);
		oldest = next;
	}
}

void staged_drop_all(struct peer *p)
{
	struct staged *s = NULL;

	for (;;) {
		spin_lock(&p->lock);
		s = staged_pop(p);
		spin_unlock(&p->lock);
		if (!s)
			return;
		staged_free(p->engine, s);
	}
}

/* --- Sealing --- */

/* false: nothing was sealed because counters ran out. */
static void seal_super(struct engine_worker *w, struct peer *p, struct session *s,
		       struct route *route, struct engine_packet *packet, uint8_t tos)
{
	uint32_t mtu = atomic_load_explicit(&w->engine->mtu, memory_order_relaxed), len = 0;
	struct inet_split split;
	struct block b;
	uint8_t *segment = NULL;
	uint64_t counter = 0;

	if (inet_split_begin(&split, packet->data, packet->len, &packet->offload) < 0) {
		drop(w, p, COUNT_BAD_PACKET);
		return;
	}
	if (!take_counters(s, split.count, &counter)) {
		drop(w, p, COUNT_STAGED_DROPPED);
		return;
	}
	block_begin(&b, p, s, &route->to, tos, counter);
	while ((segment = inet_split_next(&split, &len)))
		if (!block_add(w, &b, segment, len, mtu)) {
			drop(w, p, COUNT_STAGED_DROPPED);
			break;
		}
	block_end(w, &b);
}

static bool finish_single(struct engine_worker *w, struct peer *p, struct engine_packet *packet)
{
	if (packet->offload.needs_csum &&
	    inet_checksum_finish(packet->data, packet->len, &packet->offload) < 0) {
		drop(w, p, COUNT_BAD_PACKET);
		return false;
	}
	return true;
}

/* --- From the TUN --- */

/* One packet on its way: NULL @peer once it is dealt with. */
struct outbound {
	struct engine_packet *packet;
	struct peer *peer;
	uint8_t tos;
};

/* A token bucket told as time, as for the rate of a peer. */
static bool may_complain(struct engine_worker *w, uint64_t now_ns)
{
	uint64_t paid = w->icmp_paid_ns > now_ns ? w->icmp_paid_ns : now_ns;

	if (w->n_icmp == ICMP_PER_BATCH || paid - now_ns >= ICMP_BURST)
		return false;
	w->icmp_paid_ns = paid + ICMP_SPACING;
	return true;
}

static void refuse(struct engine_worker *w, enum inet_icmp_error error, uint32_t mtu,
		   const struct engine_packet *packet, uint64_t now_ns)
{
	struct inet_ip ip;
	uint8_t *out;
	uint32_t len;

	if (!may_complain(w, now_ns))
		return;
	out = w->icmp[w->n_icmp];
	len = inet_icmp_error(error, mtu, packet->data, packet->len, out);
	if (len && inet_ip_parse(out, len, &ip) && !inet_merge_is_full(w->merge)) {
		inet_merge_add(w->merge, out, &ip, false);
		w->n_icmp++;
	}
}

/* Whom is it for? false: nobody; it was answered or dropped. */
static bool find_way(struct engine_worker *w, struct engine_packet *packet, uint64_t now_ns,
		     struct outbound *ret)
{
	struct inet_ip ip;
	struct peer *p = NULL;

	if (!inet_ip_parse(packet->data, packet->len, &ip)) {
		count(w, COUNT_BAD_PACKET, 1);
		return false;
	}
	p = peer_of_allowed(allowed_ips_find(w->engine->allowed_ips, &ip.destination));
	if (!p) {
		count(w, COUNT_NO_ROUTE, 1);
		refuse(w, INET_ICMP_HOST_UNREACHABLE, 0, packet, now_ns);
		return false;
	}
	if (!atomic_load_explicit(&p->route, memory_order_relaxed)) {
		drop(w, p, COUNT_NO_ENDPOINT);
		refuse(w, INET_ICMP_HOST_UNREACHABLE, 0, packet, now_ns);
		return false;
	}
	if (!peer_may_pass(w, p, now_ns, packet->len))
		return false;
	*ret = (struct outbound){ .packet = packet, .peer = p, .tos = inet_ecn_encap(ip.tos) };
	return true;
}

/* Packets from @first on that belong to its peer and mark, sealed in order. */
static void seal_group(struct engine_worker *w, struct outbound *out, size_t first, size_t n,
		       uint64_t now_ns)
{
	uint32_t mtu = atomic_load_explicit(&w->engine->mtu, memory_order_relaxed);
	struct peer *p = out[first].peer;
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	struct session *s = session_for_sending(p, now_ns);
	uint64_t members = 0, counter = 0;
	struct block b;

	for (size_t i = first; i < n; i++)
		members += out[i].peer == p;
	if (!route || !s || !take_counters(s, members, &counter)) {
		for (size_t i = first; i < n; i++)
			if (out[i].peer == p) {
				stage(w, p, out[i].packet);
				out[i].peer = NULL;
			}
		ask_handshake(w, p, now_ns);
		return;
	}
	block_begin(&b, p, s, &route->to, out[first].tos, counter);
	for (size_t i = first; i < n; i++) {
		if (out[i].peer != p)
			continue;
		if (out[i].tos != b.tos) {
			block_end(w, &b);
			b.tos = out[i].tos;
		}
		if (!block_add(w, &b, out[i].packet->data, out[i].packet->len, mtu))
			drop(w, p, COUNT_STAGED_DROPPED);
		out[i].peer = NULL;
	}
	block_end(w, &b);
	sent(w, p, s, now_ns, true);
}

static void send_super(struct engine_worker *w, uint64_t now_ns, struct outbound *o)
{
	struct route *route = atomic_load_explicit(&o->peer->route, memory_order_acquire);
	struct session *s = session_for_sending(o->peer, now_ns);

	if (!route || !s) {
		stage(w, o->peer, o->packet);
		ask_handshake(w, o->peer, now_ns);
		return;
	}
	seal_super(w, o->peer, s, route, o->packet, o->tos);
	sent(w, o->peer, s, now_ns, true);
}

void engine_send(struct engine_worker *w, uint64_t now_ns, struct engine_packet *packets,
		 size_t n)
{
	struct outbound out[ENGINE_PACKETS_MAX];
	size_t n_out = 0;

	/* Down is no reason to drop: the first packet may be here before the news that the link
	 * is up. There is no session then, so it waits, and engine_set_up() sends it on. */
	outputs_reset(w);
	for (size_t i = 0; i < n && n_out < ENGINE_PACKETS_MAX; i++) {
		struct outbound *o = &out[n_out];

		if (!find_way(w, &packets[i], now_ns, o))
			continue;
		if (packets[i].offload.gso != INET_GSO_NONE)
			send_super(w, now_ns, o);
		else if (finish_single(w, o->peer, &packets[i]))
			n_out++;
	}
	for (size_t i = 0; i < n_out; i++)
		if (out[i].peer)
			seal_group(w, out, i, n_out, now_ns);
}

bool engine_has_route(const struct engine_worker *w, const struct ip_addr *to)
{
	/* Nobody's addresses: only a prefix of no bits has them. */
	static const struct ip_addr nobody[2] = { { ADDR_V4, { 240 } }, { ADDR_V6, { 0x40 } } };
	const struct allowed_ips *t = w->engine->allowed_ips;
	const struct allowed_ips_owner *owner = allowed_ips_find(t, to);

	return owner && owner != allowed_ips_find(t, &nobody[to->family == ADDR_V6]);
}

/* --- From the keeper --- */

void send_keepalive(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	struct session *s = session_for_sending(p, now_ns);
	uint8_t nothing[ENGINE_TAILROOM] = { 0 };
	uint64_t counter = 0;
	struct block b;

	if (atomic_load(&p->n_staged)) { /* what waits serves the same purpose */
		atomic_store(&p->wants_flush, true);
		peer_kick(w, p);
		return;
	}
	if (!atomic_load(&w->engine->is_up) || !route)
		return;
	if (!s || !take_counters(s, 1, &counter)) {
		ask_handshake(w, p, now_ns);
		return;
	}
	block_begin(&b, p, s, &route->to, 0, counter);
	block_add(w, &b, nothing, 0, atomic_load(&w->engine->mtu));
	block_end(w, &b);
	sent(w, p, s, now_ns, false);
}

static void send_one_staged(struct engine_worker *w, struct peer *p, struct session *s,
			    struct route *route, struct staged *waiting, uint64_t now_ns)
{
	struct engine_packet packet = { .data = waiting->data,
					.len = waiting->len,
					.offload = waiting->offload };
	uint64_t counter = 0;
	struct inet_ip ip;
	struct block b;

	if (!inet_ip_parse(packet.data, packet.len, &ip))
		return;
	if (packet.offload.gso != INET_GSO_NONE) {
		seal_super(w, p, s, route, &packet, inet_ecn_encap(ip.tos));
	} else if (take_counters(s, 1, &counter)) {
		block_begin(&b, p, s, &route->to, inet_ecn_encap(ip.tos), counter);
		block_add(w, &b, packet.data, packet.len, atomic_load(&w->engine->mtu));
		block_end(w, &b);
	}
	sent(w, p, s, now_ns, true);
}

bool send_staged(struct engine_worker *w, struct peer *p, uint64_t now_ns)
{
	while (atomic_load(&p->n_staged)) {
		struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
		struct session *s = session_for_sending(p, now_ns);
		struct staged *waiting = NULL;

		if (!s || !route) {
			ask_handshake(w, p, now_ns);
			return false;
		}
		if (w->arena_used > ARENA_BYTES / 4 || w->n_outputs > OUTPUTS_MAX / 2)
			return true;
		spin_lock(&p->lock);
		waiting = staged_pop(p);
		spin_unlock(&p->lock);
		if (!waiting)
			return false;
		send_one_staged(w, p, s, route, waiting, now_ns);
		staged_free(w->engine, waiting);
	}
	return false;
}
