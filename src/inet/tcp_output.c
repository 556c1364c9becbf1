/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out, one packet per call: what is owed first, then what was lost, then new data. */
#include <assert.h>

#include "inet/tcp_internal.h"

enum {
	ECT0 = 2,
	BUDGET_SCARCE_NUM = 3, /* of four parts in use: no larger windows any more */
};

/* --- The window that we offer --- */

static uint32_t receive_limit(const struct tcp *t)
{
	const struct tcp_budget *b = t->settings->budget;

	if (b->used / BUDGET_SCARCE_NUM < b->limit / 4)
		return t->rcv.limit;
	return t->rcv.ring.capacity > TCP_RING_MIN ? t->rcv.ring.capacity : TCP_RING_MIN;
}

uint64_t tcp_receive_edge(const struct tcp *t)
{
	uint64_t edge = t->rcv.read + receive_limit(t), least = 2 * tcp_segment_size(t);

	if (least > t->rcv.limit / 2)
		least = t->rcv.limit / 2;
	/* RFC 1122 section 4.2.3.3: no small steps. */
	return edge >= t->rcv.edge + least ? edge : t->rcv.edge;
}

static uint16_t offer_window(struct tcp *t, bool is_syn)
{
	uint64_t edge = tcp_receive_edge(t), window = edge > t->rcv.nxt ? edge - t->rcv.nxt : 0;
	uint8_t scale = is_syn ? 0 : t->rcv.scale;

	if (window >> scale > 65535)
		window = (uint64_t)65535 << scale;
	window = window >> scale;
	if (t->rcv.nxt + (window << scale) > t->rcv.edge)
		t->rcv.edge = t->rcv.nxt + (window << scale);
	return (uint16_t)window;
}

/* --- Headers --- */

static void add_sack(struct tcp_segment *s, uint64_t start, uint64_t end)
{
	s->sacks[s->n_sacks++] = (struct tcp_sack){ (uint32_t)start, (uint32_t)end };
}

static void tell_sacks(struct tcp *t, struct tcp_segment *s)
{
	struct tcp_range ranges[TCP_SACKS_MAX];
	uint32_t n = tcp_ranges_recent(&t->rcv.ranges, ranges, TCP_SACKS_MAX);

	if (t->rcv.duplicate_end > t->rcv.duplicate_start)
		add_sack(s, t->rcv.duplicate_start, t->rcv.duplicate_end);
	t->rcv.duplicate_end = t->rcv.duplicate_start;
	for (uint32_t i = 0; i < n && s->n_sacks < TCP_SACKS_MAX; i++)
		add_sack(s, ranges[i].start, ranges[i].end);
}

static void begin_segment(struct tcp *t, uint64_t now_ns, uint64_t position, uint8_t flags,
			  struct tcp_segment *s)
{
	*s = (struct tcp_segment){
		.source_port = t->pair.local_port,
		.destination_port = t->pair.remote_port,
		.sequence = (uint32_t)position,
		.acknowledgement = (uint32_t)t->rcv.nxt,
		.flags = flags | TCP_FLAG_ACK,
		.scale = TCP_NO_SCALE,
		.has_timestamps = t->has_timestamps,
		.ts_value = tcp_now_ts(t, now_ns),
		.ts_echo = t->ts_recent,
		.window = offer_window(t, false),
	};
	if (t->has_ecn && t->tells_ce)
		s->flags |= TCP_FLAG_ECE;
	if (t->has_sack)
		tell_sacks(t, s);
}

/* Every segment acknowledges: nothing is owed any more. */
static void acknowledged(struct tcp *t, uint64_t now_ns)
{
	t->owed &= ~(unsigned int)TCP_OWES_ACK;
	t->ack_ns = NEVER;
	t->rcv.unacked = 0;
	t->rcv.acked = t->rcv.nxt;
	t->sent_ns = now_ns;
}

static uint32_t write_bare(struct tcp *t, uint64_t now_ns, uint64_t position, uint8_t flags,
			   uint8_t *out, struct inet_offload *ret_offload)
{
	struct tcp_segment s;

	begin_segment(t, now_ns, position, flags, &s);
	acknowledged(t, now_ns);
	return tcp_packet_write(&t->pair, &s, 0, 0, 1, out, ret_offload);
}

static uint32_t write_reset(struct tcp *t, uint8_t *out, struct inet_offload *ret_offload)
{
	struct tcp_segment s = {
		.source_port = t->pair.local_port,
		.destination_port = t->pair.remote_port,
		.sequence = (uint32_t)t->reset_at,
		.acknowledgement = (uint32_t)t->rcv.nxt,
		.flags = TCP_FLAG_RST,
		.scale = TCP_NO_SCALE,
	};

	/* To a segment with ACK the answer has its number and no ACK; see section 3.5.2. */
	if (t->state == TCP_STATE_CLOSED)
		s.flags |= TCP_FLAG_ACK;
	t->owed &= ~(unsigned int)TCP_OWES_RESET;
	return tcp_packet_write(&t->pair, &s, 0, 0, 1, out, ret_offload);
}

static uint32_t write_syn(struct tcp *t, uint64_t now_ns, uint8_t *out,
			  struct inet_offload *ret_offload)
{
	bool is_answer = t->state == TCP_STATE_SYN_RECEIVED;
	bool offers_all = !is_answer;
	struct tcp_segment s = {
		.source_port = t->pair.local_port,
		.destination_port = t->pair.remote_port,
		.sequence = (uint32_t)t->snd.iss,
		.flags = TCP_FLAG_SYN,
		.mss = (uint16_t)(t->settings->mtu -
				  (t->pair.local.family == ADDR_V4 ? 40 : 60)),
		.scale = offers_all || t->rcv.scale ? t->rcv.scale : TCP_NO_SCALE,
		.sack_permitted = offers_all || t->has_sack,
		.has_timestamps = offers_all || t->has_timestamps,
		.ts_value = tcp_now_ts(t, now_ns),
		.ts_echo = t->ts_recent,
		.window = offer_window(t, true),
	};

	if (is_answer) {
		s.flags |= TCP_FLAG_ACK | (t->has_ecn ? TCP_FLAG_ECE : 0);
		s.acknowledgement = (uint32_t)t->rcv.nxt;
	} else if (t->has_ecn) {
		s.flags |= TCP_FLAG_ECE | TCP_FLAG_CWR;
	}
	t->snd.nxt = t->snd.iss + 1;
	t->wait_ns = now_ns + (TCP_RTO_FIRST_NS << t->tries);
	t->tries++;
	acknowledged(t, now_ns);
	t->owed &= ~(unsigned int)TCP_OWES_SYN;
	return tcp_packet_write(&t->pair, &s, 0, 0, 1, out, ret_offload);
}

/* --- Data --- */

/* Octets [@start, @end) of the stream, FIN included, as one packet. @is_new: for the first time */
static uint32_t write_data(struct tcp *t, uint64_t now_ns, uint64_t start, uint64_t end,
			   bool is_new, uint8_t *out, struct inet_offload *ret_offload)
{
	bool has_fin = has_fin_at(t, end - 1);
	uint32_t len = (uint32_t)(end - start) - has_fin, header_len = 0, segment = 0;
	uint8_t flags = has_fin ? TCP_FLAG_FIN : 0;
	struct tcp_segment s;

	if (start + len == t->snd.end && len)
		flags |= TCP_FLAG_PSH;
	begin_segment(t, now_ns, start, flags, &s);
	if (is_new && t->has_ecn && t->tells_cwr) {
		s.flags |= TCP_FLAG_CWR;
		t->tells_cwr = false;
	}
	segment = t->snd.mss - tcp_segment_options_len(&s);
	/* RFC 3168 section 6.1.5: what is sent again is not capable of ECN. */
	header_len = tcp_packet_write(&t->pair, &s, is_new && t->has_ecn ? ECT0 : 0, len,
				      segment, out, ret_offload);
	tcp_ring_read(&t->snd.ring, start, out + header_len, len);
	acknowledged(t, now_ns);
	if (t->recovery.is_active)
		t->recovery.prr_out += (uint32_t)(end - start);
	return header_len + len;
}

/* Octets that the congestion window leaves; at least a segment when nothing flies. */
static uint32_t window_room(const struct tcp *t)
{
	uint32_t flying = t->snd.board.octets[TCP_FLYING], segment = tcp_segment_size(t);
	uint32_t room = flying < t->cubic.window ? t->cubic.window - flying : 0;

	return flying == 0 && room < segment ? segment : room;
}

static uint32_t first_lost(const struct tcp_board *b)
{
	uint32_t i = 0;

	while (i < b->n && tcp_board_at(b, i)->fate != TCP_LOST)
		i++;
	return i;
}

static uint32_t output_lost(struct tcp *t, uint64_t now_ns, uint8_t *out,
			    struct inet_offload *ret_offload)
{
	struct tcp_board *b = &t->snd.board;
	uint32_t segment = tcp_segment_size(t), room = window_room(t), i = 0, len = 0;
	struct tcp_sent *sent = NULL;

	assert(segment > 0); /* no MSS is smaller than the options */
	if (b->octets[TCP_LOST] == 0 || room < segment)
		return 0;
	i = first_lost(b);
	len = tcp_board_at(b, i)->len;
	if (room > TCP_OUTPUT_SEGMENTS * segment)
		room = TCP_OUTPUT_SEGMENTS * segment;
	room -= room % segment;
	if (len > room && tcp_board_split(b, i, tcp_board_at(b, i)->start + room))
		len = room;
	tcp_board_mark(b, i, TCP_FLYING);
	sent = tcp_board_at(b, i);
	sent->sent_ns = now_ns;
	sent->was_resent = true;
	if (t->timer != TCP_TIMER_REORDER)
		tcp_arm(t, now_ns);
	return write_data(t, now_ns, sent->start, sent->start + len, false, out, ret_offload);
}

/* How much new data to send as one packet; 0: none now. */
static uint32_t new_octets(const struct tcp *t)
{
	uint64_t edge = t->snd.una + t->snd.window, limit = send_limit(t);
	uint64_t waiting = limit - t->snd.nxt;
	uint32_t segment = tcp_segment_size(t), room = window_room(t);
	uint64_t usable = edge > t->snd.nxt ? edge - t->snd.nxt : 0;
	uint64_t n = waiting;

	if (n > TCP_OUTPUT_SEGMENTS * segment)
		n = TCP_OUTPUT_SEGMENTS * segment;
	/* A silly window: RFC 1122 section 4.2.3.4. */
	if (n > usable) {
		if (usable < segment && usable < t->snd.window_most / 2 && !t->snd.is_forced)
			return 0;
		n = usable;
	}
	if (n > room)
		n = room < segment ? 0 : room;
	if (t->snd.is_forced)
		return (uint32_t)n;
	if (n > segment && n % segment && (n < waiting || t->snd.is_more))
		n -= n % segment;
	if (n < segment && n == waiting && t->snd.is_more)
		return 0;
	return (uint32_t)n;
}

static uint32_t output_new(struct tcp *t, uint64_t now_ns, uint32_t len, uint8_t *out,
			   struct inet_offload *ret_offload)
{
	uint64_t start = t->snd.nxt;

	if (len == 0 || tcp_board_append(&t->snd.board, start, len, now_ns) < 0)
		return 0;
	t->snd.nxt = start + len;
	t->snd.is_forced = false;
	if (t->timer == TCP_TIMER_NONE || t->timer == TCP_TIMER_PROBE ||
	    t->timer == TCP_TIMER_PERSIST)
		tcp_arm(t, now_ns);
	return write_data(t, now_ns, start, start + len, true, out, ret_offload);
}

/* A tail loss probe: something new if there is, or else the last segment again. It may
 * exceed the congestion window by this one segment (RFC 8985 section 7.3). */
static uint32_t output_tail(struct tcp *t, uint64_t now_ns, uint8_t *out,
			    struct inet_offload *ret_offload)
{
	struct tcp_board *b = &t->snd.board;
	uint64_t edge = t->snd.una + t->snd.window, waiting = send_limit(t) - t->snd.nxt;
	uint32_t segment = tcp_segment_size(t);
	struct tcp_sent *last = NULL;

	t->owed &= ~(unsigned int)TCP_OWES_TAIL;
	if (b->n == 0)
		return 0;
	t->recovery.tail_is_resent = waiting == 0 || t->snd.nxt + segment > edge;
	t->recovery.tail_end = t->snd.nxt;
	if (!t->recovery.tail_is_resent) {
		uint32_t len = waiting < segment ? (uint32_t)waiting : segment;

		t->recovery.tail_end += len;
		return output_new(t, now_ns, len, out, ret_offload);
	}
	last = tcp_board_at(b, b->n - 1);
	if (last->len > segment && !tcp_board_split(b, b->n - 1, tcp_sent_end(last) - segment))
		return 0;
	last = tcp_board_at(b, b->n - 1);
	last->sent_ns = now_ns;
	last->was_resent = true;
	return write_data(t, now_ns, last->start, tcp_sent_end(last), false, out, ret_offload);
}

static uint32_t output_owed(struct tcp *t, uint64_t now_ns, uint8_t *out,
			    struct inet_offload *ret_offload)
{
	if (t->owed & TCP_OWES_RESET)
		return write_reset(t, out, ret_offload);
	if (t->owed & TCP_OWES_SYN)
		return write_syn(t, now_ns, out, ret_offload);
	if (t->state < TCP_STATE_ESTABLISHED)
		return 0;
	if (t->owed & TCP_OWES_TAIL)
		return output_tail(t, now_ns, out, ret_offload);
	if (t->owed & TCP_OWES_PROBE) {
		/* An octet that was acknowledged long ago: whoever is there has to answer, and
		 * nothing new has to be kept track of. */
		t->owed &= ~(unsigned int)TCP_OWES_PROBE;
		return write_bare(t, now_ns, t->snd.una - 1, 0, out, ret_offload);
	}
	return 0;
}

static void rest_after_idle(struct tcp *t, uint64_t now_ns)
{
	uint64_t rto = tcp_rtt_rto_ns(&t->rtt);

	if (t->snd.board.n == 0 && now_ns - t->sent_ns > rto)
		tcp_cubic_idle(&t->cubic, (now_ns - t->sent_ns) / rto);
}

uint32_t tcp_output(struct tcp *t, uint64_t now_ns, uint8_t *out,
		    struct inet_offload *ret_offload)
{
	uint32_t len = output_owed(t, now_ns, out, ret_offload);

	if (len == 0 && t->state >= TCP_STATE_ESTABLISHED && t->state != TCP_STATE_TIME_WAIT) {
		len = output_lost(t, now_ns, out, ret_offload);
		if (len == 0 && t->snd.nxt < send_limit(t) &&
		    t->snd.board.octets[TCP_LOST] == 0) {
			rest_after_idle(t, now_ns);
			len = output_new(t, now_ns, new_octets(t), out, ret_offload);
			if (len == 0 && t->timer == TCP_TIMER_NONE)
				tcp_arm(t, now_ns);
		}
	}
	if (len == 0 && t->owed & TCP_OWES_ACK && t->state >= TCP_STATE_ESTABLISHED)
		len = write_bare(t, now_ns, t->snd.nxt, 0, out, ret_offload);
	return len;
}
