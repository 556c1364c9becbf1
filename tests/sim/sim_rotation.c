/* SPDX-License-Identifier: Apache-2.0 */
/* Several ways of framing on one port: side by side, and one after the other. */
#include "framed.h"

static const char old_text[] =
	"jc=2 jmin=10 jmax=40 s1=30 s2=60 s3=9 s4=5 h1=100000000-200000000"
	" h2=300000000-400000000 h3=500000000-600000000 h4=700000000-800000000";
static const char new_text[] = "jc=3 jmin=10 jmax=50 s1=16 s2=17 s3=18 s4=19 h1=1000 h2=2000"
			       " h3=3000 h4=4000 header_protection_key=" KEY_B;

/* --- Side by side --- */

struct crowd {
	struct sim *s;
	struct sim_node *gate;
	struct sim_node *clients[FRAME_LEVELS];
};

static const char *const names[FRAME_LEVELS] = { "", "low", "medium", "high", "extreme" };

/* A gate that serves every level on one port, plain WireGuard by default; a client of each. */
static struct crowd crowd_new(void)
{
	struct crowd c = { .s = sim_new(1) };
	struct frame_profile_source sources[FRAME_LEVELS];
	struct frame_parameters server[FRAME_LEVELS], client;

	c.s->is_logging = true;
	c.gate = sim_node_new(c.s);
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++) {
		frame_parameters_init(&server[level]);
		CHECK(frame_level_draw(level, &dice, &server[level]) == 0);
		sources[level] =
			(struct frame_profile_source){ names[level], &server[level], 0 };
		c.clients[level] = sim_node_new(c.s);
		sim_know(c.gate, c.clients[level], false);
		sim_know(c.clients[level], c.gate, true);
		frame_parameters_init(&client);
		CHECK(frame_level_draw_client(level, &server[level], &dice, &client) == 0);
		frame_alone(c.clients[level], &client);
		frame_parameters_done(&client);
	}
	sim_frame(c.gate, sources, FRAME_LEVELS);
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++)
		frame_parameters_done(&server[level]);
	return c;
}

static void crowd_done(struct crowd *c)
{
	CHECK(sim_check(c->s));
	c->s = sim_free(c->s);
}

/* What the gate sends to a client is framed for that client. */
static void check_profiles(const struct crowd *c)
{
	for (size_t i = 0; i < c->s->n_log; i++) {
		const struct sim_datagram *d = &c->s->log[i];

		if (d->from == c->gate)
			CHECK(!d->type || d->to == c->clients[d->profile]);
	}
}

/* A23 */
static void five_levels_on_one_port_do_not_hear_each_other(void)
{
	struct crowd c = crowd_new();

	for (uint64_t round = 1; round <= 1000; round++) {
		for (int i = 0; i < FRAME_LEVELS; i++) {
			sim_send(c.clients[i], c.gate, 100 + (uint32_t)round);
			if (round > 2)
				sim_send(c.gate, c.clients[i], 1200 - (uint32_t)round);
		}
		sim_run_for(c.s, 300 * SIM_MS);
		CHECK(c.gate->delivered == FRAME_LEVELS * round);
		for (int i = 0; i < FRAME_LEVELS; i++)
			CHECK(c.clients[i]->delivered == (round > 2 ? round - 2 : 0));
	}
	check_profiles(&c);
	CHECK(sim_counters(c.gate).bad_tag == 0 && sim_counters(c.gate).replayed == 0);
	CHECK(sim_counters(c.gate).handshakes_answered >= 3 * FRAME_LEVELS);
	CHECK(sim_logged(c.s, c.gate, 0, 0) == 0); /* it initiated nothing */
	crowd_done(&c);
}

/* The gate speaks first, to those it heard before: each in its own way. */
static void a_gate_calls_each_peer_as_it_was_heard(void)
{
	struct crowd c = crowd_new();
	size_t mark = 0;

	for (int i = 0; i < FRAME_LEVELS; i++)
		sim_send(c.clients[i], c.gate, 100);
	sim_run_for(c.s, 200 * SIM_S); /* no key is alive */
	mark = c.s->n_log;
	for (int i = 0; i < FRAME_LEVELS; i++)
		sim_send(c.gate, c.clients[i], 100);
	sim_run_for(c.s, SIM_S);
	CHECK(sim_logged(c.s, c.gate, MESSAGE_INITIATION, mark) == FRAME_LEVELS);
	CHECK(sim_logged(c.s, c.gate, 0, mark) >= 4 * 4); /* and with each level's prelude */
	for (int i = 0; i < FRAME_LEVELS; i++)
		CHECK(c.clients[i]->delivered == 1);
	check_profiles(&c);
	crowd_done(&c);
}

/* --- Pins --- */

/* @b has both profiles, the new one by default; @a frames as @text. */
static struct pair pair_of_two(const char *text, uint64_t until_s)
{
	struct frame_parameters old = sim_parameters(old_text),
				fresh = sim_parameters(new_text);
	struct frame_profile_source sources[] = { { "", &fresh, 0 }, { "old", &old, until_s } };
	struct pair p = pair_new();

	sim_frame(p.b, sources, 2);
	sim_frame_text(p.a, text);
	frame_parameters_done(&old);
	frame_parameters_done(&fresh);
	return p;
}

static uint32_t number_of(const struct sim_node *n, const char *name)
{
	return frame_set_named(engine_profiles(n->engine), name)->number;
}

static void a_pinned_peer_is_not_heard_under_another_profile(void)
{
	for (int is_old = 0; is_old < 2; is_old++) {
		struct pair p = pair_of_two(is_old ? old_text : new_text, 0);
		struct peer *a = sim_peer(p.b, p.a);

		engine_peer_pin_profile(a, number_of(p.b, is_old ? "" : "old"));
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 20 * SIM_S);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) >= 4);
		CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0 && p.b->delivered == 0);
		CHECK(sim_info(p.b, p.a).handshake_failures >= 3);
		engine_peer_pin_profile(a, number_of(p.b, is_old ? "old" : ""));
		sim_run_for(p.s, 6 * SIM_S);
		CHECK(p.b->delivered == 1);
		engine_peer_pin_profile(a, FRAME_NUMBER_NONE);
		sim_run_for(p.s, 200 * SIM_S);
		both_ways(&p, SIM_S);
		pair_done(&p);
	}
}

/* Or it would be heard under none. */
static void a_pin_to_a_profile_that_is_gone_is_no_pin(void)
{
	struct pair p = pair_of_two(new_text, 0);
	struct peer *a = sim_peer(p.b, p.a);

	engine_peer_pin_profile(a, number_of(p.b, "old"));
	sim_frame_text(p.b, new_text);
	CHECK(sim_info(p.b, p.a).pinned == FRAME_NUMBER_NONE);
	both_ways(&p, SIM_S);
	pair_done(&p);
}

/* Its own initiations too, though it never heard the peer. */
static void a_node_calls_a_pinned_peer_as_it_is_pinned(void)
{
	struct pair p = pair_of_two(old_text, 0);

	engine_peer_pin_profile(sim_peer(p.b, p.a), number_of(p.b, "old"));
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 1 && said(&p, p.b, MESSAGE_INITIATION) == 1);
	pair_done(&p);
}

/* --- All or nothing --- */

/* A20, at the engine: what cannot be used changes nothing. */
static void profiles_that_cannot_be_made_leave_those_that_are(void)
{
	struct pair p = pair_framed_up(old_text);
	struct frame_parameters good = sim_parameters(new_text), bad = sim_parameters(new_text);
	struct frame_profile_source sources[] = { { "", &good, 0 }, { "x", &bad, 0 } };
	struct engine_framing *framing = NULL;
	const struct frame_set *before = engine_profiles(p.b->engine);

	bad.signature[2] = strdup("<no such tag>");
	CHECK(engine_framing_new(p.b->engine, sources, 2, &framing) == ERR_FORMAT && !framing);
	CHECK(engine_profiles(p.b->engine) == before && before->n == 1);
	both_ways(&p, SIM_S);
	sim_run_for(p.s, 200 * SIM_S);
	both_ways(&p, SIM_S);
	frame_parameters_done(&good);
	frame_parameters_done(&bad);
	pair_done(&p);
}

/* --- One after the other --- */

/* @n serves @text by default, and until then whoever still frames as @kept. */
static void rotate(struct sim_node *n, const char *text, const char *kept, uint64_t until_ns)
{
	struct frame_parameters fresh = sim_parameters(text), old = sim_parameters(kept);
	struct frame_profile_source sources[] = { { "", &fresh, 0 },
						  { "old", &old, until_ns / SIM_S } };

	sim_frame(n, sources, 2);
	frame_parameters_done(&fresh);
	frame_parameters_done(&old);
}

/* Both talk, ten packets a second each way, for @ns: none is lost. */
static void talk(struct pair *p, uint64_t ns)
{
	uint64_t a = p->a->delivered, b = p->b->delivered, n = ns / (100 * SIM_MS);

	for (uint64_t i = 0; i < n; i++) {
		sim_send(p->a, p->b, 300);
		sim_send(p->b, p->a, 300);
		sim_run_for(p->s, 100 * SIM_MS);
	}
	sim_run_for(p->s, 100 * SIM_MS);
	CHECK(p->a->delivered == a + n && p->b->delivered == b + n);
}

/* The network cannot tell them apart without their lengths, either. */
static bool look_alike(const char *one, const char *two)
{
	return *one && *two && (strstr(one, two) || strstr(two, one));
}

/* @a keeps the old parameters and @b goes on to the new ones; @caller makes the keys. */
static void check_rotation(const char *from, const char *to, bool a_calls)
{
	struct pair p = pair_framed(from);
	struct sim_node *late = sim_node_new(p.s), *caller = a_calls ? p.a : p.b;
	size_t answers = 0, others = 0;

	sim_send(caller, other(&p, caller), 100);
	sim_run_for(p.s, SIM_S);
	talk(&p, 50 * SIM_S);
	rotate(p.b, to, from, SIM_WALL + p.s->now_ns + 400 * SIM_S);
	pair_mark(&p);
	talk(&p, 300 * SIM_S);
	answers = said(&p, other(&p, caller), MESSAGE_RESPONSE);
	CHECK(answers == 2 || answers == 3); /* new keys, the old way */
	CHECK(said(&p, caller, MESSAGE_INITIATION) == answers);
	for (size_t i = p.mark; i < p.s->n_log; i++) {
		const struct sim_datagram *d = &p.s->log[i];

		others += d->from == p.b && d->profile != 1 &&
			  (d->type == MESSAGE_INITIATION || d->type == MESSAGE_RESPONSE);
	}
	CHECK(others == 0 || look_alike(from, to));
	sim_frame_text(late, to);
	sim_know(p.b, late, false);
	sim_know(late, p.b, true);
	sim_send(late, p.b, 100);
	sim_run_for(p.s, SIM_S);
	sim_send(p.b, late, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(late->delivered == 1);
	CHECK(sim_last(p.s, p.b, MESSAGE_DATA)->to == late);
	CHECK(sim_last(p.s, p.b, MESSAGE_DATA)->profile == 0);
	pair_done(&p);
}

static void an_old_client_notices_no_rotation(void)
{
	check_rotation(old_text, new_text, true);
	check_rotation(new_text, old_text, true);
	check_rotation("", new_text, true);
	check_rotation(generations[1], generations[4], true);
	check_rotation(generations[4], generations[1], true);
}

static void a_gate_goes_on_calling_an_old_client_the_old_way(void)
{
	check_rotation(old_text, new_text, false);
	check_rotation(new_text, old_text, false);
	check_rotation("", new_text, false);
}

/* What frame_parameters_clash() lets pass works, however little is different. */
static void a_rotation_of_any_value_works_or_is_known_to_clash(void)
{
	static const char base[] = "s1=30 s2=60 s3=19 s4=15 h1=1000 h2=2000 h3=3000 h4=4000";
	static const char *const changes[] = { "s1=31",
					       "s2=61",
					       "s3=20",
					       "s4=16",
					       "h1=1001",
					       "h2=2001",
					       "h3=3001",
					       "h4=4001",
					       "s1=31 s4=16",
					       "h1=1001 h4=4001",
					       "random_trailers=1",
					       ("header_protection_key=" KEY_A) };
	int clashes = 0;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char changed[300];
		struct frame_parameters a = sim_parameters(base), b;
		bool do_clash = false;

		snprintf(changed, sizeof(changed), "%s %s", base, changes[i]);
		b = sim_parameters(changed);
		do_clash = frame_parameters_clash(&a, &b);
		clashes += do_clash;
		for (int a_calls = 0; a_calls < 2 && !do_clash; a_calls++) {
			check_rotation(base, changed, a_calls);
			check_rotation(changed, base, a_calls);
		}
		frame_parameters_done(&a);
		frame_parameters_done(&b);
	}
	CHECK(clashes == 6); /* those of S2 to S4 and H2 to H4 alone */
}

/* Version 3.0 beside 3.1: only trailers are different, and only the length tells. */
static void a_profile_without_trailers_lives_beside_one_with(void)
{
	static const char without[] = "s1=16 s2=16 s3=16 s4=16 h1=1000 h2=2000 h3=3000 h4=4000"
				      " header_protection_key=" KEY_B;
	static const char with[] = "s1=16 s2=16 s3=16 s4=16 h1=1000 h2=2000 h3=3000 h4=4000"
				   " header_protection_key=" KEY_B " random_trailers=1";

	check_rotation(without, with, true);
	check_rotation(with, without, true);
}

/* It keeps its key, and only what is under way to it in that moment is lost: data says, too, how
 * somebody frames. */
static void a_client_that_changes_over_is_answered_the_new_way_at_once(void)
{
	struct pair p = pair_framed(old_text);

	both_ways(&p, SIM_S);
	rotate(p.b, new_text, old_text, SIM_WALL + p.s->now_ns + 600 * SIM_S);
	talk(&p, 2 * SIM_S);
	sim_frame_text(p.a, new_text);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 100 * SIM_MS);
	talk(&p, 10 * SIM_S);
	CHECK(said(&p, NULL, MESSAGE_INITIATION) == 1);
	talk(&p, 300 * SIM_S);
	pair_done(&p);
}

/* Data looks the same under both, so it says nothing; all the less from an endpoint that was
 * never heard. */
static void data_that_may_be_of_either_profile_changes_nothing(void)
{
	static const char before[] = "s1=30 h1=1000 s2=60 h2=2000";
	static const char after[] = "s1=31 h1=1001 s2=61 h2=2001";
	struct pair p = pair_framed(before);

	sim_send(p.b, p.a, 100); /* b calls */
	sim_run_for(p.s, SIM_S);
	rotate(p.b, after, before, SIM_WALL + p.s->now_ns + 600 * SIM_S);
	p.a->address.port++;
	both_ways(&p, SIM_S);
	talk(&p, 300 * SIM_S);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 3);
	pair_done(&p);
}

static void after_the_date_the_old_parameters_are_refused(void)
{
	struct pair p = pair_framed(old_text);
	uint64_t heard = 0;

	both_ways(&p, SIM_S);
	rotate(p.b, new_text, old_text, SIM_WALL + p.s->now_ns + 60 * SIM_S);
	talk(&p, 55 * SIM_S);
	sim_run_for(p.s, 10 * SIM_S);
	heard = p.b->delivered;
	pair_mark(&p);
	for (int i = 0; i < 60; i++) {
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, SIM_S);
	}
	CHECK(p.b->delivered == heard);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) > 3);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	sim_frame_text(p.a, new_text); /* it is told at last */
	both_ways(&p, 10 * SIM_S);
	pair_done(&p);
}

/* A peer that changed over and said nothing since is called the new way, not as it was heard. */
static void after_the_date_nobody_is_called_the_old_way(void)
{
	struct pair p = pair_framed(old_text);

	both_ways(&p, SIM_S);
	rotate(p.b, new_text, old_text, SIM_WALL + p.s->now_ns + 60 * SIM_S);
	sim_frame_text(p.a, new_text);
	sim_run_for(p.s, 200 * SIM_S);
	pair_mark(&p);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 1);
	CHECK(p.a->delivered == 2);
	pair_done(&p);
}

/* A gate that is plain WireGuard by default, with a profile beside it. */
static void serve_beside_plain(struct sim_node *n, const char *name, const char *text,
			       uint64_t until_s)
{
	struct frame_parameters plain = sim_parameters(""), other = sim_parameters(text);
	struct frame_profile_source sources[] = { { "", &plain, 0 },
						  { name, &other, until_s } };

	sim_frame(n, sources, 2);
	frame_parameters_done(&plain);
	frame_parameters_done(&other);
}

/* Did the gate say anything by its default since the mark? */
static bool was_plain(const struct pair *p)
{
	bool any = false;

	for (size_t i = p->mark; i < p->s->n_log; i++)
		any |= p->s->log[i].from == p->b && p->s->log[i].type &&
		       p->s->log[i].profile == 0;
	return any;
}

/* It has nothing to say to somebody who hid that it is WireGuard, once his profile is over. */
static void after_the_date_nobody_is_called_in_plain(void)
{
	for (int is_kept = 0; is_kept < 2; is_kept++) {
		struct pair p = pair_framed(old_text);
		uint64_t until_s = (SIM_WALL + p.s->now_ns) / SIM_S + 60;

		serve_beside_plain(p.b, "level", old_text, is_kept ? until_s : 0);
		both_ways(&p, SIM_S);
		if (!is_kept)
			serve_beside_plain(p.b, "other", new_text, 0);
		sim_run_for(p.s, is_kept ? 70 * SIM_S : SIM_S);
		pair_mark(&p);
		for (int i = 0; i < 60; i++) {
			sim_send(p.b, p.a, 100);
			sim_run_for(p.s, 5 * SIM_S);
		}
		CHECK(said(&p, p.b, MESSAGE_INITIATION) == 0);
		CHECK(said(&p, p.b, MESSAGE_DATA) <= 1); /* before the keeper saw the date */
		CHECK(!was_plain(&p));
		serve_beside_plain(p.b, "other", new_text, 0);
		sim_frame_text(p.a, new_text);
		sim_send(p.a, p.b, 100); /* it is heard again */
		sim_run_for(p.s, 10 * SIM_S);
		both_ways(&p, SIM_S);
		pair_done(&p);
	}
}

static void with_nothing_kept_who_frames_the_old_way_waits_until_it_changes(void)
{
	struct pair p = pair_framed(old_text);

	both_ways(&p, SIM_S);
	sim_frame_text(p.b, new_text);
	sim_send(p.a, p.b, 100);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, 5 * SIM_S);
	CHECK(p.a->delivered == 1 && p.b->delivered == 1);
	sim_frame_text(p.a, new_text);
	both_ways(&p, SIM_S);
	CHECK(said(&p, NULL, MESSAGE_INITIATION) == 1); /* under the key that they have */
	sim_run_for(p.s, 200 * SIM_S);
	both_ways(&p, SIM_S);
	pair_done(&p);
}

int main(void)
{
	dice_begin(2);
	RUN(five_levels_on_one_port_do_not_hear_each_other);
	RUN(a_gate_calls_each_peer_as_it_was_heard);
	RUN(a_pinned_peer_is_not_heard_under_another_profile);
	RUN(a_pin_to_a_profile_that_is_gone_is_no_pin);
	RUN(a_node_calls_a_pinned_peer_as_it_is_pinned);
	RUN(profiles_that_cannot_be_made_leave_those_that_are);
	RUN(an_old_client_notices_no_rotation);
	RUN(a_gate_goes_on_calling_an_old_client_the_old_way);
	RUN(a_rotation_of_any_value_works_or_is_known_to_clash);
	RUN(a_profile_without_trailers_lives_beside_one_with);
	RUN(a_client_that_changes_over_is_answered_the_new_way_at_once);
	RUN(data_that_may_be_of_either_profile_changes_nothing);
	RUN(after_the_date_the_old_parameters_are_refused);
	RUN(after_the_date_nobody_is_called_the_old_way);
	RUN(after_the_date_nobody_is_called_in_plain);
	RUN(with_nothing_kept_who_frames_the_old_way_waits_until_it_changes);
	return DONE();
}
