/* SPDX-License-Identifier: Apache-2.0 */
/* Life and state of a connection, and the owner's side of it. */
#include <assert.h>
#include <string.h>

#include "crypto/short_hash.h"
#include "inet/tcp_internal.h"

enum {
	MSS_LEAST = 64,
	MSS_DEFAULT_V4 = 536, /* RFC 9293 section 3.7.1 */
	MSS_DEFAULT_V6 = 1220,
	RECEIVE_FIRST = 128 << 10,
	ISN_TICK_NS = 4000,
};

/* Above 2^32, so that positions before the first one do not wrap. */
#define POSITIONS_FROM	   (UINT64_C(1) << 32)
#define KEEPALIVE_AGAIN_NS (75 * SECOND)

#define BIT(state) (1U << (state))

/* Where each state may lead. Anything else is a bug in these files. */
static const unsigned int exits[] = {
	[TCP_STATE_CLOSED] = 0,
	[TCP_STATE_SYN_SENT] = BIT(TCP_STATE_SYN_RECEIVED) | BIT(TCP_STATE_ESTABLISHED) |
			       BIT(TCP_STATE_CLOSED),
	[TCP_STATE_SYN_RECEIVED] =
		BIT(TCP_STATE_ESTABLISHED) | BIT(TCP_STATE_FIN_WAIT_1) | BIT(TCP_STATE_CLOSED),
	[TCP_STATE_ESTABLISHED] =
		BIT(TCP_STATE_FIN_WAIT_1) | BIT(TCP_STATE_CLOSE_WAIT) | BIT(TCP_STATE_CLOSED),
	[TCP_STATE_FIN_WAIT_1] = BIT(TCP_STATE_FIN_WAIT_2) | BIT(TCP_STATE_CLOSING) |
				 BIT(TCP_STATE_TIME_WAIT) | BIT(TCP_STATE_CLOSED),
	[TCP_STATE_FIN_WAIT_2] = BIT(TCP_STATE_TIME_WAIT) | BIT(TCP_STATE_CLOSED),
	[TCP_STATE_CLOSE_WAIT] = BIT(TCP_STATE_LAST_ACK) | BIT(TCP_STATE_CLOSED),
	[TCP_STATE_CLOSING] = BIT(TCP_STATE_TIME_WAIT) | BIT(TCP_STATE_CLOSED),
	[TCP_STATE_LAST_ACK] = BIT(TCP_STATE_CLOSED),
	[TCP_STATE_TIME_WAIT] = BIT(TCP_STATE_CLOSED),
};
static_assert(sizeof(exits) / sizeof(exits[0]) == TCP_STATE_TIME_WAIT + 1, "one row per state");

static void stop_timers(struct tcp *t)
{
	t->timer = TCP_TIMER_NONE;
	t->timer_ns = NEVER;
	t->ack_ns = NEVER;
	t->wait_ns = NEVER;
}

void tcp_enter(struct tcp *t, enum tcp_state to, uint64_t now_ns)
{
	assert(exits[t->state] & BIT(to));
	t->state = to;
	if (to == TCP_STATE_CLOSED)
		stop_timers(t);
	if (to == TCP_STATE_TIME_WAIT) {
		stop_timers(t);
		t->wait_ns = now_ns + TIME_WAIT_NS;
		tcp_board_done(&t->snd.board);
		tcp_ring_done(&t->snd.ring, t->settings->budget);
	}
}

void tcp_close(struct tcp *t, enum tcp_end why)
{
	if (t->state != TCP_STATE_CLOSED)
		tcp_enter(t, TCP_STATE_CLOSED, 0);
	t->end = why;
	t->owed = 0;
}

uint32_t tcp_isn(const uint8_t key[16], const struct inet_pair *pair, uint64_t now_ns)
{
	uint8_t input[38];

	memcpy(input, pair->local.b, 16);
	memcpy(input + 16, pair->remote.b, 16);
	memcpy(input + 32, &pair->local_port, 2);
	memcpy(input + 34, &pair->remote_port, 2);
	input[36] = pair->local.family;
	input[37] = 0;
	return (uint32_t)short_hash(key, input, sizeof(input)) +
	       (uint32_t)(now_ns / ISN_TICK_NS);
}

uint32_t tcp_now_ts(const struct tcp *t, uint64_t now_ns)
{
	return (uint32_t)(now_ns / MILLISECOND) + t->ts_offset;
}

uint32_t tcp_segment_size(const struct tcp *t)
{
	return t->snd.mss - (t->has_timestamps ? 12U : 0U);
}

static uint32_t mss_of_path(const struct tcp *t, uint32_t mtu)
{
	return mtu - (t->pair.local.family == ADDR_V4 ? 40 : 60);
}

void tcp_set_mss(struct tcp *t, uint32_t offered)
{
	uint32_t most = mss_of_path(t, t->settings->mtu);

	if (offered == 0)
		offered = t->pair.local.family == ADDR_V4 ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
	if (offered < MSS_LEAST)
		offered = MSS_LEAST;
	t->snd.mss = (uint16_t)(offered < most ? offered : most);
}

static void begin(struct tcp *t, const struct tcp_settings *settings,
		  const struct inet_pair *pair, uint32_t isn, uint32_t ts_offset,
		  uint64_t now_ns)
{
	*t = (struct tcp){
		.settings = settings,
		.pair = *pair,
		.owed = TCP_OWES_SYN,
		.ts_offset = ts_offset,
		.heard_ns = now_ns,
		.sent_ns = now_ns,
	};
	stop_timers(t);
	t->snd.iss = POSITIONS_FROM + isn;
	t->snd.una = t->snd.iss;
	t->snd.nxt = t->snd.iss;
	t->snd.end = t->snd.iss + 1;
	t->recovery.reorder_mult = 1;
	t->rcv.fin_at = UINT64_MAX;
	t->rcv.quick = QUICK_ACKS;
	t->rcv.limit =
		settings->receive_max < RECEIVE_FIRST ? settings->receive_max : RECEIVE_FIRST;
	while (settings->receive_max >> t->rcv.scale > 65535)
		t->rcv.scale++;
}

void tcp_take_syn(struct tcp *t, const struct tcp_segment *syn, uint64_t now_ns)
{
	t->rcv.irs = POSITIONS_FROM + syn->sequence;
	t->rcv.nxt = t->rcv.irs + 1;
	t->rcv.read = t->rcv.nxt;
	t->rcv.edge = t->rcv.nxt;
	t->rcv.acked = t->rcv.nxt;
	t->rcv.round_start = t->rcv.nxt;
	t->rcv.round_at_ns = now_ns;
	t->snd.window = syn->window;
	t->snd.window_most = syn->window;
	t->snd.update_sequence = t->rcv.irs;
	t->snd.scale = syn->scale == TCP_NO_SCALE ? 0 : syn->scale;
	if (syn->scale == TCP_NO_SCALE) {
		t->rcv.scale = 0;
		if (t->rcv.limit > 65535)
			t->rcv.limit = 65535;
	}
	t->has_sack = syn->sack_permitted;
	t->has_timestamps = syn->has_timestamps;
	t->ts_recent = syn->ts_value;
	t->ts_recent_ns = now_ns;
	tcp_set_mss(t, syn->mss);
	t->heard_ns = now_ns;
}

void tcp_accept(struct tcp *t, const struct tcp_settings *settings,
		const struct inet_pair *pair, const struct tcp_segment *syn, uint32_t isn,
		uint32_t ts_offset, uint64_t now_ns)
{
	begin(t, settings, pair, isn, ts_offset, now_ns);
	t->state = TCP_STATE_SYN_RECEIVED;
	tcp_take_syn(t, syn, now_ns);
	t->has_ecn =
		settings->ecn && (syn->flags & TCP_FLAG_ECE) && (syn->flags & TCP_FLAG_CWR);
}

void tcp_connect(struct tcp *t, const struct tcp_settings *settings,
		 const struct inet_pair *pair, uint32_t isn, uint32_t ts_offset,
		 uint64_t now_ns)
{
	begin(t, settings, pair, isn, ts_offset, now_ns);
	t->state = TCP_STATE_SYN_SENT;
	t->has_ecn = settings->ecn;
	tcp_set_mss(t, 0);
}

void tcp_established(struct tcp *t, uint64_t now_ns)
{
	tcp_cubic_init(&t->cubic, tcp_segment_size(t));
	if (t->tries == 1)
		tcp_rtt_sample(&t->rtt, now_ns, now_ns - t->sent_ns);
	else /* RFC 6928 section 2: a lost SYN is a loss */
		t->cubic.window = t->cubic.segment;
	t->snd.una = t->snd.iss + 1;
	t->tries = 0;
	t->wait_ns = NEVER;
	t->owed &= ~(unsigned int)TCP_OWES_SYN;
	t->cwr_point = t->snd.una;
	t->recovery.forward = t->snd.una;
	tcp_enter(t, TCP_STATE_ESTABLISHED, now_ns);
	if (t->snd.wants_fin) /* said while the handshake was under way */
		tcp_enter(t, TCP_STATE_FIN_WAIT_1, now_ns);
}

void tcp_done(struct tcp *t)
{
	tcp_ring_done(&t->snd.ring, t->settings->budget);
	tcp_ring_done(&t->rcv.ring, t->settings->budget);
	tcp_board_done(&t->snd.board);
	tcp_ranges_done(&t->rcv.ranges);
}

void tcp_abort(struct tcp *t)
{
	bool was_known = t->state > TCP_STATE_SYN_SENT && t->state != TCP_STATE_TIME_WAIT;

	if (t->state == TCP_STATE_CLOSED)
		return;
	tcp_close(t, TCP_END_ABORTED);
	t->reset_at = t->snd.nxt;
	if (was_known)
		t->owed = TCP_OWES_RESET;
}

bool tcp_may_reuse(const struct tcp *t, const struct tcp_segment *syn)
{
	if (t->state != TCP_STATE_TIME_WAIT)
		return false;
	if (t->has_timestamps && syn->has_timestamps && syn->ts_value != t->ts_recent)
		return (int32_t)(syn->ts_value - t->ts_recent) > 0;
	return (int32_t)(syn->sequence - (uint32_t)t->rcv.nxt) > 0;
}

/* --- Time --- */

static uint64_t keepalive_at(const struct tcp *t)
{
	if (!t->settings->keepalive_ns || !tcp_is_open(t) || t->snd.board.n)
		return NEVER;
	return t->tries ? t->sent_ns + KEEPALIVE_AGAIN_NS
			: t->heard_ns + t->settings->keepalive_ns;
}

uint64_t tcp_deadline_ns(const struct tcp *t)
{
	uint64_t at = t->timer_ns, keepalive = keepalive_at(t);

	if (t->ack_ns < at)
		at = t->ack_ns;
	if (t->wait_ns < at)
		at = t->wait_ns;
	return keepalive < at ? keepalive : at;
}

static void give_up(struct tcp *t)
{
	tcp_abort(t);
	t->end = TCP_END_TIMEOUT;
}

static void wait_expired(struct tcp *t)
{
	t->wait_ns = NEVER;
	if (t->state == TCP_STATE_TIME_WAIT)
		tcp_close(t, TCP_END_NONE);
	else if (t->tries >= SYN_TRIES)
		give_up(t);
	else
		t->owed |= TCP_OWES_SYN;
}

static void ask_whether_alive(struct tcp *t, uint64_t now_ns)
{
	if (t->silent_since_ns == 0)
		t->silent_since_ns = now_ns;
	if (t->tries < UINT8_MAX)
		t->tries++;
	t->owed |= TCP_OWES_PROBE;
}

void tcp_expire(struct tcp *t, uint64_t now_ns)
{
	if (t->wait_ns <= now_ns)
		wait_expired(t);
	if (t->ack_ns <= now_ns) {
		t->ack_ns = NEVER;
		t->owed |= TCP_OWES_ACK;
	}
	if (t->timer_ns <= now_ns)
		tcp_timer_expired(t, now_ns);
	if (keepalive_at(t) <= now_ns)
		ask_whether_alive(t, now_ns);
	if (t->silent_since_ns && tcp_is_open(t) &&
	    now_ns - t->silent_since_ns > t->settings->give_up_ns)
		give_up(t);
}

void tcp_shrink_mtu(struct tcp *t, uint32_t mtu, uint32_t sequence)
{
	uint64_t position = widen(t->snd.una, sequence);
	uint32_t least = t->pair.local.family == ADDR_V4 ? 576 : 1280, mss;

	if (!tcp_is_open(t) || position < t->snd.una || position >= t->snd.nxt)
		return;
	mss = mss_of_path(t, mtu < least ? least : mtu);
	if (mss >= t->snd.mss)
		return;
	t->snd.mss = (uint16_t)mss;
	tcp_cubic_set_segment(&t->cubic, tcp_segment_size(t));
	for (uint32_t i = 0; i < t->snd.board.n; i++)
		if (tcp_board_at(&t->snd.board, i)->fate == TCP_FLYING)
			tcp_board_mark(&t->snd.board, i, TCP_LOST);
}

/* --- The owner's side --- */

/* Twice what may be on its way: so the window can grow while the owner is not asked. */
uint32_t tcp_send_wanted(const struct tcp *t)
{
	uint64_t target = 2 * (uint64_t)t->cubic.window, waiting = t->snd.end - t->snd.una;

	if (!tcp_is_open(t) || t->snd.wants_fin)
		return 0;
	if (target < 2 * TCP_OUTPUT_MAX)
		target = 2 * TCP_OUTPUT_MAX;
	if (target > t->settings->send_max)
		target = t->settings->send_max;
	return waiting >= target ? 0 : (uint32_t)(target - waiting);
}

int tcp_send_space(struct tcp *t, uint32_t len, struct iovec out[2])
{
	uint32_t waiting = (uint32_t)(t->snd.end - t->snd.una);

	if (t->state == TCP_STATE_CLOSED || t->snd.wants_fin ||
	    waiting + len > t->settings->send_max)
		return 0;
	if (tcp_ring_reserve(&t->snd.ring, t->settings->budget, t->snd.una, waiting + len) <
	    0) {
		if (waiting + 1 > TCP_RING_MIN ||
		    tcp_ring_reserve(&t->snd.ring, t->settings->budget, t->snd.una,
				     waiting + 1) < 0)
			return 0;
		if (len > t->snd.ring.capacity - waiting)
			len = t->snd.ring.capacity - waiting;
	}
	return tcp_ring_slices(&t->snd.ring, t->snd.end, len, out);
}

void tcp_send_written(struct tcp *t, uint32_t len, bool is_more)
{
	t->snd.end += len;
	t->snd.is_more = is_more;
}

void tcp_send_end(struct tcp *t)
{
	if (t->snd.wants_fin || t->state == TCP_STATE_CLOSED)
		return;
	t->snd.wants_fin = true;
	t->snd.is_more = false;
	if (t->state == TCP_STATE_ESTABLISHED)
		tcp_enter(t, TCP_STATE_FIN_WAIT_1, 0);
	else if (t->state == TCP_STATE_CLOSE_WAIT)
		tcp_enter(t, TCP_STATE_LAST_ACK, 0);
	else if (t->state == TCP_STATE_SYN_SENT)
		tcp_close(t, TCP_END_ABORTED);
}

static uint64_t readable_end(const struct tcp *t)
{
	return t->rcv.nxt > t->rcv.fin_at ? t->rcv.fin_at : t->rcv.nxt;
}

int tcp_receive_slices(const struct tcp *t, struct iovec out[2])
{
	return tcp_ring_slices(&t->rcv.ring, t->rcv.read,
			       (uint32_t)(readable_end(t) - t->rcv.read), out);
}

/* What can be offered at all: the field has 16 bits. */
static uint32_t receive_most(const struct tcp *t)
{
	uint32_t most = UINT32_C(65535) << t->rcv.scale;

	return most < t->settings->receive_max ? most : t->settings->receive_max;
}

/* What was consumed within one round trip, twice, is what the window should allow. */
static void tune(struct tcp *t, uint64_t now_ns)
{
	uint64_t rtt = t->rtt.smooth_ns ? t->rtt.smooth_ns : 10 * MILLISECOND;
	uint64_t consumed = t->rcv.read - t->rcv.round_start, want = 2 * consumed;

	if (now_ns - t->rcv.round_at_ns < rtt && want < t->rcv.limit)
		return;
	if (want > t->rcv.limit && now_ns - t->rcv.round_at_ns <= 2 * rtt)
		t->rcv.limit =
			t->rcv.limit < receive_most(t) / 2 ? 2 * t->rcv.limit : receive_most(t);
	t->rcv.round_start = t->rcv.read;
	t->rcv.round_at_ns = now_ns;
}

void tcp_receive_taken(struct tcp *t, uint32_t len, uint64_t now_ns)
{
	uint64_t before = t->rcv.edge, window = before - t->rcv.nxt;

	if (len == 0)
		return;
	t->rcv.read += len;
	tune(t, now_ns);
	/* Tell it when the window had become small and is not any more. */
	if (t->state != TCP_STATE_CLOSED && tcp_receive_edge(t) > before &&
	    window < t->rcv.limit / 2)
		t->owed |= TCP_OWES_ACK;
	if (t->rcv.read == readable_end(t) && t->rcv.ranges.n == 0 &&
	    t->rcv.ring.capacity <= 4 * TCP_RING_MIN)
		tcp_ring_done(&t->rcv.ring, t->settings->budget);
}

bool tcp_receive_ended(const struct tcp *t)
{
	return t->rcv.nxt > t->rcv.fin_at && t->rcv.read == t->rcv.fin_at;
}

void tcp_trim(struct tcp *t)
{
	if (t->snd.una >= t->snd.end)
		tcp_ring_done(&t->snd.ring, t->settings->budget);
	if (t->rcv.read == readable_end(t) && t->rcv.ranges.n == 0)
		tcp_ring_done(&t->rcv.ring, t->settings->budget);
	if (t->snd.board.n == 0)
		tcp_board_done(&t->snd.board);
}
