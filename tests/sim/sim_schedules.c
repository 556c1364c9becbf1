/* SPDX-License-Identifier: Apache-2.0 */
/* Many short random histories of two peers on slow but honest paths: nothing may be lost. */
#include <stdio.h>
#include <string.h>

#include "../unit/test.h"
#include "net.h"

/*
 * A packet sent late in the life of a key dies with it on the way: the receiver counts 180 s
 * as well. Such packets may be lost, all others not.
 */
#define LATE (175 * SIM_S)

static struct {
	struct sim_node *a, *b;
	uint64_t sent, late, delivered;
	uint64_t responses;
	bool is_over;	 /* what is still planned does not happen */
	char text[4096]; /* the schedule, for a person */
} run;

static void note_packet(struct sim *s, const struct sim_packet *p)
{
	(void)s;
	run.delivered += p->number != 0;
}

static bool note_datagram(struct sim *s, const struct sim_datagram *d)
{
	run.late +=
		d->type == MESSAGE_DATA && d->len > MESSAGE_DATA_MIN && s->key_age_ns > LATE;
	run.responses += d->type == MESSAGE_RESPONSE;
	return true;
}

static void send_from_a(struct sim *s, void *arg)
{
	(void)s;
	(void)arg;
	if (run.is_over)
		return;
	run.sent++;
	sim_send(run.a, run.b, 100);
}

static void send_from_b(struct sim *s, void *arg)
{
	(void)s;
	(void)arg;
	if (run.is_over)
		return;
	run.sent++;
	sim_send(run.b, run.a, 100);
}

/* Times that matter: near the start, around the ages at which something happens, or anywhere. */
static uint64_t pick_time(struct sim *s)
{
	static const uint64_t ages_s[] = { 0, 5, 10, 15, 120, 165, 180, 240, 300, 360 };
	uint64_t age = ages_s[sim_random_below(s, 10)];

	if (sim_random_below(s, 3) == 0)
		return sim_random_below(s, 400 * SIM_S);
	return age * SIM_S + sim_random_below(s, 6 * SIM_S);
}

static void plan(struct sim *s)
{
	int n = 1 + (int)sim_random_below(s, 12);
	size_t at = 0;

	run.text[0] = 0;
	for (int i = 0; i < n; i++) {
		bool from_a = sim_random(s) % 2;
		uint64_t t = pick_time(s);

		sim_call(s, s->now_ns + t, from_a ? send_from_a : send_from_b, NULL);
		at += (size_t)snprintf(run.text + at, sizeof(run.text) - at, " %s@%.3f",
				       from_a ? "a" : "b", (double)t / 1e9);
	}
}

/* One history; the peers know nothing of the one before. */
static bool one_schedule(struct sim *s, uint64_t number)
{
	uint64_t rtt = sim_random_below(s, 4900 * SIM_MS);

	run.a->link.delay_min_ns = run.a->link.delay_max_ns = rtt / 2;
	run.b->link = run.a->link;
	run.sent = run.late = run.delivered = run.responses = 0;
	plan(s);
	sim_run_for(s, 420 * SIM_S);
	engine_forget_keys(run.a->worker, s->now_ns);
	engine_forget_keys(run.b->worker, s->now_ns);
	if (run.delivered + run.late >= run.sent && run.responses <= 420 / 120 + 3)
		return true;
	printf("# schedule %llu, round trip %.3f s: %llu sent, %llu delivered, %llu late, "
	       "%llu handshakes:%s\n",
	       (unsigned long long)number, (double)rtt / 1e9, (unsigned long long)run.sent,
	       (unsigned long long)run.delivered, (unsigned long long)run.late,
	       (unsigned long long)run.responses, run.text);
	return false;
}

static void no_schedule_below_the_repeat_time_loses_a_packet(void)
{
	uint64_t n = sim_is_soak() ? 100000 : 3000, failed = 0;
	struct sim *s = sim_new(sim_seed(77));

	printf("# scale: %llu schedules\n", (unsigned long long)n);
	s->on_packet = note_packet;
	s->on_wire = note_datagram;
	run.a = sim_node_new(s);
	run.b = sim_node_new(s);
	sim_introduce(run.a, run.b);
	for (uint64_t i = 0; i < n && failed < 5; i++)
		failed += !one_schedule(s, i);
	CHECK(failed == 0);
	CHECK(sim_check(s));
	sim_free(s);
}

/* ---- histories with losses ---- */

static void something_bad(struct sim *s, void *arg)
{
	struct sim_node *n = sim_random(s) % 2 ? run.a : run.b;
	uint32_t seconds = 0;

	(void)arg;
	if (run.is_over)
		return;
	switch (sim_random_below(s, 6)) {
	case 0:
		engine_forget_keys(n->worker, s->now_ns);
		sim_pump(n);
		break;
	case 1:
		n->link.loss_ppm = (uint32_t)sim_random_below(s, 1000000);
		break;
	case 2:
		n->link.delay_max_ns = n->link.delay_min_ns + sim_random_below(s, 8 * SIM_S);
		break;
	case 3:
		n->is_cut = !n->is_cut;
		break;
	case 4:
		seconds = (uint32_t)sim_random_below(s, 30);
		engine_peer_set_keepalive(n->worker, s->now_ns,
					  sim_peer(n, n == run.a ? run.b : run.a),
					  (struct frame_range){ seconds, seconds });
		sim_pump(n);
		break;
	case 5:
		n->link.duplicate_ppm = (uint32_t)sim_random_below(s, 1000000);
		break;
	}
}

static void make_good(struct sim_node *n)
{
	n->is_cut = false;
	n->link = (struct sim_link){ .delay_min_ns = 50 * SIM_MS, .delay_max_ns = 50 * SIM_MS };
}

/* Within the 15 s after which silence is noticed, and one handshake, both directions work. */
static bool recovers(struct sim *s, uint64_t number)
{
	make_good(run.a);
	make_good(run.b);
	sim_run_for(s, 10 * SIM_S); /* what is still on its way arrives */
	for (int i = 0; i < 17; i++) {
		sim_send(run.a, run.b, 100);
		sim_send(run.b, run.a, 100);
		sim_run_for(s, SIM_S);
	}
	run.delivered = 0;
	for (int i = 0; i < 5; i++) {
		sim_send(run.a, run.b, 100);
		sim_send(run.b, run.a, 100);
		sim_run_for(s, SIM_S);
	}
	if (run.delivered == 10)
		return true;
	printf("# history %llu: %llu of 10 arrived in the end\n", (unsigned long long)number,
	       (unsigned long long)run.delivered);
	return false;
}

static void after_any_history_both_directions_work_again(void)
{
	uint64_t n = sim_is_soak() ? 50000 : 1000, failed = 0;
	struct sim *s = sim_new(sim_seed(78));

	printf("# scale: %llu histories\n", (unsigned long long)n);
	s->on_packet = note_packet;
	run.a = sim_node_new(s);
	run.b = sim_node_new(s);
	sim_introduce(run.a, run.b);
	for (uint64_t i = 0; i < n && failed < 5; i++) {
		int events = (int)sim_random_below(s, 20);

		plan(s);
		for (int k = 0; k < events; k++)
			sim_call(s, s->now_ns + pick_time(s), something_bad, NULL);
		sim_run_for(s, sim_random_below(s, 420 * SIM_S));
		run.is_over = true;
		failed += !recovers(s, i);
		sim_run_for(s, 420 * SIM_S);
		run.is_over = false;
	}
	CHECK(failed == 0);
	CHECK(sim_check(s));
	sim_free(s);
}

int main(void)
{
	RUN(no_schedule_below_the_repeat_time_loses_a_packet);
	RUN(after_any_history_both_directions_work_again);
	return DONE();
}
