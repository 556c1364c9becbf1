/* SPDX-License-Identifier: Apache-2.0 */
/* Whole transfers between two ends of our own over networks that lose, delay, double and reorder. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../unit/test.h"
#include "tcp_world.h"

#define TRANSFER_TIME_MAX (4 * 3600 * WORLD_S)

/* Far more than any honest transfer takes: two ends that answer each other for ever. */
enum { PACKETS_MAX = 400000 };

static uint64_t seed;

static uint32_t scaled(uint32_t usual, uint32_t soak)
{
	uint32_t n = getenv("CULVERT_SOAK") ? soak : usual;

	printf("# scale: %u transfers, full %u\n", n, soak);
	return n;
}

/* Take octets of options away from a SYN: the end that gets it never learns of them. */
static bool strip_options(struct tcp_world *w, unsigned int to, uint8_t *packet, uint32_t len)
{
	uint8_t kinds = *(const uint8_t *)w->context, *tcp = packet + 20;

	(void)to;
	if (!(tcp[13] & TCP_FLAG_SYN))
		return true;
	for (uint32_t at = 20; at < (uint32_t)(tcp[12] >> 4) * 4 && 20 + at < len;) {
		uint8_t kind = tcp[at], size = kind <= 1 ? 1 : tcp[at + 1];

		if ((kind == 3 && kinds & 1) || (kind == 4 && kinds & 2) ||
		    (kind == 8 && kinds & 4))
			for (uint8_t i = 0; i < size; i++)
				tcp[at + i] = 1;
		at += size;
	}
	/* The checksum of the changed segment. */
	uint32_t sum = 0;

	tcp[16] = 0;
	tcp[17] = 0;
	for (uint32_t i = 12; i < 20; i += 2)
		sum += (uint32_t)packet[i] << 8 | packet[i + 1];
	sum += 6 + len - 20;
	for (uint32_t i = 20; i < len; i += 2)
		sum += (uint32_t)packet[i] << 8 | (i + 1 < len ? packet[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	tcp[16] = (uint8_t)(~sum >> 8);
	tcp[17] = (uint8_t)~sum;
	return true;
}

static uint32_t pick(struct tcp_world *w, uint32_t lo, uint32_t hi)
{
	return generator_between(&w->random, lo, hi);
}

static void draw_path(struct tcp_world *w)
{
	struct tcp_path *p = &w->path;

	p->delay_ns = pick(w, 1, 200) * WORLD_MS / (pick(w, 0, 1) ? 1 : 20);
	p->jitter_ns = pick(w, 0, 2) ? 0 : pick(w, 1, 60) * WORLD_MS;
	p->loss = pick(w, 0, 2) ? pick(w, 0, 300) : pick(w, 0, 1200);
	p->duplicate = pick(w, 0, 3) ? 0 : pick(w, 1, 500);
	p->mark = pick(w, 0, 3) ? 0 : pick(w, 1, 500);
	if (pick(w, 0, 1)) {
		p->bits_per_s = pick(w, 1, 200) * UINT64_C(1000000);
		p->queue_octets = pick(w, 3000, 300000);
	}
}

static void draw_side(struct tcp_world *w, struct tcp_side *s)
{
	s->to_send = pick(w, 0, 3) ? pick(w, 0, 400000) : pick(w, 0, 5000);
	s->chunk_max = pick(w, 0, 2) ? 20000 : pick(w, 1, 2000);
	s->stall = pick(w, 0, 3) ? 0 : pick(w, 1, 50);
	s->settings.mtu = pick(w, 0, 1) ? 1420 : pick(w, 576, 1500);
	s->settings.ecn = pick(w, 0, 1);
	if (!pick(w, 0, 3))
		s->settings.receive_max = pick(w, 2000, 65535);
	if (!pick(w, 0, 7))
		s->budget.limit = pick(w, 16384, 200000);
}

static bool transfer(uint64_t n)
{
	static uint8_t kinds;
	struct tcp_world w;
	bool ok = false, is_broken = false;

	tcp_world_init(&w, seed * UINT64_C(1000003) + n);
	draw_path(&w);
	draw_side(&w, &w.side[0]);
	draw_side(&w, &w.side[1]);
	kinds = pick(&w, 0, 2) ? 0 : (uint8_t)pick(&w, 1, 7);
	w.filter = kinds ? strip_options : NULL;
	w.context = &kinds;
	uint64_t until = w.now_ns + TRANSFER_TIME_MAX;

	tcp_world_open(&w, pick(&w, 0, 9) == 0);
	while (!ok && !is_broken && tcp_world_step(&w, until)) {
		ok = tcp_world_is_done(&w);
		is_broken = w.side[0].is_broken || w.side[1].is_broken || w.sent > PACKETS_MAX;
	}
	if (!ok || is_broken)
		for (int i = 0; i < 2; i++)
			printf("# transfer %" PRIu64 " side %d: state %d end %d, %" PRIu64
			       " of %" PRIu64 " received, %s, %" PRIu64 " s, loss %u\n",
			       n, i, w.side[i].tcp.state, w.side[i].tcp.end, w.side[i].received,
			       w.side[1 - i].to_send, w.side[i].is_broken ? "broken" : "whole",
			       (w.now_ns - 1000 * WORLD_S) / WORLD_S, w.path.loss);
	tcp_world_done(&w);
	if (w.side[0].budget.used || w.side[1].budget.used)
		printf("# transfer %" PRIu64 ": memory left in the budget\n", n);
	return ok && !is_broken && !w.side[0].budget.used && !w.side[1].budget.used;
}

static void every_octet_arrives_whatever_the_network_does(void)
{
	uint32_t n = scaled(150, 10000), failures = 0;

	for (uint32_t i = 0; i < n && failures < 5; i++)
		failures += !transfer(i);
	CHECK(failures == 0);
}

/* Octets per second of a long transfer one way. */
static double rate_of(uint64_t size, const struct tcp_path *path)
{
	struct tcp_world w;

	tcp_world_init(&w, seed);
	w.path = *path;
	w.side[0].to_send = size;
	w.side[0].chunk_max = 65536;
	w.side[1].chunk_max = 1 << 20;
	tcp_world_open(&w, false);
	while (!tcp_world_is_done(&w) && tcp_world_step(&w, w.now_ns + 1000 * WORLD_S))
		;
	double seconds = (double)(w.now_ns - 1000 * WORLD_S) / 1e9;

	CHECK(tcp_world_is_done(&w));
	tcp_world_done(&w);
	return (double)size / seconds;
}

static void a_path_of_50_ms_is_filled(void)
{
	struct tcp_path path = { .delay_ns = 25 * WORLD_MS,
				 .bits_per_s = 100 * UINT64_C(1000000),
				 .queue_octets = 600000 };
	double rate = rate_of(60 << 20, &path) * 8 / 1e6;

	printf("# %.1f of 100 Mbit/s at 50 ms\n", rate);
	CHECK(rate > 85);
}

/* Slow start overshoots, and a short queue then drops every second packet: hundreds of gaps at once. */
static void a_queue_that_overflows_costs_a_few_round_trips(void)
{
	struct tcp_path path = { .delay_ns = 50 * WORLD_MS,
				 .bits_per_s = 200 * UINT64_C(1000000),
				 .queue_octets = 1250000 };
	double rate = rate_of(60 << 20, &path) * 8 / 1e6;

	printf("# %.1f of 200 Mbit/s at 100 ms with a queue of 50 ms\n", rate);
	CHECK(rate > 112); /* with 32 ranges on the receiving side: 107 */
}

static void loss_of_one_in_a_thousand_at_50_ms_leaves_what_cubic_promises(void)
{
	struct tcp_path path = { .delay_ns = 25 * WORLD_MS, .loss = 10 };
	double rate = rate_of(60 << 20, &path) * 8 / 1e6;

	/* RFC 9438 section 5.1: 1.054 * sqrt(sqrt(RTT^3 / p^3)) / RTT segments a second: 20 segments
	 * of 1368 octets a round trip or 4.4 Mbit/s, and Reno's 1.2 / sqrt(p): 38 or 8.4 Mbit/s. */
	printf("# %.1f Mbit/s at 50 ms and 0.1 %% loss\n", rate);
	CHECK(rate > 6);
}

int main(void)
{
	const char *given = getenv("CULVERT_SEED");

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("# seed %" PRIu64 "\n", seed);
	RUN(every_octet_arrives_whatever_the_network_does);
	RUN(a_path_of_50_ms_is_filled);
	RUN(a_queue_that_overflows_costs_a_few_round_trips);
	RUN(loss_of_one_in_a_thousand_at_50_ms_leaves_what_cubic_promises);
	return DONE();
}
