/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. The datagrams of one read are opened in place, a batch at a
 * time, in the order that the protocol demands: index, life of the key, tag, replay
 * window, endpoint, keepalive, inner length, inner source. Nothing about a peer changes
 * before its tag verified. What costs the same for one packet and for a run of them
 * (timers, endpoint, source lookup) is done once per run of one session.
 */
#include <string.h>

#include "engine/internal.h"

enum { BATCH = FRAME_BATCH };

struct inbound {
	struct session *session;
	const struct frame_profile *profile;
	struct msg_data *msg;
	uint32_t text_len;
	uint32_t datagram_len;
};

/* A run of packets of one session within a batch. */
struct run {
	struct session *session;
	const struct frame_profile *profile; /* of the last authentic, new packet */
	uint64_t bytes;			     /* on the wire, authentic, new, not refused */
	uint32_t longest;		     /* datagram */
	bool has_any;			     /* an authentic, new packet */
	bool has_data;			     /* one that is not a keepalive */
	struct ip_addr source_ok;	     /* the last inner source found to be this peer's */
};

/* May a message under @s be opened now? */
static bool is_alive(struct engine_worker *w, struct session *s, const struct msg_data *msg,
		     uint64_t now_ns)
{
	if (atomic_load_explicit(&s->state, memory_order_acquire) == SESSION_READY &&
	    elapsed(now_ns, s->born_ns) < s->reject_ns &&
	    le64_value(msg->counter) < REJECT_AFTER_MESSAGES)
		return true;
	count(w, COUNT_UNKNOWN_INDEX, 1);
	return false;
}

static bool source_is_allowed(struct engine_worker *w, struct run *run,
			      const struct ip_addr *source)
{
	if (ip_addr_equal(source, &run->source_ok))
		return true;
	if (peer_of_allowed(allowed_ips_find(w->engine->allowed_ips, source)) !=
	    run->session->peer)
		return false;
	run->source_ok = *source;
	return true;
}

/* Return: false when it was refused for the peer's budget or rate: then it has used nothing. */
static bool deliver(struct engine_worker *w, struct run *run, const struct inbound *in,
		    uint8_t outer_tos, uint64_t now_ns)
{
	struct peer *p = run->session->peer;
	uint8_t *packet = in->msg->sealed;
	struct inet_ip ip;
	enum counter why = COUNTERS;

	if (!inet_ip_parse(packet, in->text_len, &ip) || !inet_ecn_decap(outer_tos, packet))
		why = COUNT_BAD_PACKET;
	else if (!source_is_allowed(w, run, &ip.source))
		why = COUNT_BAD_SOURCE;
	if (why != COUNTERS) {
		count(w, why, 1);
		atomic_fetch_add_explicit(&p->drops, 1, memory_order_relaxed);
		return true;
	}
	if (!peer_may_pass(w, p, now_ns, ip.len))
		return false;
	if (inet_merge_is_full(w->merge))
		atomic_fetch_add_explicit(&p->drops, 1, memory_order_relaxed);
	else
		inet_merge_add(w->merge, packet, &ip, w->can_merge);
	return true;
}

/* Could data of the one be taken for data of the other? */
static bool look_alike(const struct frame_profile *a, const struct frame_profile *b)
{
	return a->pad[MESSAGE_DATA] == b->pad[MESSAGE_DATA] &&
	       frame_range_overlaps(a->header[MESSAGE_DATA], b->header[MESSAGE_DATA]) &&
	       secret_equal(&a->parameters.protection_key, &b->parameters.protection_key,
			    sizeof(a->parameters.protection_key));
}

/* A peer may change over to another profile and keep its key: then data tells before the next
 * handshake does, if it can. */
static void note_profile(struct peer *p, const struct frame_profile *profile)
{
	if (atomic_load_explicit(&p->profile, memory_order_relaxed) != profile->number &&
	    !look_alike(profile_of(p->engine, p), profile))
		engine_peer_set_profile(p, profile->number);
}

static void end_run(struct engine_worker *w, struct run *run, const struct endpoint *source,
		    uint64_t now_ns)
{
	struct session *s = run->session;

	if (!s || !run->has_any)
		return;
	struct peer *p = s->peer;

	if (session_confirm(p, s)) {
		uint64_t wall = now_ns + atomic_load(&w->engine->wall_offset_ns);

		timers_handshake_complete(p, wall);
		count(w, COUNT_HANDSHAKES_COMPLETED, 1);
		atomic_store(&p->wants_flush, true);
		peer_kick(w, p);
	}
	note_profile(p, run->profile);
	peer_set_source(w, p, source);
	peer_widen_window(p, run->longest);
	atomic_fetch_add_explicit(&p->rx_bytes, run->bytes, memory_order_relaxed);
	timers_any_received(w, p, now_ns);
	if (run->has_data)
		timers_data_received(w, p, now_ns);
	if (s->is_initiator && elapsed(now_ns, s->born_ns) >= s->rekey_receive_ns &&
	    !atomic_exchange_explicit(&s->asked_rekey, true, memory_order_relaxed))
		ask_handshake(w, p, now_ns);
}

/* Which of the authentic packets [first, n) of one session are new? */
static uint64_t accept_counters(struct session *s, const struct inbound *in,
				const struct aead_job *jobs, size_t first, size_t n)
{
	uint64_t fresh = 0;

	spin_lock(&s->replay_lock);
	for (size_t i = first; i < n; i++)
		if (jobs[i].ok && replay_accept(&s->replay, le64_value(in[i].msg->counter)))
			fresh |= UINT64_C(1) << i;
	spin_unlock(&s->replay_lock);
	return fresh;
}

/* Nothing, or a block of zeroes: no packet begins with one. */
static bool is_keepalive(const struct inbound *in)
{
	return in->text_len == 0 || in->msg->sealed[0] == 0;
}

static void take_run(struct engine_worker *w, const struct inbound *in,
		     const struct aead_job *jobs, size_t first, size_t n,
		     const struct engine_datagram *d, uint64_t now_ns)
{
	struct run run = { .session = in[first].session };
	uint64_t fresh = accept_counters(run.session, in, jobs, first, n);

	for (size_t i = first; i < n; i++) {
		if (!(fresh >> i & 1)) {
			count(w, jobs[i].ok ? COUNT_REPLAYED : COUNT_BAD_TAG, 1);
			continue;
		}
		run.has_any = true;
		run.profile = in[i].profile;
		if (in[i].datagram_len > run.longest)
			run.longest = in[i].datagram_len;
		if (!is_keepalive(&in[i])) {
			run.has_data = true;
			if (!deliver(w, &run, &in[i], d->tos, now_ns))
				continue;
		}
		run.bytes += in[i].text_len + MESSAGE_DATA_MIN;
	}
	end_run(w, &run, &d->source, now_ns);
}

static void open_batch(struct engine_worker *w, struct inbound *in, size_t n,
		       const struct engine_datagram *d, uint64_t now_ns)
{
	struct aead_job jobs[BATCH];

	for (size_t i = 0; i < n; i++)
		jobs[i] = (struct aead_job){
			.key = in[i].session->receive.b,
			.counter = le64_value(in[i].msg->counter),
			.src = in[i].msg->sealed,
			.dst = in[i].msg->sealed,
			.len = in[i].text_len,
		};
	aead_open(w->suite, jobs, n);
	for (size_t first = 0, end = 0; first < n; first = end) {
		for (end = first + 1; end < n && in[end].session == in[first].session; end++)
			;
		take_run(w, in, jobs, first, end, d, now_ns);
	}
}

/* --- What is it? --- */

static void *find_index(void *context, uint32_t index, enum message_type type)
{
	struct engine_worker *w = context;
	struct index_entry *entry = index_find(w->engine->sessions, index);

	if (!entry || type == MESSAGE_COOKIE)
		return entry;
	return atomic_load_explicit(&session_of_index(entry)->state, memory_order_acquire) ==
			       SESSION_READY
		       ? entry
		       : NULL;
}

static bool has_mac1(void *context, const void *message, uint32_t len)
{
	struct engine_worker *w = context;
	const struct identity *id =
		atomic_load_explicit(&w->engine->identity, memory_order_acquire);

	return cookie_mac1_is_valid(&id->checker, w->suite, message, len);
}

static void count_miss(struct engine_worker *w, enum frame_miss why)
{
	switch (why) {
	case FRAME_NO_MISS:
		break;
	case FRAME_MALFORMED:
		count(w, COUNT_MALFORMED, 1);
		break;
	case FRAME_UNKNOWN_INDEX:
		count(w, COUNT_UNKNOWN_INDEX, 1);
		break;
	case FRAME_BAD_MAC1:
		count(w, COUNT_BAD_MAC1, 1);
		count(w, COUNT_HANDSHAKES_REFUSED, 1);
		break;
	}
}

/* Data joins the batch, a handshake message the queue. Return: how many are in the batch. */
static size_t sort(struct engine_worker *w, const struct engine_datagram *d,
		   const struct frame_view *view, uint32_t len, uint64_t now_ns,
		   struct inbound *in, size_t n)
{
	if (!view->type) {
		count_miss(w, view->miss);
		return n;
	}
	if (view->type != MESSAGE_DATA) {
		handshake_enqueue(w, &d->source, view, len);
		return n;
	}
	in[n].profile = view->profile;
	in[n].msg = (struct msg_data *)(void *)view->message;
	in[n].text_len = view->len - MESSAGE_DATA_MIN;
	in[n].datagram_len = len;
	in[n].session = session_of_index(view->found);
	return is_alive(w, in[n].session, in[n].msg, now_ns) ? n + 1 : n;
}

/* Up to BATCH datagrams of one read. @guess is how the last one was framed. */
static const struct frame_profile *receive_batch(struct engine_worker *w,
						 const struct engine_datagram *d,
						 const struct frame_datagram *parts, uint32_t n,
						 const struct frame_profile *guess,
						 uint64_t now_ns)
{
	const struct engine_framing *f = framing_now(w->engine);
	struct frame_lookup lookup = { .find_index = find_index,
				       .has_mac1 = has_mac1,
				       .context = w };
	struct frame_view views[BATCH];
	struct inbound in[BATCH];
	size_t n_in = 0;

	if (f->has_end)
		lookup.wall_s = (now_ns + atomic_load_explicit(&w->engine->wall_offset_ns,
							       memory_order_relaxed)) /
				ENGINE_SECOND;
	frame_classify(&f->set, guess, parts, n, &lookup, views);
	for (uint32_t i = 0; i < n; i++) {
		n_in = sort(w, d, &views[i], parts[i].len, now_ns, in, n_in);
		if (views[i].type)
			guess = views[i].profile;
	}
	if (n_in)
		open_batch(w, in, n_in, d, now_ns);
	return guess;
}

static void receive_one(struct engine_worker *w, uint64_t now_ns, struct engine_datagram *d)
{
	uint32_t step = d->segment && d->segment < d->len ? d->segment : d->len;
	uint32_t known = source_profile(w, &d->source);
	const struct frame_profile *guess = frame_set_find(&framing_now(w->engine)->set, known);
	struct frame_datagram parts[BATCH];
	uint32_t n = 0;

	if (d->len == 0)
		count(w, COUNT_MALFORMED, 1);
	for (uint32_t at = 0; at < d->len; at += step) {
		parts[n++] = (struct frame_datagram){
			.data = d->data + at,
			.len = d->len - at < step ? d->len - at : step,
		};
		if (n == BATCH || at + step >= d->len) {
			guess = receive_batch(w, d, parts, n, guess, now_ns);
			n = 0;
		}
	}
	if (guess->number != known)
		source_remember(w, &d->source, guess->number);
}

void engine_receive(struct engine_worker *w, uint64_t now_ns, struct engine_datagram *datagrams,
		    size_t n)
{
	outputs_reset(w);
	if (!atomic_load_explicit(&w->engine->is_up, memory_order_relaxed))
		return;
	for (size_t i = 0; i < n; i++)
		receive_one(w, now_ns, &datagrams[i]);
}
