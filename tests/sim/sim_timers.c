/* SPDX-License-Identifier: Apache-2.0 */
/* The timer rules as a table: what happened, and what must follow. Boot clock, to the 10 ms
 * that a datagram travels. */
#include <string.h>

#include "pair.h"

#define TRAVEL	   (10 * SIM_MS)
#define JITTER_MAX (333 * SIM_MS)

static void any_sent_cancels_the_keepalive(void)
{
	struct pair p = pair_up();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 5 * SIM_S);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, 30 * SIM_S);
	CHECK(keepalives(&p, p.b) == 0); /* neither 10 s after the one nor after the other */
	pair_done(&p);
}

static void any_received_cancels_the_new_handshake(void)
{
	struct pair p = pair_up();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 16 * SIM_S);
	CHECK(keepalives(&p, p.b) == 1); /* all that came back */
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

/* What @a sends by itself, told that every 25 s something should pass. */
static void any_packet_rearms_the_persistent_keepalive(void)
{
	struct pair p = pair_up();
	uint64_t t0 = p.s->now_ns;

	engine_peer_set_keepalive(p.a->worker, t0, sim_peer(p.a, p.b),
				  (struct frame_range){ 25, 25 });
	sim_pump(p.a);
	CHECK(keepalives(&p, p.a) == 1); /* from 0 to n: one at once */
	sim_run_for(p.s, 25 * SIM_S);
	CHECK(keepalives(&p, p.a) == 2);
	sim_run_for(p.s, 20 * SIM_S);
	sim_send(p.a, p.b, 100); /* out, at 45 s */
	sim_run_for(p.s, 24 * SIM_S);
	CHECK(keepalives(&p, p.a) == 2);
	sim_run_for(p.s,
		    2 * SIM_S); /* b's passive keepalive came at 55 s and re-armed it too */
	CHECK(keepalives(&p, p.a) == 2);
	sim_run_for(p.s, 9 * SIM_S + 100 * SIM_MS);
	CHECK(keepalives(&p, p.a) == 3);
	CHECK(is_about(said_at(&p, p.a, MESSAGE_DATA, 3, t0), 80 * SIM_S,
		       80 * SIM_S + 100 * SIM_MS));
	pair_done(&p);
}

/* W4: armed by data without an answer, whatever else is sent meanwhile. */
static void unanswered_data_starts_a_handshake_after_15_s(void)
{
	struct pair p = pair_up();
	uint64_t t0 = p.s->now_ns;

	p.b->is_cut = true;
	for (int i = 0; i < 7; i++) {
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 2 * SIM_S);
	}
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 0);
	sim_run_for(p.s, 2 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	CHECK(is_about(said_at(&p, p.a, MESSAGE_INITIATION, 0, t0), 15 * SIM_S,
		       15 * SIM_S + JITTER_MAX));
	pair_done(&p);
}

/* W2: ten seconds from the data received, not from anything sent. */
static void received_data_is_answered_after_10_s(void)
{
	struct pair p = pair_up();
	uint64_t t0 = 0;

	sim_send(p.b, p.a, 100); /* b sent something, a little before */
	sim_run_for(p.s, 4 * SIM_S);
	t0 = p.s->now_ns;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 9 * SIM_S);
	CHECK(keepalives(&p, p.b) == 0);
	sim_run_for(p.s, 2 * SIM_S);
	CHECK(keepalives(&p, p.b) == 1);
	CHECK(said_at(&p, p.b, MESSAGE_DATA, 1, t0) == 10 * SIM_S + TRAVEL);
	pair_done(&p);
}

static void another_persistent_interval_leaves_the_passive_keepalive(void)
{
	struct pair p = pair_up();
	uint64_t t0 = p.s->now_ns;

	engine_peer_set_keepalive(p.b->worker, t0, sim_peer(p.b, p.a),
				  (struct frame_range){ 60, 60 });
	sim_pump(p.b);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 3 * SIM_S);
	engine_peer_set_keepalive(p.b->worker, p.s->now_ns, sim_peer(p.b, p.a),
				  (struct frame_range){ 40, 40 });
	sim_pump(p.b);
	sim_run_for(p.s, 8 * SIM_S);
	CHECK(keepalives(&p, p.b) == 2); /* on enabling, and 10 s after the data */
	pair_mark(&p);
	sim_run_for(p.s, 42 * SIM_S);
	CHECK(keepalives(&p, p.b) == 1);
	CHECK(said_at(&p, p.b, MESSAGE_DATA, 0, t0) == 50 * SIM_S + TRAVEL);
	pair_done(&p);
}

static void data_while_the_keepalive_is_pending_asks_for_another(void)
{
	struct pair p = pair_up();
	uint64_t t0 = p.s->now_ns;

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 5 * SIM_S);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 40 * SIM_S);
	CHECK(keepalives(&p, p.b) == 2);
	CHECK(said_at(&p, p.b, MESSAGE_DATA, 0, t0) == 10 * SIM_S + TRAVEL);
	CHECK(said_at(&p, p.b, MESSAGE_DATA, 1, t0) == 20 * SIM_S + TRAVEL);
	pair_done(&p);
}

static void a_pure_upload_is_answered_once_in_10_s(void)
{
	struct pair p = pair_up();

	for (int i = 0; i < 1000; i++) {
		sim_send(p.a, p.b, 1000);
		sim_run_for(p.s, 60 * SIM_MS);
	}
	CHECK(is_about(keepalives(&p, p.b), 5, 6));
	CHECK(keepalives(&p, p.a) == 0);
	pair_done(&p);
}

/* W1 */
static void a_keepalive_never_causes_a_keepalive(void)
{
	struct pair p = pair_up();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 60 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_DATA) == 1);
	CHECK(said(&p, p.b, MESSAGE_DATA) == 1);
	CHECK(keepalives(&p, p.b) == 1);
	pair_mark(&p);
	sim_run_for(p.s, SIM_DAY); /* and then silence */
	CHECK(p.s->n_log == p.mark);
	pair_done(&p);
}

/* W3 too: the time between two is drawn anew each time. */
static void an_initiation_is_repeated_after_5_s_and_jitter(void)
{
	struct pair p = pair_new();
	uint64_t last = 0, distinct = 0;

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 60 * SIM_S);
	for (size_t i = 1; i < said(&p, p.a, MESSAGE_INITIATION); i++) {
		uint64_t t0 = said_at(&p, p.a, MESSAGE_INITIATION, i - 1, 0);
		uint64_t gap = said_at(&p, p.a, MESSAGE_INITIATION, i, t0);

		CHECK(is_about(gap, 5 * SIM_S, 5 * SIM_S + JITTER_MAX));
		distinct += gap != last;
		last = gap;
	}
	CHECK(distinct >= 10);
	pair_done(&p);
}

static void a_handshake_that_completes_is_not_repeated(void)
{
	struct pair p = pair_new();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 60 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

/* W5 */
static void a_completed_handshake_is_stamped_with_the_wall_clock(void)
{
	struct pair p = pair_new();
	uint64_t begin = 0;

	p.a->wall_offset_ns = (int64_t)(100 * SIM_DAY);
	p.b->wall_offset_ns = -(int64_t)(100 * SIM_DAY);
	CHECK(sim_info(p.a, p.b).last_handshake_wall_ns == 0);
	sim_run_for(p.s, 7 * SIM_S);
	begin = SIM_WALL + p.s->now_ns;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 100 * SIM_S);
	CHECK(sim_info(p.a, p.b).last_handshake_wall_ns == begin + 100 * SIM_DAY + 2 * TRAVEL);
	CHECK(sim_info(p.b, p.a).last_handshake_wall_ns == begin - 100 * SIM_DAY + 3 * TRAVEL);
	pair_done(&p);
}

static bool has_keys(const struct sim_node *at, const struct sim_node *of)
{
	struct peer *p = sim_peer(at, of);

	return atomic_load(&p->current) || atomic_load(&p->next) || atomic_load(&p->previous) ||
	       p->pending;
}

static void keys_are_forgotten_540_s_after_the_last_was_made(void)
{
	struct pair p = pair_new();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 539 * SIM_S);
	CHECK(has_keys(p.a, p.b));
	CHECK(has_keys(p.b, p.a));
	sim_run_for(p.s, 2 * SIM_S);
	CHECK(!has_keys(p.a, p.b));
	CHECK(!has_keys(p.b, p.a));
	pair_done(&p);
}

static bool has_source(const struct sim_node *at, const struct sim_node *of)
{
	return sim_info(at, of).endpoint.local.family != ADDR_NONE;
}

/* W34, its timers. */
static void a_timer_that_fires_forgets_the_source_and_keeps_the_destination(void)
{
	struct pair p = pair_up();
	struct endpoint before = sim_info(p.a, p.b).endpoint;

	CHECK(has_source(p.a, p.b));
	p.b->is_cut = true;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 14 * SIM_S);
	CHECK(has_source(p.a, p.b));
	sim_run_for(p.s, 2 * SIM_S); /* new handshake */
	CHECK(!has_source(p.a, p.b));
	struct endpoint after = sim_info(p.a, p.b).endpoint;

	CHECK(endpoint_same_remote(&before, &after));
	pair_done(&p);
}

static void a_repeated_initiation_forgets_the_source(void)
{
	struct pair p = pair_up();

	sim_run_for(p.s, 200 * SIM_S); /* the key is dead */
	p.b->is_cut = true;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 4 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	CHECK(has_source(p.a, p.b));
	sim_run_for(p.s, 2 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 2);
	CHECK(!has_source(p.a, p.b));
	pair_done(&p);
}

static void gives_up_after_20_initiations_until_there_is_more_to_send(void)
{
	struct pair p = pair_new();
	uint64_t t0 = p.s->now_ns;

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 400 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 20);
	CHECK(is_about(said_at(&p, p.a, MESSAGE_INITIATION, 19, t0), 95 * SIM_S,
		       95 * SIM_S + 19 * JITTER_MAX));
	p.s->on_wire = NULL;
	sim_send(p.a, p.b, 100); /* a new series */
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 1); /* the first packet was dropped at the end */
	pair_done(&p);
}

/* Also what there is of a handshake that never came to a key. */
/* The old keys go while we ask for new ones: that is no reason to stop asking. */
static void forgetting_keys_ends_no_series(void)
{
	struct pair p = pair_up();

	sim_run_until(p.s, 500 * SIM_S);
	p.b->is_cut = true;
	sim_send(p.a, p.b, 100);
	sim_run_until(p.s, 545 * SIM_S);
	CHECK(!atomic_load(&sim_peer(p.a, p.b)->current));
	p.b->is_cut = false;
	sim_run_for(p.s, 6 * SIM_S);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

static void giving_up_forgets_the_keys_in_the_end(void)
{
	struct pair p = pair_new();

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 110 * SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 20);
	sim_run_for(p.s, 520 * SIM_S);
	CHECK(has_keys(p.a, p.b));
	sim_run_for(p.s, 20 * SIM_S);
	CHECK(!has_keys(p.a, p.b));
	pair_done(&p);
}

static void what_waits_for_a_key_replaces_the_keepalive(void)
{
	struct pair p = pair_new();

	sim_send(p.a, p.b, 100);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2);
	CHECK(keepalives(&p, p.a) == 0);
	pair_done(&p);
}

/* Without data of its own the initiator says so at once: that confirms the key. */
static void an_initiator_without_data_confirms_with_a_keepalive(void)
{
	struct pair p = pair_new();

	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 25, 25 });
	sim_pump(p.a);
	sim_run_for(p.s, 20 * SIM_MS);
	CHECK(keepalives(&p, p.a) == 1);
	sim_run_for(p.s, 20 * SIM_MS);
	sim_send(p.b, p.a, 100); /* b may use the key now */
	sim_run_for(p.s, 20 * SIM_MS);
	CHECK(p.a->delivered == 1);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

static void the_initiator_rekeys_after_120_s_when_it_sends(void)
{
	struct pair p = pair_up();

	sim_run_for(p.s, 89 * SIM_S); /* 119 s old */
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S / 2);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 0);
	sim_run_for(p.s, SIM_S);
	sim_send(p.a, p.b, 100);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 3);
	pair_done(&p);
}

static void the_responder_does_not_rekey_by_age(void)
{
	struct pair p = pair_up();

	sim_run_for(p.s, 100 * SIM_S);
	sim_send(p.b, p.a, 100); /* 130 s old */
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 1);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

static void the_initiator_rekeys_once_when_it_receives_after_165_s(void)
{
	struct pair p = pair_up();

	sim_run_for(p.s, 134 * SIM_S); /* 164 s old */
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S / 2);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 0);
	sim_run_for(p.s, SIM_S);
	p.a->link.loss_ppm = 1000000; /* the initiation does not arrive */
	for (int i = 0; i < 120; i++) {
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 100 * SIM_MS);
	}
	/* One series, which its own timer goes on with: not begun anew by each packet. */
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 3);
	CHECK(atomic_load(&sim_peer(p.a, p.b)->attempts) == 2);
	pair_done(&p);
}

static void after_180_s_a_key_is_not_used_in_either_direction(void)
{
	struct pair p = pair_up();

	sim_run_for(p.s, 151 * SIM_S); /* 181 s old */
	sim_send(p.b, p.a, 100);
	CHECK(said(&p, p.b, MESSAGE_DATA) == 0);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 1); /* any role may now */
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 1);
	pair_done(&p);
}

static void a_packet_that_comes_after_180_s_is_refused(void)
{
	struct pair p = pair_up();
	struct sim_datagram late;

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	sim_send(p.a, p.b, 100);
	p.s->on_wire = NULL;
	late = *sim_nth(p.s, p.a, MESSAGE_DATA, p.mark, 0);
	sim_run_for(p.s, 149 * SIM_S); /* 179 s old */
	sim_replay(p.b, &late);
	CHECK(p.b->delivered == 2);
	late = *sim_nth(p.s, p.a, MESSAGE_DATA, p.mark, 1);
	sim_run_for(p.s, 2 * SIM_S);
	sim_replay(p.b, &late);
	CHECK(p.b->delivered == 2);
	CHECK(sim_counters(p.b).unknown_index == 1);
	pair_done(&p);
}

/* b answered a moment ago: it has no reason to initiate as well. */
static void one_who_answered_does_not_initiate_within_5_s(void)
{
	struct pair p = pair_new();

	p.a->link.loss_ppm = 1000000;
	sim_send(p.a, p.b, 100);
	p.a->link.loss_ppm = 0;
	sim_replay(p.b, sim_last(p.s, p.a, MESSAGE_INITIATION));
	p.b->link.loss_ppm = 1000000;
	p.a->link.loss_ppm = 1000000;
	sim_run_for(p.s, SIM_S);
	sim_send(p.b, p.a, 100); /* there is only `next`, unconfirmed */
	sim_run_for(p.s, 3 * SIM_S);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 0);
	sim_run_for(p.s, SIM_S + SIM_S / 2);
	sim_send(p.b, p.a, 100);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 1);
	pair_done(&p);
}

static void a_removed_peer_has_no_timers(void)
{
	struct pair p = pair_up();

	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 1, 1 });
	sim_pump(p.a);
	engine_peer_remove(p.a->worker, sim_peer(p.a, p.b));
	sim_pump(p.a);
	pair_mark(&p);
	sim_run_for(p.s, SIM_DAY);
	CHECK(said(&p, p.a, MESSAGE_DATA) == 0);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

static void an_interface_that_is_down_is_silent(void)
{
	struct pair p = pair_up();

	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 20, 20 });
	sim_pump(p.a);
	engine_set_up(p.a->worker, p.s->now_ns, false);
	sim_pump(p.a);
	CHECK(!has_keys(p.a, p.b));
	pair_mark(&p);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_DAY);
	CHECK(said(&p, p.a, MESSAGE_DATA) + said(&p, p.a, MESSAGE_INITIATION) == 0);
	engine_set_up(p.a->worker, p.s->now_ns, true);
	sim_pump(p.a);
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.a, MESSAGE_DATA) == 1); /* what waited, under a new key, */
	CHECK(keepalives(&p, p.a) == 0);	 /* in place of the persistent keepalive */
	pair_done(&p);
}

static const struct rule {
	const char *when, *then;
	void (*test)(void);
} rules[] = {
	{ "any authentic packet sent", "no passive keepalive", any_sent_cancels_the_keepalive },
	{ "any authentic packet received", "no new handshake",
	  any_received_cancels_the_new_handshake },
	{ "any authentic packet in or out", "the persistent keepalive begins again",
	  any_packet_rearms_the_persistent_keepalive },
	{ "data sent, nothing back (W4)", "a handshake after 15 s plus jitter",
	  unanswered_data_starts_a_handshake_after_15_s },
	{ "data received (W2)", "a keepalive 10 s later",
	  received_data_is_answered_after_10_s },
	{ "persistent interval changed", "the passive keepalive stays",
	  another_persistent_interval_leaves_the_passive_keepalive },
	{ "data received twice within 10 s", "another keepalive after the first",
	  data_while_the_keepalive_is_pending_asks_for_another },
	{ "only uploads", "one keepalive in 10 s", a_pure_upload_is_answered_once_in_10_s },
	{ "keepalive received (W1)", "nothing, ever", a_keepalive_never_causes_a_keepalive },
	{ "handshake initiated (W3)", "again after 5 s plus jitter",
	  an_initiation_is_repeated_after_5_s_and_jitter },
	{ "handshake complete", "no more of it", a_handshake_that_completes_is_not_repeated },
	{ "handshake complete (W5)", "the wall clock is noted",
	  a_completed_handshake_is_stamped_with_the_wall_clock },
	{ "no new key for 540 s", "keys are zeroed",
	  keys_are_forgotten_540_s_after_the_last_was_made },
	{ "keys are zeroed while a handshake is under way", "it goes on",
	  forgetting_keys_ends_no_series },
	{ "new-handshake timer fires (W34)", "the source is forgotten, not the destination",
	  a_timer_that_fires_forgets_the_source_and_keeps_the_destination },
	{ "retransmit timer fires (W34)", "the source is forgotten",
	  a_repeated_initiation_forgets_the_source },
	{ "20 initiations without an answer", "gives up; a later packet begins again",
	  gives_up_after_20_initiations_until_there_is_more_to_send },
	{ "gave up", "keys are zeroed after 540 s", giving_up_forgets_the_keys_in_the_end },
	{ "key made, packets wait", "they confirm it, no keepalive",
	  what_waits_for_a_key_replaces_the_keepalive },
	{ "key made, nothing waits", "a keepalive confirms it",
	  an_initiator_without_data_confirms_with_a_keepalive },
	{ "initiator sends after 120 s", "a handshake",
	  the_initiator_rekeys_after_120_s_when_it_sends },
	{ "responder sends after 120 s", "no handshake", the_responder_does_not_rekey_by_age },
	{ "initiator receives after 165 s", "a handshake, once per key",
	  the_initiator_rekeys_once_when_it_receives_after_165_s },
	{ "key older than 180 s", "not used for sending",
	  after_180_s_a_key_is_not_used_in_either_direction },
	{ "packet under a key older than 180 s", "refused",
	  a_packet_that_comes_after_180_s_is_refused },
	{ "answered a handshake", "initiates none for 5 s",
	  one_who_answered_does_not_initiate_within_5_s },
	{ "peer removed", "silence", a_removed_peer_has_no_timers },
	{ "interface down", "silence until it is up", an_interface_that_is_down_is_silent },
};

int main(void)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		test_failed = 0;
		rules[i].test();
		printf("%sok %d - %s: %s\n", test_failed ? "not " : "", ++test_number,
		       rules[i].when, rules[i].then);
		test_failures += test_failed != 0;
	}
	return DONE();
}
