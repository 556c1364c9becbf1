/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. An acknowledgement delivers octets, by its number or by SACK blocks.
 * RACK keeps the time at which the most recently sent of those left; whatever left earlier by
 * more than a reordering window and is still out is lost. A timer repeats that check when the
 * only thing missing is time. When nothing comes back, a probe of one segment makes the other end
 * speak (TLP), and after that the retransmission timer takes everything for lost.
 */
#include "inet/tcp_internal.h"

enum {
	REORDER_MULT_MAX = 20,
	REORDER_PERSIST =
		16, /* recoveries without a sign of reordering, RFC 8985 section 6.2 */
};

#define PROBE_LEAST_NS (10 * MILLISECOND)

/* What one acknowledgement brought. */
struct news {
	uint64_t oldest_ns; /* sent; of octets never sent again. NEVER: none */
	uint64_t newest_ns;
	uint64_t forward_before;
	uint32_t delivered;
	uint32_t acked;
	uint32_t flying_before;
	bool has_resent; /* of what was acknowledged, something was sent twice */
};

/* --- Delivery --- */

/* Sent twice, and the answer may be to the first: it says nothing about the second. */
static bool is_ambiguous(const struct tcp *t, const struct tcp_sent *s,
			 const struct tcp_segment *seg, uint64_t now_ns)
{
	if (!s->was_resent)
		return false;
	if (t->has_timestamps && seg->has_timestamps &&
	    (int32_t)(seg->ts_echo - tcp_now_ts(t, s->sent_ns)) < 0)
		return true;
	return now_ns - s->sent_ns < t->rtt.min_ns;
}

static void rack_update(struct tcp *t, const struct tcp_sent *s, const struct tcp_segment *seg,
			uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	uint64_t end = tcp_sent_end(s);

	if (is_ambiguous(t, s, seg, now_ns))
		return;
	if (s->sent_ns < r->xmit_ns || (s->sent_ns == r->xmit_ns && end < r->end))
		return;
	r->xmit_ns = s->sent_ns;
	r->end = end;
	r->rtt_ns = now_ns - s->sent_ns;
}

static void delivered(struct tcp *t, const struct tcp_sent *s, const struct tcp_segment *seg,
		      uint64_t now_ns, struct news *news)
{
	uint64_t end = tcp_sent_end(s);

	if (s->fate == TCP_SACKED)
		return;
	news->delivered += s->len;
	rack_update(t, s, seg, now_ns);
	news->has_resent |= s->was_resent;
	if (!s->was_resent) {
		if (s->sent_ns < news->oldest_ns)
			news->oldest_ns = s->sent_ns;
		if (s->sent_ns > news->newest_ns)
			news->newest_ns = s->sent_ns;
		if (end < news->forward_before)
			t->recovery.has_reordering = true;
	}
	if (end > t->recovery.forward)
		t->recovery.forward = end;
}

static void advance(struct tcp *t, uint64_t ack, const struct tcp_segment *seg, uint64_t now_ns,
		    struct news *news)
{
	struct tcp_board *b = &t->snd.board;

	news->acked = (uint32_t)(ack - t->snd.una);
	while (b->n && tcp_board_at(b, 0)->start < ack) {
		struct tcp_sent part = *tcp_board_at(b, 0);

		if (tcp_sent_end(&part) > ack)
			part.len = (uint32_t)(ack - part.start);
		delivered(t, &part, seg, now_ns, news);
		tcp_board_drop(b, part.len);
	}
	t->snd.una = ack;
	if (t->snd.una >= t->snd.end &&
	    (t->snd.wants_fin || t->snd.ring.capacity <= 4 * TCP_RING_MIN))
		tcp_ring_done(&t->snd.ring, t->settings->budget);
}

/* Octets [@start, @end) are said to have arrived. */
static void sacked(struct tcp *t, uint64_t start, uint64_t end, const struct tcp_segment *seg,
		   uint64_t now_ns, struct news *news)
{
	struct tcp_board *b = &t->snd.board;
	uint32_t i = tcp_board_find(b, start);

	for (; i < b->n && tcp_board_at(b, i)->start < end; i++) {
		if (tcp_board_at(b, i)->fate == TCP_SACKED)
			continue;
		if (tcp_board_at(b, i)->start < start) {
			if (!tcp_board_split(b, i, start))
				return;
			continue; /* the second part comes next */
		}
		if (tcp_sent_end(tcp_board_at(b, i)) > end && !tcp_board_split(b, i, end))
			return;
		delivered(t, tcp_board_at(b, i), seg, now_ns, news);
		tcp_board_mark(b, i, TCP_SACKED);
	}
}

static void take_sacks(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns,
		       struct news *news)
{
	t->recovery.duplicate_seen = false;
	if (!t->has_sack)
		return;
	for (uint32_t i = 0; i < s->n_sacks; i++) {
		uint64_t start = widen(t->snd.una, s->sacks[i].start);
		uint64_t end = widen(t->snd.una, s->sacks[i].end);

		/* RFC 2883: what is acknowledged already, in the first block, came twice. */
		if (i == 0 && end <= t->snd.una && start < end)
			t->recovery.duplicate_seen = true;
		if (start >= end || start < t->snd.una || end > t->snd.nxt)
			continue;
		sacked(t, start, end, s, now_ns, news);
	}
}

/* --- RACK --- */

static uint64_t reorder_window(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	uint64_t window = r->reorder_mult * t->rtt.min_ns / 4;

	if (!r->has_reordering &&
	    (r->is_active || r->is_loss ||
	     t->snd.board.octets[TCP_SACKED] >= DUPLICATES * tcp_segment_size(t)))
		return 0;
	return window < t->rtt.smooth_ns ? window : t->rtt.smooth_ns;
}

/* RFC 8985 section 6.2, step 4: a duplicate means that we were too fast. */
static void adapt_reordering(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;

	if (r->duplicate_seen && t->snd.una >= r->round_end) {
		r->round_end = t->snd.nxt;
		r->has_reordering = true;
		r->reorder_persist = REORDER_PERSIST;
		if (r->reorder_mult < REORDER_MULT_MAX)
			r->reorder_mult++;
	}
}

static bool left_before(const struct tcp_recovery *r, const struct tcp_sent *s)
{
	return s->sent_ns < r->xmit_ns ||
	       (s->sent_ns == r->xmit_ns && tcp_sent_end(s) < r->end);
}

/* Mark what is lost. Return: when to look again, NEVER for not at all. */
static uint64_t detect_loss(struct tcp *t, uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	struct tcp_board *b = &t->snd.board;
	uint64_t patience = r->rtt_ns + reorder_window(t), again = NEVER;

	if (r->xmit_ns == 0)
		return NEVER;
	for (uint32_t i = 0; i < b->n; i++) {
		const struct tcp_sent *s = tcp_board_at(b, i);

		if (s->fate != TCP_FLYING || !left_before(r, s))
			continue;
		if (s->sent_ns + patience <= now_ns)
			tcp_board_mark(b, i, TCP_LOST);
		else if (s->sent_ns + patience < again)
			again = s->sent_ns + patience;
	}
	return again;
}

/* --- Windows --- */

static void enter_recovery(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;
	const struct tcp_board *b = &t->snd.board;

	tcp_cubic_congested(&t->cubic);
	r->is_active = true;
	r->point = t->snd.nxt;
	r->prr_delivered = 0;
	r->prr_out = 0;
	r->prr_flight = b->octets[TCP_FLYING] + b->octets[TCP_LOST];
	t->tells_cwr = t->has_ecn;
	t->cwr_point = t->snd.nxt;
}

static void leave_recovery(struct tcp *t)
{
	struct tcp_recovery *r = &t->recovery;

	if (r->is_active)
		t->cubic.window = t->cubic.threshold;
	r->is_active = false;
	r->is_loss = false;
	if (r->reorder_persist && --r->reorder_persist == 0)
		r->reorder_mult = 1;
}

/* RFC 6937 section 3, with its slow start bound only while the acknowledgement moves forward. */
static void reduce_in_proportion(struct tcp *t, const struct news *news)
{
	struct tcp_recovery *r = &t->recovery;
	uint32_t pipe = t->snd.board.octets[TCP_FLYING], threshold = t->cubic.threshold;
	uint32_t segment = t->cubic.segment, count = 0;

	r->prr_delivered += news->delivered;
	if (pipe > threshold) {
		uint64_t may = ((uint64_t)r->prr_delivered * threshold + r->prr_flight - 1) /
			       (r->prr_flight ? r->prr_flight : 1);

		count = may > r->prr_out ? (uint32_t)(may - r->prr_out) : 0;
	} else {
		count = r->prr_delivered > r->prr_out ? r->prr_delivered - r->prr_out : 0;
		if (news->acked && count < news->delivered)
			count = news->delivered;
		if (news->acked)
			count += segment;
		if (count > threshold - pipe)
			count = threshold - pipe;
	}
	if (r->prr_out == 0 && count < segment)
		count = segment; /* the first retransmission goes out at once */
	t->cubic.window = pipe + count;
}

/* Was the window what held us back? RFC 7661 has the long answer; this is Linux's short one. */
static bool was_limited(const struct tcp *t, uint32_t flying)
{
	if (tcp_cubic_is_slow_start(&t->cubic))
		return 2 * (uint64_t)flying >= t->cubic.window;
	return flying + TCP_OUTPUT_MAX >= t->cubic.window &&
	       4 * (uint64_t)flying >= t->cubic.window;
}

static void input_ece(struct tcp *t, const struct tcp_segment *s)
{
	if (!t->has_ecn || !(s->flags & TCP_FLAG_ECE) || t->snd.una < t->cwr_point ||
	    t->recovery.is_active || t->recovery.is_loss)
		return;
	tcp_cubic_congested(&t->cubic);
	t->cubic.window = t->cubic.threshold;
	t->cwr_point = t->snd.nxt;
	t->tells_cwr = true;
}

static void adjust_window(struct tcp *t, const struct tcp_segment *s, uint64_t now_ns,
			  const struct news *news)
{
	struct tcp_recovery *r = &t->recovery;

	if ((r->is_active || r->is_loss) && t->snd.una >= r->point)
		leave_recovery(t);
	if (t->snd.board.octets[TCP_LOST] && !r->is_active && !r->is_loss)
		enter_recovery(t);
	input_ece(t, s);
	if (r->is_active)
		reduce_in_proportion(t, news);
	else if (news->delivered && was_limited(t, news->flying_before))
		tcp_cubic_acked(&t->cubic, news->delivered, t->rtt.smooth_ns, now_ns);
}

/* --- Tail loss probe --- */

/* RFC 8985 section 7.4.2: did the probe repair a loss nobody else noticed? */
static void judge_tail(struct tcp *t, const struct tcp_segment *s, const struct news *news)
{
	struct tcp_recovery *r = &t->recovery;
	bool is_bare = news->acked == 0 && s->n_sacks == 0;

	if (r->tail_end == 0 || t->snd.una < r->tail_end)
		return;
	if (r->tail_is_resent && !r->duplicate_seen && !is_bare && !r->is_active &&
	    !r->is_loss) {
		tcp_cubic_congested(&t->cubic);
		t->cubic.window = t->cubic.threshold;
	}
	r->tail_end = 0;
}

static uint64_t probe_after(const struct tcp *t)
{
	uint64_t rto = tcp_rtt_rto_ns(&t->rtt), after = 2 * t->rtt.smooth_ns;

	if (t->rtt.smooth_ns == 0)
		return rto;
	if (t->snd.board.octets[TCP_FLYING] <= tcp_segment_size(t))
		after += PEER_ACK_DELAY_NS;
	if (after < PROBE_LEAST_NS)
		after = PROBE_LEAST_NS;
	return after < rto ? after : rto;
}

/* --- Timer --- */

static void set_timer(struct tcp *t, enum tcp_timer what, uint64_t at_ns)
{
	t->timer = what;
	t->timer_ns = at_ns;
}

static bool may_probe_tail(const struct tcp *t)
{
	const struct tcp_recovery *r = &t->recovery;
	const struct tcp_board *b = &t->snd.board;

	return t->has_sack && !r->is_active && !r->is_loss && r->tail_end == 0 &&
	       b->octets[TCP_SACKED] == 0 && b->octets[TCP_LOST] == 0;
}

void tcp_arm(struct tcp *t, uint64_t now_ns)
{
	const struct tcp_board *b = &t->snd.board;

	if (!tcp_is_open(t)) {
		set_timer(t, TCP_TIMER_NONE, NEVER);
		return;
	}
	if (b->n && may_probe_tail(t))
		set_timer(t, TCP_TIMER_PROBE, now_ns + probe_after(t));
	else if (b->n)
		set_timer(t, TCP_TIMER_RTO, now_ns + tcp_rtt_rto_ns(&t->rtt));
	else if (t->snd.nxt < send_limit(t))
		set_timer(t, TCP_TIMER_PERSIST, now_ns + tcp_rtt_rto_ns(&t->rtt));
	else
		set_timer(t, TCP_TIMER_NONE, NEVER);
}

/* RFC 2018 section 8: the other end may have thrown away what it SACKed. */
static void distrust_sacks(struct tcp *t)
{
	struct tcp_board *b = &t->snd.board;

	for (uint32_t i = 0; i < b->n; i++)
		if (tcp_board_at(b, i)->fate == TCP_SACKED)
			tcp_board_mark(b, i, TCP_LOST);
}

static void timed_out(struct tcp *t, uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	struct tcp_board *b = &t->snd.board;

	if (b->n && tcp_board_at(b, 0)->fate == TCP_SACKED)
		distrust_sacks(t);
	for (uint32_t i = 0; i < b->n; i++)
		if (tcp_board_at(b, i)->fate == TCP_FLYING)
			tcp_board_mark(b, i, TCP_LOST);
	tcp_cubic_timeout(&t->cubic, !r->is_loss);
	r->is_loss = true;
	r->is_active = false;
	r->tail_end = 0;
	r->point = t->snd.nxt;
	t->rtt.backoff++;
	if (t->silent_since_ns == 0)
		t->silent_since_ns = now_ns;
	set_timer(t, TCP_TIMER_RTO, now_ns + tcp_rtt_rto_ns(&t->rtt));
}

static void persist(struct tcp *t, uint64_t now_ns)
{
	if (t->snd.una + t->snd.window > t->snd.nxt)
		t->snd.is_forced = true;
	else
		t->owed |= TCP_OWES_PROBE;
	t->rtt.backoff++;
	if (t->silent_since_ns == 0)
		t->silent_since_ns = now_ns;
	set_timer(t, TCP_TIMER_PERSIST, now_ns + tcp_rtt_rto_ns(&t->rtt));
}

/* Loss, found by time or by news: how to go on, and when to look again. */
static void after_detection(struct tcp *t, uint64_t now_ns, uint64_t again_ns, bool is_progress)
{
	if (again_ns != NEVER)
		set_timer(t, TCP_TIMER_REORDER, again_ns);
	else if (is_progress || t->timer == TCP_TIMER_REORDER || t->timer == TCP_TIMER_NONE)
		tcp_arm(t, now_ns);
}

void tcp_timer_expired(struct tcp *t, uint64_t now_ns)
{
	struct tcp_recovery *r = &t->recovery;
	enum tcp_timer what = t->timer;
	uint64_t again = NEVER;

	set_timer(t, TCP_TIMER_NONE, NEVER);
	switch (what) {
	case TCP_TIMER_NONE:
		break;
	case TCP_TIMER_RTO:
		timed_out(t, now_ns);
		break;
	case TCP_TIMER_PERSIST:
		persist(t, now_ns);
		break;
	case TCP_TIMER_PROBE:
		t->owed |= TCP_OWES_TAIL;
		set_timer(t, TCP_TIMER_RTO, now_ns + tcp_rtt_rto_ns(&t->rtt));
		break;
	case TCP_TIMER_REORDER:
		again = detect_loss(t, now_ns);
		if (t->snd.board.octets[TCP_LOST] && !r->is_active && !r->is_loss) {
			enter_recovery(t);
			reduce_in_proportion(t, &(struct news){ 0 });
		}
		after_detection(t, now_ns, again, true);
		break;
	}
}

static void sample(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s,
		   const struct news *news)
{
	/* Behind a gap that was filled, what was sent once waited for what was sent twice. */
	if (news->oldest_ns != NEVER && !news->has_resent) {
		tcp_rtt_sample(&t->rtt, now_ns, now_ns - news->oldest_ns);
		tcp_rtt_sample(&t->rtt, now_ns, now_ns - news->newest_ns);
		tcp_cubic_round(&t->cubic, now_ns - news->newest_ns, t->snd.una, t->snd.nxt);
	} else if (news->acked && t->has_timestamps && s->has_timestamps && s->ts_echo) {
		uint32_t ms = tcp_now_ts(t, now_ns) - s->ts_echo;

		if (ms < 600000) /* more is no echo of ours */
			tcp_rtt_sample(&t->rtt, now_ns, (ms ? ms : 1) * MILLISECOND);
	} else if (news->acked) {
		t->rtt.backoff = 0;
	}
}

bool tcp_acknowledged(struct tcp *t, uint64_t now_ns, const struct tcp_segment *s, uint64_t ack)
{
	struct news news = { .oldest_ns = NEVER,
			     .forward_before = t->recovery.forward,
			     .flying_before = t->snd.board.octets[TCP_FLYING] };
	uint64_t again = NEVER;

	if (t->timer == TCP_TIMER_PERSIST && t->snd.una + t->snd.window > t->snd.nxt) {
		t->rtt.backoff = 0;
		set_timer(t, TCP_TIMER_NONE, NEVER);
	}
	advance(t, ack, s, now_ns, &news);
	take_sacks(t, s, now_ns, &news);
	sample(t, now_ns, s, &news);
	adapt_reordering(t);
	if (t->snd.board.n)
		again = detect_loss(t, now_ns);
	judge_tail(t, s, &news);
	adjust_window(t, s, now_ns, &news);
	if (t->timer != TCP_TIMER_NONE || t->snd.board.n)
		after_detection(t, now_ns, again, news.acked > 0);
	return news.delivered > 0;
}
