/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in: RFC 9293 section 3.10.7, in its order. */
#include <string.h>

#include "inet/tcp_internal.h"

/* RFC 7323 section 5.5: a timestamp older than 24 days says nothing. */
#define TS_STALE_NS	     (UINT64_C(24) * 24 * 3600 * SECOND)
#define CHALLENGE_SPACING_NS (500 * MILLISECOND)

/* A segment as positions. @end counts payload and FIN. */
struct arrival {
	const struct tcp_segment *s;
	const struct iovec *payload;
	size_t n;
	uint64_t start;
	uint64_t end;
	uint32_t len; /* payload */
	bool has_fin;
};

static uint32_t total(const struct iovec *payload, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += payload[i].iov_len;
	return (uint32_t)len;
}

static void owe(struct tcp *t, enum tcp_owed what)
{
	t->owed |= what;
}

/* RFC 5961: say where we are; whoever meant it knows how to go on. Not too often. */
static void challenge(struct tcp *t, uint64_t now_ns)
{
	if (now_ns < t->challenge_ns)
		return;
	t->challenge_ns = now_ns + CHALLENGE_SPACING_NS;
	owe(t, TCP_OWES_ACK);
}

static void reset_at(struct tcp *t, uint64_t position)
{
	t->reset_at = position;
	owe(t, TCP_OWES_RESET);
}

/* --- SYN-SENT --- */

static void answered(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s)
{
	t->has_ecn = t->has_ecn && (s->flags & TCP_FLAG_ECE) && !(s->flags & TCP_FLAG_CWR);
	tcp_established(t, now_ns);
	owe(t, TCP_OWES_ACK);
}

static void input_syn_sent(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s)
{
	uint64_t ack = widen(t->snd.nxt, s->acknowledgement);
	bool has_ack = s->flags & TCP_FLAG_ACK;

	if (has_ack && (ack <= t->snd.iss || ack > t->snd.nxt)) {
		if (!(s->flags & TCP_FLAG_RST))
			reset_at(t, ack);
		return;
	}
	if (s->flags & TCP_FLAG_RST) {
		if (has_ack)
			tcp_close(t, TCP_END_RESET);
		return;
	}
	if (!(s->flags & TCP_FLAG_SYN))
		return;
	tcp_take_syn(t, s, now_ns);
	if (has_ack) {
		answered(t, now_ns, s);
		return;
	}
	t->has_ecn = t->has_ecn && (s->flags & TCP_FLAG_ECE) && (s->flags & TCP_FLAG_CWR);
	tcp_enter(t, TCP_STATE_SYN_RECEIVED, now_ns); /* both at once */
	owe(t, TCP_OWES_SYN);
}

/* --- Which segments count --- */

/* RFC 7323 section 5.3. Return: false when the segment is old. */
static bool passes_timestamps(struct tcp *t, uint64_t now_ns, const struct arrival *a)
{
	const struct tcp_segment *s = a->s;
	bool is_reset = s->flags & TCP_FLAG_RST;

	if (!t->has_timestamps)
		return true;
	if (!s->has_timestamps)
		return is_reset;
	if ((int32_t)(s->ts_value - t->ts_recent) < 0 && !is_reset &&
	    now_ns - t->ts_recent_ns < TS_STALE_NS) {
		owe(t, TCP_OWES_ACK);
		return false;
	}
	return true;
}

static void note_timestamp(struct tcp *t, uint64_t now_ns, const struct arrival *a)
{
	if (!t->has_timestamps || !a->s->has_timestamps || a->start > t->rcv.acked ||
	    (int32_t)(a->s->ts_value - t->ts_recent) < 0)
		return;
	t->ts_recent = a->s->ts_value;
	t->ts_recent_ns = now_ns;
}

static void note_duplicate(struct tcp *t, uint64_t start, uint64_t end)
{
	t->rcv.duplicate_start = start;
	t->rcv.duplicate_end = end;
}

/* Old segments and those beyond the window are answered and dropped; but the acknowledgement in
 * one that was merely overtaken is news. */
static bool is_acceptable(struct tcp *t, uint64_t now_ns, const struct arrival *a)
{
	if (a->start > t->rcv.edge) {
		owe(t, TCP_OWES_ACK);
		return false;
	}
	if (a->end > t->rcv.nxt || a->start >= t->rcv.nxt)
		return true;
	if (a->end > a->start) {
		note_duplicate(t, a->start, a->end);
		owe(t, TCP_OWES_ACK);
		if (t->state == TCP_STATE_TIME_WAIT)
			t->wait_ns = now_ns + TIME_WAIT_NS;
	}
	if (a->end >= t->rcv.acked)
		return true;
	owe(t, TCP_OWES_ACK);
	return false;
}

/* RFC 5961 section 3: exactly here, or it may be a guess. */
static void input_reset(struct tcp *t, uint64_t now_ns, const struct arrival *a)
{
	if (t->state == TCP_STATE_TIME_WAIT) /* RFC 1337 */
		return;
	if (a->start == t->rcv.nxt)
		tcp_close(t, TCP_END_RESET);
	else if (a->start > t->rcv.nxt && a->start < t->rcv.edge)
		challenge(t, now_ns);
}

/* Return: true when the segment goes on, as if it had no SYN. */
static bool input_syn(struct tcp *t, uint64_t now_ns, struct arrival *a)
{
	bool is_same = a->start == t->rcv.irs;

	if (t->state != TCP_STATE_SYN_RECEIVED || !is_same) {
		challenge(t, now_ns); /* RFC 5961 section 4 */
		return false;
	}
	if (!(a->s->flags & TCP_FLAG_ACK)) {
		owe(t, TCP_OWES_SYN);
		return false;
	}
	return true;
}

/* --- Acknowledgements --- */

static void update_window(struct tcp *t, const struct arrival *a, uint64_t ack)
{
	uint32_t window = (uint32_t)a->s->window << t->snd.scale;

	if (ack < t->snd.una || a->start < t->snd.update_sequence ||
	    (a->start == t->snd.update_sequence && ack < t->snd.update_ack))
		return;
	t->snd.window = window;
	t->snd.update_sequence = a->start;
	t->snd.update_ack = ack;
	if (window > t->snd.window_most)
		t->snd.window_most = window;
}

static void fin_acknowledged(struct tcp *t, uint64_t now_ns)
{
	if (t->state == TCP_STATE_FIN_WAIT_1)
		tcp_enter(t, TCP_STATE_FIN_WAIT_2, now_ns);
	else if (t->state == TCP_STATE_CLOSING)
		tcp_enter(t, TCP_STATE_TIME_WAIT, now_ns);
	else if (t->state == TCP_STATE_LAST_ACK)
		tcp_close(t, TCP_END_NONE);
}

/* Return: false when the segment must not be looked at any further. */
static bool input_ack(struct tcp *t, uint64_t now_ns, const struct arrival *a)
{
	uint64_t ack = widen(t->snd.una, a->s->acknowledgement);

	if (t->state == TCP_STATE_SYN_RECEIVED) {
		if (ack != t->snd.iss + 1) {
			reset_at(t, ack);
			return false;
		}
		tcp_established(t, now_ns);
	}
	if (ack > t->snd.nxt || ack + t->snd.window_most < t->snd.una) {
		challenge(t, now_ns); /* RFC 5961 section 5 */
		return false;
	}
	if (t->state == TCP_STATE_TIME_WAIT)
		return true;
	update_window(t, a, ack);
	if (ack >= t->snd.una)
		tcp_acknowledged(t, now_ns, a->s, ack);
	if (t->snd.wants_fin && t->snd.una > t->snd.end)
		fin_acknowledged(t, now_ns);
	return t->state != TCP_STATE_CLOSED;
}

/* --- Octets --- */

/* Write payload octets [@start, @end) of @a to the ring. */
static void store(struct tcp *t, const struct arrival *a, uint64_t start, uint64_t end)
{
	uint64_t at = a->start;

	for (size_t i = 0; i < a->n && at < end; i++) {
		uint64_t next = at + a->payload[i].iov_len;
		uint64_t from = at < start ? start : at, to = next < end ? next : end;

		if (from < to)
			tcp_ring_write(&t->rcv.ring, from,
				       (const uint8_t *)a->payload[i].iov_base + (from - at),
				       (uint32_t)(to - from));
		at = next;
	}
}

/* RFC 5681 section 4.2: at least every second full segment, and within 40 ms. */
static void plan_ack(struct tcp *t, uint64_t now_ns, uint32_t len)
{
	t->rcv.unacked += len;
	if (t->rcv.quick > 0 || t->rcv.unacked >= 2 * tcp_segment_size(t)) {
		if (t->rcv.quick > 0)
			t->rcv.quick--;
		owe(t, TCP_OWES_ACK);
	} else if (t->ack_ns == NEVER) {
		t->ack_ns = now_ns + DELAYED_ACK_NS;
	}
}

/* Return: how much of [@start, @end) can be stored. Where the budget is used up, the rest is
 * dropped before it is acknowledged. */
static uint64_t make_room(struct tcp *t, uint64_t start, uint64_t end)
{
	struct tcp_ring *ring = &t->rcv.ring;
	uint64_t fits = 0;

	if (tcp_ring_reserve(ring, t->settings->budget, t->rcv.read,
			     (uint32_t)(end - t->rcv.read)) == 0)
		return end;
	if (start - t->rcv.read < TCP_RING_MIN)
		tcp_ring_reserve(ring, t->settings->budget, t->rcv.read, TCP_RING_MIN);
	fits = t->rcv.read + ring->capacity;
	return fits < end ? fits : end;
}

/* [@start, @end) lies within the window and is not all old. */
static void take_octets(struct tcp *t, uint64_t now_ns, const struct arrival *a, uint64_t start,
			uint64_t end)
{
	bool has_gaps = t->rcv.ranges.n > 0;

	if (tcp_ranges_contain(&t->rcv.ranges, start, end))
		note_duplicate(t, start, end);
	end = make_room(t, start, end);
	if (start >= end)
		return;
	if (start > t->rcv.nxt) {
		if (tcp_ranges_add(&t->rcv.ranges, start, end))
			store(t, a, start, end);
		owe(t, TCP_OWES_ACK);
		return;
	}
	store(t, a, start, end);
	t->rcv.nxt = tcp_ranges_take(&t->rcv.ranges, end);
	if (has_gaps) /* RFC 5681 section 4.2: a gap closes */
		owe(t, TCP_OWES_ACK);
	plan_ack(t, now_ns, (uint32_t)(end - start));
}

static bool may_receive(const struct tcp *t)
{
	return t->state == TCP_STATE_ESTABLISHED || t->state == TCP_STATE_FIN_WAIT_1 ||
	       t->state == TCP_STATE_FIN_WAIT_2;
}

static void input_text(struct tcp *t, uint64_t now_ns, const struct arrival *a)
{
	uint64_t start = a->start, end = a->start + a->len;

	if (start < t->rcv.nxt) {
		if (end > t->rcv.nxt && start >= t->rcv.read)
			note_duplicate(t, start, t->rcv.nxt);
		start = t->rcv.nxt;
	}
	if (end > t->rcv.edge) { /* a probe of a closed window, or rudeness */
		end = t->rcv.edge;
		owe(t, TCP_OWES_ACK);
	}
	if (end > t->rcv.fin_at)
		end = t->rcv.fin_at;
	if (end > start)
		take_octets(t, now_ns, a, start, end);
	if (a->has_fin && a->start + a->len <= t->rcv.edge && a->end > t->rcv.nxt &&
	    t->rcv.fin_at == UINT64_MAX)
		t->rcv.fin_at = a->start + a->len;
}

static void input_fin(struct tcp *t, uint64_t now_ns)
{
	if (t->rcv.nxt != t->rcv.fin_at)
		return;
	t->rcv.nxt++;
	owe(t, TCP_OWES_ACK);
	if (t->state == TCP_STATE_ESTABLISHED)
		tcp_enter(t, TCP_STATE_CLOSE_WAIT, now_ns);
	else if (t->state == TCP_STATE_FIN_WAIT_1)
		tcp_enter(t, TCP_STATE_CLOSING, now_ns);
	else if (t->state == TCP_STATE_FIN_WAIT_2)
		tcp_enter(t, TCP_STATE_TIME_WAIT, now_ns);
}

static void input_ecn(struct tcp *t, const struct tcp_segment *s, bool has_ce)
{
	if (!t->has_ecn)
		return;
	if (s->flags & TCP_FLAG_CWR)
		t->tells_ce = false;
	if (has_ce) {
		t->tells_ce = true;
		owe(t, TCP_OWES_ACK);
	}
}

static void input_synchronized(struct tcp *t, uint64_t now_ns, struct arrival *a, bool has_ce)
{
	if (!passes_timestamps(t, now_ns, a))
		return;
	if (a->s->flags & TCP_FLAG_RST) {
		input_reset(t, now_ns, a);
		return;
	}
	if (a->s->flags & TCP_FLAG_SYN) {
		if (!input_syn(t, now_ns, a))
			return;
	} else if (!is_acceptable(t, now_ns, a)) {
		return;
	}
	if (!(a->s->flags & TCP_FLAG_ACK))
		return;
	note_timestamp(t, now_ns, a);
	if (!input_ack(t, now_ns, a))
		return;
	t->heard_ns = now_ns;
	t->silent_since_ns = 0;
	t->tries = 0;
	input_ecn(t, a->s, has_ce);
	if (may_receive(t) && a->end > a->start && !(a->s->flags & TCP_FLAG_SYN)) {
		input_text(t, now_ns, a);
		input_fin(t, now_ns);
	}
}

void tcp_input(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s,
	       const struct iovec *payload, size_t n, bool has_ce)
{
	struct arrival a = {
		.s = s,
		.payload = payload,
		.n = n,
		.len = total(payload, n),
		.has_fin = s->flags & TCP_FLAG_FIN,
	};

	if (t->state == TCP_STATE_CLOSED)
		return;
	if (t->state == TCP_STATE_SYN_SENT) {
		input_syn_sent(t, now_ns, s);
		return;
	}
	a.start = widen(t->rcv.nxt, s->sequence);
	a.end = a.start + a.len + a.has_fin;
	input_synchronized(t, now_ns, &a, has_ce);
}
