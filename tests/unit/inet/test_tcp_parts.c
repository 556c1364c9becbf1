/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a TCP connection, each against a model that is too simple to be wrong. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/wire.h"
#include "crypto/generator.h"
#include "inet/checksum.h"
#include "inet/tcp_board.h"
#include "inet/tcp_cubic.h"
#include "inet/tcp_ranges.h"
#include "inet/tcp_ring.h"
#include "inet/tcp_rtt.h"
#include "inet/tcp_segment.h"

enum { SPACE = 4096, ROUNDS = 3000 };

#define MILLI UINT64_C(1000000)

static struct generator random_state;

static uint32_t pick(uint32_t lo, uint32_t hi)
{
	return generator_between(&random_state, lo, hi);
}

/* --- Segments --- */

/* A SYN as Linux sends it, by hand. */
static const uint8_t linux_syn[] = { 0x9c, 0x40, 0x00, 0x50, 0x11, 0x22, 0x33, 0x44, 0, 0,
				     0,	   0,	 0xa0, 0x02, 0xfa, 0xf0, 0,    0,    0, 0,
				     2,	   4,	 5,    0xb4, 4,	   2,	 8,    10,   0, 0,
				     1,	   2,	 0,    0,    0,	   9,	 1,    3,    3, 7 };

static void reads_the_options_of_a_syn(void)
{
	struct tcp_segment s;

	CHECK(tcp_segment_parse(linux_syn, sizeof(linux_syn), &s));
	CHECK(s.source_port == 40000 && s.destination_port == 80 && s.sequence == 0x11223344);
	CHECK(s.flags == TCP_FLAG_SYN && s.window == 0xfaf0 && s.header_len == 40);
	CHECK(s.mss == 1460 && s.sack_permitted && s.scale == 7 && s.has_timestamps);
	CHECK(s.ts_value == 258 && s.ts_echo == 9 && s.n_sacks == 0);
	for (uint32_t len = 0; len < sizeof(linux_syn); len++)
		CHECK(!tcp_segment_parse(linux_syn, len, &s));
}

static void stops_at_options_that_do_not_fit(void)
{
	uint8_t tcp[24] = { [12] = 0x60, [20] = 3, 3, 15, 0 };
	struct tcp_segment s;

	CHECK(tcp_segment_parse(tcp, 24, &s) && s.scale == 14); /* RFC 7323 section 2.3 */
	tcp[21] = 5;						/* beyond the header */
	CHECK(tcp_segment_parse(tcp, 24, &s) && s.scale == TCP_NO_SCALE);
	tcp[21] = 1;
	CHECK(tcp_segment_parse(tcp, 24, &s) && s.scale == TCP_NO_SCALE);
	tcp[21] = 2; /* of the wrong length */
	CHECK(tcp_segment_parse(tcp, 24, &s) && s.scale == TCP_NO_SCALE);
	tcp[12] = 0x40;
	CHECK(!tcp_segment_parse(tcp, 24, &s));
	tcp[12] = 0x70;
	CHECK(!tcp_segment_parse(tcp, 24, &s));
}

static void what_is_written_is_read_back(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct tcp_segment s = { .source_port = (uint16_t)pick(0, 65535),
					 .destination_port = (uint16_t)pick(0, 65535),
					 .sequence = pick(0, UINT32_MAX),
					 .acknowledgement = pick(0, UINT32_MAX),
					 .window = (uint16_t)pick(0, 65535),
					 .mss = pick(0, 1) ? (uint16_t)pick(1, 65535) : 0,
					 .flags = (uint8_t)pick(0, 255),
					 .scale = pick(0, 1) ? (uint8_t)pick(0, 14)
							     : TCP_NO_SCALE,
					 .sack_permitted = pick(0, 1),
					 .has_timestamps = pick(0, 1) },
				   got;
		uint8_t out[TCP_HEADER_MAX];
		uint32_t len = 0, most = s.has_timestamps ? 3 : 4;

		if (s.has_timestamps) {
			s.ts_value = pick(0, UINT32_MAX);
			s.ts_echo = pick(0, UINT32_MAX);
		}
		if (!s.mss && !s.sack_permitted && s.scale == TCP_NO_SCALE)
			s.n_sacks = (uint8_t)pick(0, most);
		for (int k = 0; k < s.n_sacks; k++)
			s.sacks[k] =
				(struct tcp_sack){ pick(0, UINT32_MAX), pick(0, UINT32_MAX) };
		len = tcp_segment_write(&s, out);
		CHECK(len == 20 + tcp_segment_options_len(&s) && len % 4 == 0);
		CHECK(tcp_segment_parse(out, len, &got));
		s.header_len = (uint8_t)len;
		CHECK(memcmp(&s, &got, sizeof(s)) == 0);
	}
}

static void leaves_out_blocks_that_find_no_room(void)
{
	struct tcp_segment s = { .has_timestamps = true, .scale = TCP_NO_SCALE, .n_sacks = 4 },
			   got;
	uint8_t out[TCP_HEADER_MAX];

	CHECK(tcp_segment_write(&s, out) == 60 && tcp_segment_parse(out, 60, &got));
	CHECK(got.n_sacks == 3 && got.has_timestamps);
}

static void refuses_with_the_number_that_was_acknowledged(void)
{
	const struct inet_pair pair = { .local = { ADDR_V6, { 0x20, 1, [15] = 1 } },
					.remote = { ADDR_V6, { 0x20, 1, [15] = 2 } } };
	struct tcp_segment s = { .source_port = 1,
				 .destination_port = 2,
				 .sequence = 100,
				 .acknowledgement = 77,
				 .flags = TCP_FLAG_SYN },
			   got;
	uint8_t out[TCP_PACKET_HEADERS_MAX];

	CHECK(tcp_refuse(&pair, &s, 10, out) == 60 && tcp_segment_parse(out + 40, 20, &got));
	CHECK(got.flags == (TCP_FLAG_RST | TCP_FLAG_ACK) && got.acknowledgement == 111 &&
	      got.sequence == 0);
	CHECK(got.source_port == 2 && got.destination_port == 1);
	CHECK(inet_sum_is_valid(inet_sum_pseudo(out, 6) + inet_sum_number(20) +
				inet_sum(out + 40, 20)));
	s.flags = TCP_FLAG_ACK | TCP_FLAG_FIN;
	CHECK(tcp_refuse(&pair, &s, 10, out) == 60 && tcp_segment_parse(out + 40, 20, &got));
	CHECK(got.flags == TCP_FLAG_RST && got.sequence == 77);
	s.flags = TCP_FLAG_RST;
	CHECK(tcp_refuse(&pair, &s, 0, out) == 0);
}

/* --- Ranges, against a map of octets --- */

static bool matches(const struct tcp_ranges *r, const uint8_t *map)
{
	uint8_t told[SPACE] = { 0 };

	for (uint32_t i = 0; i < r->n; i++) {
		if (r->at[i].start >= r->at[i].end || (i && r->at[i].start <= r->at[i - 1].end))
			return false;
		memset(told + r->at[i].start, 1, r->at[i].end - r->at[i].start);
	}
	return memcmp(told, map, SPACE) == 0;
}

static void ranges_are_what_a_map_of_octets_says(void)
{
	struct tcp_ranges r = { 0 };
	uint8_t map[SPACE] = { 0 };
	uint64_t complete = 0;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t start = pick(0, SPACE - 100), end = start + pick(1, 99);
		bool was_all = true;

		for (uint32_t k = start; k < end; k++)
			was_all = was_all && map[k];
		CHECK(tcp_ranges_contain(&r, start, end) == was_all);
		if (tcp_ranges_add(&r, start, end)) {
			struct tcp_range recent[2];

			memset(map + start, 1, end - start);
			CHECK(tcp_ranges_recent(&r, recent, 2) >= 1);
			CHECK(recent[0].start <= start && end <= recent[0].end);
		} else {
			FAIL("no room");
		}
		CHECK(matches(&r, map));
		if (i % 7 == 0) {
			uint64_t next = pick(0, SPACE - 1), want = next;

			while (want < SPACE && map[want])
				want++;
			complete = tcp_ranges_take(&r, next);
			CHECK(complete == want);
			memset(map, 0, complete);
			CHECK(matches(&r, map));
		}
	}
	tcp_ranges_done(&r);
}

static void ranges_have_a_bound_and_no_memory_when_empty(void)
{
	struct tcp_ranges r = { 0 };

	for (uint64_t i = 0; i < TCP_RANGES_MAX; i++)
		CHECK(tcp_ranges_add(&r, 10 * i + 5, 10 * i + 6));
	CHECK(!tcp_ranges_add(&r, 1, 2) && r.n == TCP_RANGES_MAX);
	CHECK(tcp_ranges_add(&r, 6, 7) && r.n == TCP_RANGES_MAX); /* it only grows one */
	CHECK(tcp_ranges_take(&r, 10 * TCP_RANGES_MAX) == 10 * TCP_RANGES_MAX);
	CHECK(r.n == 0 && r.at == NULL);
}

/* --- Ring, against an array --- */

static void a_ring_keeps_what_was_written_while_it_grows(void)
{
	struct tcp_budget budget = { .limit = 1 << 20 };
	struct tcp_ring ring = { 0 };
	static uint8_t model[1 << 18], got[65536];
	uint64_t from = 0, to = 0;

	while (to < sizeof(model) - 70000) {
		uint32_t len = pick(1, to % 3 ? 900 : 30000);

		CHECK(tcp_ring_reserve(&ring, &budget, from, (uint32_t)(to - from) + len) == 0);
		for (uint32_t i = 0; i < len; i++)
			model[to + i] = (uint8_t)pick(0, 255);
		tcp_ring_write(&ring, to, model + to, len);
		to += len;
		len = to - from > 60000 ? 60000 : (uint32_t)(to - from);
		tcp_ring_read(&ring, from, got, len);
		CHECK(memcmp(got, model + from, len) == 0);
		from += pick(0, (uint32_t)(to - from > 40000 ? 40000 : to - from));
	}
	CHECK(budget.used == ring.capacity);
	tcp_ring_done(&ring, &budget);
	CHECK(budget.used == 0);
}

static void a_ring_does_not_grow_beyond_the_budget(void)
{
	struct tcp_budget budget = { .limit = 10000 };
	struct tcp_ring a = { 0 }, b = { 0 }, c = { 0 };

	CHECK(tcp_ring_reserve(&a, &budget, 0, 4096) == 0 && budget.used == 4096);
	CHECK(tcp_ring_reserve(&b, &budget, 0, 100) == 0 && budget.used == 8192);
	budget.limit = 8000; /* the first 4096 octets are always there */
	CHECK(tcp_ring_reserve(&c, &budget, 0, 4096) == 0 && budget.used == 12288);
	tcp_ring_done(&c, &budget);
	budget.limit = 10000;
	CHECK(tcp_ring_reserve(&a, &budget, 0, 4097) < 0 && a.capacity == 4096 &&
	      budget.refused == 1);
	tcp_ring_done(&b, &budget);
	CHECK(tcp_ring_reserve(&a, &budget, 0, 4097) == 0 && a.capacity == 8192);
	CHECK(budget.used == 8192);
	tcp_ring_done(&a, &budget);
}

/* --- Board, against a fate per octet --- */

static void check_board(const struct tcp_board *b, const uint8_t *fate, uint32_t una,
			uint32_t nxt)
{
	uint32_t at = una, sum[3] = { 0 };

	for (uint32_t i = 0; i < b->n; i++) {
		const struct tcp_sent *s = tcp_board_at(b, i);

		CHECK(s->start == at && s->len > 0);
		for (uint32_t k = 0; k < s->len; k++)
			CHECK(fate[at + k] == s->fate);
		sum[s->fate] += s->len;
		at += s->len;
	}
	CHECK(at == nxt && memcmp(sum, b->octets, sizeof(sum)) == 0);
}

static void the_board_is_what_a_fate_per_octet_says(void)
{
	struct tcp_board b = { 0 };
	static uint8_t fate[1 << 16];
	uint32_t una = 0, nxt = 0;

	for (int i = 0; i < 600 && nxt < 60000; i++) {
		uint32_t len = pick(1, 300);

		CHECK(tcp_board_append(&b, nxt, len, (uint64_t)i) == 0);
		nxt += len;
		for (int k = 0; k < 2; k++) {
			uint32_t position = pick(una, nxt - 1),
				 at = tcp_board_find(&b, position);
			uint8_t to = (uint8_t)pick(0, 2);

			CHECK(at < b.n && tcp_board_at(&b, at)->start <= position &&
			      position < tcp_sent_end(tcp_board_at(&b, at)));
			if (tcp_board_at(&b, at)->start < position) {
				CHECK(tcp_board_split(&b, at, position));
				at++;
			}
			tcp_board_mark(&b, at, to);
			memset(fate + position, to, tcp_board_at(&b, at)->len);
		}
		if (pick(0, 2) == 0 && b.n) {
			len = pick(1, tcp_board_at(&b, 0)->len);
			tcp_board_drop(&b, len);
			una += len;
		}
		check_board(&b, fate, una, nxt);
		CHECK(tcp_board_find(&b, nxt) == b.n);
	}
	while (b.n)
		tcp_board_drop(&b, UINT32_MAX);
	CHECK(b.octets[0] == 0 && b.octets[1] == 0 && b.octets[2] == 0);
	tcp_board_done(&b);
}

/* --- Time and windows, by hand --- */

/* RFC 6298 section 2 */
static void the_timeout_follows_the_round_trip(void)
{
	struct tcp_rtt r = { 0 };

	CHECK(tcp_rtt_rto_ns(&r) == 1000 * MILLI);
	tcp_rtt_sample(&r, 1, 100 * MILLI);
	CHECK(r.smooth_ns == 100 * MILLI && r.deviation_ns == 50 * MILLI);
	CHECK(tcp_rtt_rto_ns(&r) == 300 * MILLI);
	tcp_rtt_sample(&r, 2, 180 * MILLI);
	CHECK(r.smooth_ns == 110 * MILLI && r.deviation_ns == 115 * MILLI / 2 &&
	      r.min_ns == 100 * MILLI);
	r.backoff = 3;
	CHECK(tcp_rtt_rto_ns(&r) == 8 * 340 * MILLI);
	r.backoff = 30;
	CHECK(tcp_rtt_rto_ns(&r) == TCP_RTO_MAX_NS);
	tcp_rtt_sample(&r, 400 * 1000 * MILLI, 150 * MILLI);
	CHECK(r.min_ns == 150 * MILLI && r.backoff == 0);
}

static void slow_start_doubles_and_a_loss_leaves_seven_tenths(void)
{
	struct tcp_cubic c;

	tcp_cubic_init(&c, 1000);
	CHECK(c.window == 10000);
	tcp_cubic_acked(&c, 10000, 50 * MILLI, MILLI);
	CHECK(c.window == 20000 && tcp_cubic_is_slow_start(&c));
	tcp_cubic_congested(&c);
	CHECK(c.threshold == 14000);
	tcp_cubic_timeout(&c, false);
	CHECK(c.window == 1000);
	tcp_cubic_init(&c, 1448);
	CHECK(c.window == 14480);
	tcp_cubic_init(&c, 8960);
	CHECK(c.window == 17920);
}

/* RFC 9438 figure 2: after K seconds the window is where it was: W_max 100, K = cbrt(30 / 0.4) = 4.217 s. */
static void cubic_is_back_after_k_seconds(void)
{
	struct tcp_cubic c;
	uint64_t now = 1000 * MILLI, began = 0;

	tcp_cubic_init(&c, 1000);
	c.window = 100000;
	c.threshold = 100000;
	tcp_cubic_congested(&c);
	c.window = c.threshold;
	CHECK(c.window == 70000);
	began = now;
	while (now < began + 4217 * MILLI) { /* round trips of 200 ms: Reno would be slower */
		tcp_cubic_acked(&c, c.window, 200 * MILLI, now);
		now += 200 * MILLI;
	}
	CHECK(c.window > 99000 && c.window < 101000);
	while (now < began + 2 * 4217 * MILLI) {
		tcp_cubic_acked(&c, c.window, 200 * MILLI, now);
		now += 200 * MILLI;
	}
	CHECK(c.window > 125000 && c.window < 137000); /* as far above as it was below */
}

/* RFC 9406: a round trip that grows by more than an eighth ends slow start, five rounds later. */
static void slow_start_ends_before_the_queue_overflows(void)
{
	struct tcp_cubic c;
	uint64_t position = 0;
	int rounds = 0;

	tcp_cubic_init(&c, 1000);
	for (; rounds < 20 && tcp_cubic_is_slow_start(&c); rounds++) {
		uint64_t rtt = (rounds < 4 ? 50 : 70) * MILLI;

		for (int i = 0; i < 10; i++)
			tcp_cubic_round(&c, rtt, position + 1, position + 1000);
		position += 1000;
		tcp_cubic_acked(&c, c.window, rtt, MILLI);
	}
	CHECK(rounds >= 9 && rounds < 12 && c.threshold <= c.window);
	CHECK(c.window < 600 * 1000); /* doubling would be at 20 000 segments */
}

static void an_idle_connection_begins_again_slowly(void)
{
	struct tcp_cubic c;

	tcp_cubic_init(&c, 1000);
	c.window = 160000;
	tcp_cubic_idle(&c, 1);
	CHECK(c.window == 80000);
	tcp_cubic_idle(&c, 20);
	CHECK(c.window == 10000);
}

int main(void)
{
	const uint8_t seed[GENERATOR_SEED_LEN] = { 7 };

	generator_init(&random_state, seed);
	RUN(reads_the_options_of_a_syn);
	RUN(stops_at_options_that_do_not_fit);
	RUN(what_is_written_is_read_back);
	RUN(leaves_out_blocks_that_find_no_room);
	RUN(refuses_with_the_number_that_was_acknowledged);
	RUN(ranges_are_what_a_map_of_octets_says);
	RUN(ranges_have_a_bound_and_no_memory_when_empty);
	RUN(a_ring_keeps_what_was_written_while_it_grows);
	RUN(a_ring_does_not_grow_beyond_the_budget);
	RUN(the_board_is_what_a_fate_per_octet_says);
	RUN(the_timeout_follows_the_round_trip);
	RUN(slow_start_doubles_and_a_loss_leaves_seven_tenths);
	RUN(cubic_is_back_after_k_seconds);
	RUN(slow_start_ends_before_the_queue_overflows);
	RUN(an_idle_connection_begins_again_slowly);
	return DONE();
}
