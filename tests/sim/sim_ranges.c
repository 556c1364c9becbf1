/* SPDX-License-Identifier: Apache-2.0 */
/* Timers drawn from ranges: never outside, all over them, and drawn when they should be. The
 * rules themselves are in sim/timers. */
#include "framed.h"

#define TRAVEL	   (10 * SIM_MS)
#define JITTER_MAX (333 * SIM_MS)

/* --- Samples --- */

enum { SAMPLES_MAX = 4000 };

/* struct samples - Times in nanoseconds, and what they were taken between */
struct samples {
	uint64_t since_ns;
	uint64_t least, most, sum;
	uint32_t n;
};

static void sample(struct samples *x, uint64_t ns)
{
	x->least = x->n == 0 || ns < x->least ? ns : x->least;
	x->most = ns > x->most ? ns : x->most;
	x->sum += ns;
	x->n++;
}

static uint64_t mean(const struct samples *x)
{
	return x->n ? x->sum / x->n : 0;
}

/* All within @lo_s..@hi_s and @slack, and both of the outer fifths were hit. */
static bool cover(const struct samples *x, uint64_t lo_s, uint64_t hi_s, uint64_t slack_ns)
{
	uint64_t lo = lo_s * SIM_S, hi = hi_s * SIM_S, fifth = (hi - lo) / 5;

	if (x->least < lo || x->most > hi + slack_ns || x->least > lo + fifth + slack_ns ||
	    x->most < hi - fifth) {
		printf("# %u samples, %.3f..%.3f s\n", x->n, (double)x->least / 1e9,
		       (double)x->most / 1e9);
		return false;
	}
	return true;
}

/* --- Rekeying --- */

/* The first node's age of a key when it asks for the next one. */
static bool sample_rekeys(struct sim *s, const struct sim_datagram *d)
{
	struct samples *x = s->context;

	if (d->type == MESSAGE_RESPONSE)
		x->since_ns = s->now_ns + TRAVEL;
	if (d->type == MESSAGE_INITIATION && x->since_ns)
		sample(x, s->now_ns - x->since_ns);
	return true;
}

/* @from sends twice a second until @n keys were followed by another. */
static struct samples rekey(const char *text, bool a_sends, uint32_t n)
{
	struct pair p = pair_framed(text);
	struct sim_node *from = a_sends ? p.a : p.b, *to = other(&p, from);
	struct samples x = { .n = 0 };
	uint64_t sent = 0;

	p.s->is_logging = false;
	p.s->context = &x;
	p.s->on_wire = sample_rekeys;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	for (; x.n < n; sent++) {
		sim_send(from, to, 100);
		sim_run_for(p.s, SIM_S / 2);
	}
	CHECK(to->delivered == sent + a_sends);
	pair_done(&p);
	return x;
}

/*
 * The other implementations draw at every packet, so that under load a key is followed close to
 * the lower end: with two packets a second, 102 s on the average here. Drawn once per key it is
 * the middle.
 */
static void a_key_is_followed_in_the_middle_of_the_range_also_under_load(void)
{
	uint32_t n = sim_is_soak() ? SAMPLES_MAX : 200;
	struct samples x = rekey("rekey_after_time=100-120", true, n);

	printf("# scale: %u keys\n# on the average followed after %.1f s\n", n,
	       (double)mean(&x) / 1e9);
	CHECK(cover(&x, 100, 120, SIM_S / 2));
	CHECK(mean(&x) > 109 * SIM_S && mean(&x) < 112 * SIM_S);
}

/* RejectAfterTime less the lower ends of KeepaliveTimeout and RekeyTimeout. */
static void a_key_heard_only_is_followed_before_it_ends(void)
{
	struct samples x = rekey("rekey_after_time=1000 reject_after_time=150-180 "
				 "keepalive_timeout=8-15 rekey_timeout=3-7",
				 false, 100);

	CHECK(cover(&x, 150 - 8 - 3, 180 - 8 - 3, SIM_S / 2));
	CHECK(mean(&x) > 150 * SIM_S && mean(&x) < 158 * SIM_S);
}

/* Nothing of this need match. */
static void each_end_has_its_own_times(void)
{
	struct pair p = pair_framed("rekey_after_time=40-60 rekey_timeout=3-4");

	sim_frame_text(p.b, "rekey_after_time=90 rekey_timeout=8-9");
	sim_send(p.a, p.b, 100);
	for (int i = 0; i < 700; i++) {
		sim_run_for(p.s, SIM_S);
		sim_send(p.a, p.b, 100);
	}
	CHECK(said(&p, p.a, MESSAGE_INITIATION) >= 12 &&
	      said(&p, p.a, MESSAGE_INITIATION) <= 18);
	sim_run_for(p.s, 200 * SIM_S);
	pair_mark(&p);
	sim_send(p.b, p.a, 100);
	for (int i = 0; i < 700; i++) {
		sim_run_for(p.s, SIM_S);
		sim_send(p.b, p.a, 100);
	}
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 8 && said(&p, p.a, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

/* --- Asking --- */

static bool no_initiation_arrives(struct sim *s, const struct sim_datagram *d)
{
	(void)s;
	return d->type != MESSAGE_INITIATION;
}

static void repeats_and_giving_up_are_drawn(void)
{
	struct pair p = pair_framed("rekey_timeout=3-7 max_handshake_attempts=4-6");
	struct samples gaps = { .n = 0 };
	size_t lengths[12] = { 0 };

	p.s->on_wire = no_initiation_arrives;
	for (int series = 0; series < 60; series++) {
		size_t n = 0;
		uint64_t before = 0;

		pair_mark(&p);
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 100 * SIM_S);
		n = said(&p, p.a, MESSAGE_INITIATION);
		CHECK(n >= 4 + 2 && n <= 6 + 2);
		lengths[n < 12 ? n : 0]++;
		for (size_t i = 0; i < n; i++) {
			uint64_t at = said_at(&p, p.a, MESSAGE_INITIATION, i, 0);

			if (i)
				sample(&gaps, at - before);
			before = at;
		}
		CHECK(atomic_load(&sim_peer(p.a, p.b)->n_staged) == 0); /* given up */
	}
	CHECK(lengths[6] && lengths[7] && lengths[8]);
	CHECK(cover(&gaps, 3, 7, JITTER_MAX));
	pair_done(&p);
}

/* Data that waits asks too, but no sooner than the lower end of RekeyTimeout. */
static void initiations_keep_their_distance(void)
{
	struct pair p = pair_framed("rekey_timeout=3-7");
	struct samples gaps = { .n = 0 };
	uint64_t before = 0, at = 0;

	p.s->on_wire = no_initiation_arrives;
	for (int i = 0; i < 1000; i++) {
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 100 * SIM_MS);
	}
	for (size_t i = 0; (at = said_at(&p, p.a, MESSAGE_INITIATION, i, 0)); i++) {
		if (i)
			sample(&gaps, at - before);
		before = at;
	}
	CHECK(gaps.n > 20 && gaps.least >= 3 * SIM_S && gaps.most <= 31 * SIM_S / 10);
	pair_done(&p);
}

/* From 0 on means soon, not once for every packet: who is asked hears 50 a second at most. */
static void a_range_from_zero_is_no_storm(void)
{
	struct pair p = pair_framed("rekey_timeout=0-3 jc=5 jmin=10 jmax=20");

	p.s->on_wire = no_initiation_arrives;
	for (int i = 0; i < 1000; i++)
		sim_send(p.a, p.b, 100);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1 && noise_of(&p, p.a) == 5);
	for (int i = 0; i < 1000; i++) {
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, SIM_MS);
	}
	CHECK(said(&p, p.a, MESSAGE_INITIATION) <= 51);
	p.s->on_wire = NULL;
	sim_run_for(p.s, 4 * SIM_S);
	CHECK(p.b->delivered == ENGINE_STAGED_MAX);
	pair_done(&p);
}

/* The upper end of KeepaliveTimeout, for so long the other end may keep silent; then
 * RekeyTimeout. */
static void unanswered_data_asks_for_a_key_after_a_drawn_time(void)
{
	struct pair p = pair_framed("rekey_timeout=3-7 keepalive_timeout=5-12");
	struct samples x = { .n = 0 };

	for (int i = 0; i < 60; i++) {
		uint64_t t0 = 0;

		p.s->on_wire = NULL;
		both_ways(&p, 30 * SIM_S);
		p.s->on_wire = nothing_arrives;
		pair_mark(&p);
		t0 = p.s->now_ns;
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 22 * SIM_S);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) >= 1);
		sample(&x, said_at(&p, p.a, MESSAGE_INITIATION, 0, t0));
		p.s->on_wire = NULL;
		sim_run_for(p.s, 200 * SIM_S);
	}
	CHECK(cover(&x, 12 + 3, 12 + 7, JITTER_MAX));
	pair_done(&p);
}

/* --- Keepalives --- */

/* One key for all of a test. */
#define LONG_LIFE "rekey_after_time=50000 reject_after_time=60000"

static void data_is_acknowledged_after_a_drawn_time(void)
{
	struct pair p = pair_framed_up(LONG_LIFE " keepalive_timeout=5-15");
	struct samples x = { .n = 0 };

	for (int i = 0; i < 100; i++) {
		uint64_t t0 = p.s->now_ns + TRAVEL;

		pair_mark(&p);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 20 * SIM_S);
		CHECK(said(&p, p.a, MESSAGE_DATA) == 1 && keepalives(&p, p.a) == 1);
		sample(&x, said_at(&p, p.a, MESSAGE_DATA, 0, t0));
	}
	CHECK(cover(&x, 5, 15, 0));
	pair_done(&p);
}

static void the_persistent_interval_is_drawn_each_time(void)
{
	struct pair p = pair_framed_up(LONG_LIFE);
	struct samples x = { .n = 0 };
	uint64_t before = 0;

	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 15, 25 });
	sim_pump(p.a);
	sim_run_for(p.s, 2000 * SIM_S);
	CHECK(keepalives(&p, p.a) == p.s->n_log - p.mark);
	for (size_t i = p.mark; i < p.s->n_log; i++) {
		if (before)
			sample(&x, p.s->log[i].sent_ns - before);
		before = p.s->log[i].sent_ns;
	}
	CHECK(x.n > 80);
	CHECK(cover(&x, 15, 25, 0));
	pair_done(&p);
}

/* --- The end of a key --- */

static void the_upper_end_ends_a_key_for_the_sender(void)
{
	struct pair p = pair_framed("rekey_after_time=1000 reject_after_time=50-60");
	uint64_t born = 0;

	both_ways(&p, SIM_S);
	born = said_at(&p, p.b, MESSAGE_RESPONSE, 0, 0);
	p.s->on_wire = no_initiation_arrives;
	for (int i = 0; i < 700; i++) {
		sim_send(p.a, p.b, 100);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 100 * SIM_MS);
	}
	CHECK(is_about(sim_last(p.s, p.b, MESSAGE_DATA)->sent_ns - born, 59 * SIM_S,
		       60 * SIM_S));
	CHECK(is_about(sim_last(p.s, p.a, MESSAGE_DATA)->sent_ns - born, 59 * SIM_S,
		       60 * SIM_S + TRAVEL));
	CHECK(atomic_load(&sim_peer(p.a, p.b)->current));
	sim_run_until(p.s, born + 3 * 60 * SIM_S + SIM_S); /* and it is wiped */
	CHECK(!atomic_load(&sim_peer(p.b, p.a)->current));
	CHECK(!atomic_load(&sim_peer(p.a, p.b)->current));
	pair_done(&p);
}

/* A packet that was long on its way. */
static void the_upper_end_ends_a_key_for_the_receiver(void)
{
	for (uint64_t age_s = 59; age_s <= 60; age_s++) {
		struct pair p = pair_framed("rekey_after_time=1000 reject_after_time=50-60");
		struct sim_datagram late;

		both_ways(&p, SIM_S);
		p.s->on_wire = nothing_arrives;
		sim_send(p.a, p.b, 100);
		late = *sim_last(p.s, p.a, MESSAGE_DATA);
		sim_run_until(p.s, said_at(&p, p.b, MESSAGE_RESPONSE, 0, 0) + age_s * SIM_S);
		sim_replay(p.b, &late);
		CHECK(p.b->delivered == (age_s < 60 ? 2 : 1));
		pair_done(&p);
	}
}

int main(void)
{
	dice_begin(3);
	RUN(a_key_is_followed_in_the_middle_of_the_range_also_under_load);
	RUN(a_key_heard_only_is_followed_before_it_ends);
	RUN(each_end_has_its_own_times);
	RUN(repeats_and_giving_up_are_drawn);
	RUN(initiations_keep_their_distance);
	RUN(a_range_from_zero_is_no_storm);
	RUN(unanswered_data_asks_for_a_key_after_a_drawn_time);
	RUN(data_is_acknowledged_after_a_drawn_time);
	RUN(the_persistent_interval_is_drawn_each_time);
	RUN(the_upper_end_ends_a_key_for_the_sender);
	RUN(the_upper_end_ends_a_key_for_the_receiver);
	return DONE();
}
