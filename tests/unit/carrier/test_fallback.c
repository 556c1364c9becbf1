/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "carrier/fallback.h"

#define S FALLBACK_SECOND

/* Send from @from on, once a second for @seconds, with no answer. Return: the way at the end. */
static unsigned int in_vain(struct fallback *f, uint64_t from, unsigned int seconds)
{
	unsigned int way = f->way;

	for (uint64_t s = 0; s <= seconds; s++) {
		fallback_sent(f, from + s * S);
		way = fallback_step(f, from + s * S);
	}
	return way;
}

static void begins_with_udp_and_stays_where_it_is_answered(void)
{
	struct fallback f;

	fallback_begin(&f, 3, 1, S);
	CHECK(fallback_step(&f, S) == FALLBACK_UDP);
	fallback_sent(&f, S);
	CHECK(fallback_deadline_ns(&f) == S + FALLBACK_PATIENCE_NS);
	fallback_heard(&f, 2 * S);
	CHECK(f.state == FALLBACK_SETTLED && fallback_deadline_ns(&f) == UINT64_MAX);
	CHECK(fallback_step(&f, 10000 * S) == FALLBACK_UDP);
}

static void does_not_give_up_a_way_over_which_nothing_was_sent(void)
{
	struct fallback f;

	fallback_begin(&f, 3, 1, S);
	CHECK(fallback_step(&f, 1000 * S) == FALLBACK_UDP);
	CHECK(fallback_deadline_ns(&f) == UINT64_MAX);
}

static void tries_one_after_the_other_and_rests_after_all(void)
{
	struct fallback f;

	fallback_begin(&f, 3, 1, S);
	CHECK(in_vain(&f, S, 6) == 1);
	CHECK(in_vain(&f, 8 * S, 6) == 2);
	CHECK(in_vain(&f, 15 * S, 6) == 0 &&
	      f.rest_until_ns == 21 * S + FALLBACK_FIRST_PAUSE_NS);
	CHECK(in_vain(&f, 22 * S, 7) == 0); /* two of them are the pause */
	CHECK(in_vain(&f, 30 * S, 1) == 1);
}

static void goes_on_at_once_where_a_way_is_refused(void)
{
	struct fallback f;

	fallback_begin(&f, 3, 1, S);
	CHECK(in_vain(&f, S, 6) == 1);
	fallback_refused(&f, 8 * S);
	CHECK(fallback_step(&f, 8 * S) == 2);
}

static void loses_a_way_when_nothing_is_answered_any_more(void)
{
	struct fallback f;

	fallback_begin(&f, 2, 1, S);
	fallback_heard(&f, S);
	CHECK(in_vain(&f, 100 * S, 14) == 0);
	fallback_heard(&f, 115 * S); /* just in time */
	CHECK(in_vain(&f, 200 * S, 15) == 1);
}

/* A network that lets datagrams in, and none out. */
static void is_not_content_with_what_arrives_without_a_handshake(void)
{
	struct fallback f;
	uint64_t now = S;

	fallback_begin(&f, 2, 1, now);
	fallback_shaken(&f, now);
	for (; now < 1000 * S && f.way == FALLBACK_UDP; now += S) {
		fallback_sent(&f, now);
		fallback_heard(&f, now);
		fallback_step(&f, now);
	}
	CHECK(f.way == 1 && now <= 2 * S + FALLBACK_SESSION_NS + FALLBACK_SILENCE_NS);
	/* A session that is made anew in time is no reason to go. */
	fallback_begin(&f, 2, 1, now);
	for (uint64_t i = 0; i < 1000; i++, now += S) {
		if (i % 120 == 0)
			fallback_shaken(&f, now);
		fallback_sent(&f, now);
		fallback_heard(&f, now);
		CHECK(fallback_step(&f, now) == FALLBACK_UDP);
	}
}

static void looks_for_udp_less_and_less_often(void)
{
	struct fallback f;
	uint64_t now, every = 60;

	fallback_begin(&f, 2, 1, S);
	in_vain(&f, S, 6);
	now = 10 * S;
	fallback_heard(&f, now);
	CHECK(f.way == 1);
	for (int i = 0; i < 10; i++) {
		CHECK(fallback_deadline_ns(&f) == now + every * S);
		now += every * S;
		CHECK(fallback_step(&f, now) == FALLBACK_UDP);
		fallback_sent(&f, now);
		CHECK(fallback_step(&f, now + FALLBACK_PROBE_NS - 1) == FALLBACK_UDP);
		now += FALLBACK_PROBE_NS;
		CHECK(fallback_step(&f, now) == 1 && f.state == FALLBACK_SETTLED);
		every = every * 2 < 3600 ? every * 2 : 3600;
	}
}

static void returns_to_udp_when_it_is_answered(void)
{
	struct fallback f;

	fallback_begin(&f, 2, 1, S);
	in_vain(&f, S, 6);
	fallback_heard(&f, 10 * S);
	CHECK(fallback_step(&f, 70 * S) == FALLBACK_UDP);
	fallback_sent(&f, 70 * S);
	fallback_heard(&f, 70 * S + S / 10);
	CHECK(f.state == FALLBACK_SETTLED);
	CHECK(fallback_step(&f, 1000 * S) == FALLBACK_UDP);
}

static void begins_with_what_worked_on_this_network(void)
{
	struct fallback f;

	fallback_begin(&f, 3, 1, S);
	in_vain(&f, S, 6);
	in_vain(&f, 8 * S, 6);
	fallback_heard(&f, 15 * S); /* way 2, on network 1 */
	fallback_moved(&f, 2, 20 * S);
	CHECK(fallback_step(&f, 20 * S) == FALLBACK_UDP);
	fallback_heard(&f, 21 * S);
	fallback_moved(&f, 1, 30 * S);
	CHECK(fallback_step(&f, 30 * S) == 2);
	fallback_moved(&f, 2, 40 * S);
	CHECK(fallback_step(&f, 40 * S) == FALLBACK_UDP);
}

static void forgets_the_network_not_used_for_longest(void)
{
	struct fallback f;

	fallback_begin(&f, 2, 1000, S);
	for (unsigned int n = 0; n <= FALLBACK_NETWORKS_MAX; n++) {
		fallback_moved(&f, n, S);
		fallback_refused(&f, S);
		fallback_heard(&f, S);
		if (n == FALLBACK_NETWORKS_MAX / 2) { /* network 0 is used again */
			fallback_moved(&f, 0, S);
			fallback_heard(&f, S);
		}
	}
	fallback_moved(&f, 0, S);
	CHECK(f.way == 1);
	fallback_moved(&f, 1, S);
	CHECK(f.way == FALLBACK_UDP);
	fallback_moved(&f, 2, S);
	CHECK(f.way == 1);
	CHECK(f.n_memory == FALLBACK_NETWORKS_MAX);
}

int main(void)
{
	RUN(begins_with_udp_and_stays_where_it_is_answered);
	RUN(does_not_give_up_a_way_over_which_nothing_was_sent);
	RUN(tries_one_after_the_other_and_rests_after_all);
	RUN(goes_on_at_once_where_a_way_is_refused);
	RUN(loses_a_way_when_nothing_is_answered_any_more);
	RUN(is_not_content_with_what_arrives_without_a_handshake);
	RUN(looks_for_udp_less_and_less_often);
	RUN(returns_to_udp_when_it_is_answered);
	RUN(begins_with_what_worked_on_this_network);
	RUN(forgets_the_network_not_used_for_longest);
	return DONE();
}
