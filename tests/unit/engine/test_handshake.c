/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is at the keeper, while more arrives than anybody could answer. */
#include <string.h>

#include "ends.h"
#include "noise/cookie.h"

enum { TURN_NS = 1000000, PER_TURN = 512 };

static uint32_t strangers;

/* An initiation that @to has to open to see that it is none. */
static void stranger_knocks(struct ends *t, struct end *to)
{
	const struct endpoint from = { .ip = { .family = ADDR_V4,
					       .b = { 100, (uint8_t)(strangers >> 16),
						      (uint8_t)(strangers >> 8),
						      (uint8_t)strangers } },
				       .port = 1000 };
	struct cookie_maker maker = { 0 };
	struct msg_initiation m;

	strangers++;
	seeded_fill(&m, sizeof(m));
	m.type = le32_from(MESSAGE_INITIATION);
	cookie_sign(&maker, to->worker->suite, to->public_key, t->now_ns, &m, sizeof(m));
	end_hear(t, to, &from, &m, sizeof(m));
}

static void keep_knocking(struct ends *t, struct end *to)
{
	for (int i = 0; i < PER_TURN; i++)
		stranger_knocks(t, to);
	t->now_ns += TURN_NS;
	end_keep(to, t->now_ns);
}

static struct engine_counters counted(const struct end *e)
{
	struct engine_counters c;

	engine_counters(e->engine, &c);
	return c;
}

/* What end a would say to begin. */
static struct msg_initiation begin(struct ends *t)
{
	struct msg_initiation m = { 0 };

	engine_peer_greet(t->a.worker, t->a.peer);
	for (int i = 0; i < 3 && t->a.n_out == 0; i++)
		end_keep(&t->a, t->now_ns);
	CHECK(t->a.n_out == 1 && t->a.out[0].len == sizeof(m));
	if (t->a.n_out == 1)
		memcpy(&m, t->a.out[0].data, sizeof(m));
	return m;
}

/* Every cookie takes room among the outputs, and so does every answer. */
static void cookie_replies_leave_room_for_answers(void)
{
	struct ends *t = ends_new();
	struct msg_initiation honest = begin(t);

	for (int i = 0; i < UNDER_LOAD_FILL - 1; i++)
		stranger_knocks(t, &t->b);
	end_hear(t, &t->b, &t->a.address, &honest, sizeof(honest));
	for (int i = 0; i <= UNDER_LOAD_FILL / SERVED_PER_TURN; i++)
		keep_knocking(t, &t->b);
	CHECK(counted(&t->b).cookies_sent > 0);
	CHECK(counted(&t->b).handshakes_answered == 1);
	ends_done(t);
}

static bool says_initiation(const struct end *e)
{
	for (size_t i = 0; i < e->n_out; i++)
		if (e->out[i].len == sizeof(struct msg_initiation))
			return true;
	return false;
}

/* Initiations of ours that are due go out too. */
static void cookie_replies_leave_room_for_timers(void)
{
	struct ends *t = ends_new();
	bool said = false;

	for (int i = 0; i < 20; i++)
		keep_knocking(t, &t->b);
	engine_peer_greet(t->b.worker, t->b.peer);
	for (int i = 0; i < 3; i++) {
		uint64_t cookies = counted(&t->b).cookies_sent;

		keep_knocking(t, &t->b);
		CHECK(counted(&t->b).cookies_sent > cookies);
		said |= says_initiation(&t->b);
	}
	CHECK(said);
	ends_done(t);
}

/* Who does not know our public key makes no load, however much he sends. */
static void messages_without_a_mac_neither_begin_nor_prolong_a_load(void)
{
	struct ends *t = ends_new();
	struct msg_initiation junk = { .type = le32_from(MESSAGE_INITIATION) };
	uint64_t cookies = 0;

	keep_knocking(t, &t->b);
	while (end_keep(&t->b, t->now_ns))
		;
	cookies = counted(&t->b).cookies_sent;
	CHECK(cookies > 0);
	for (int i = 0; i < 30; i++) {
		for (int j = 0; j < PER_TURN; j++)
			end_hear(t, &t->b, &t->a.address, &junk, sizeof(junk));
		t->now_ns += 50 * TURN_NS;
		end_keep(&t->b, t->now_ns);
	}
	struct msg_initiation honest = begin(t);

	end_hear(t, &t->b, &t->a.address, &honest, sizeof(honest));
	while (end_keep(&t->b, t->now_ns))
		;
	CHECK(counted(&t->b).handshakes_answered == 1);
	CHECK(counted(&t->b).cookies_sent == cookies);
	ends_done(t);
}

/* A prelude of a hundred packets finds no room behind the cookies of one turn: it gets the
 * next. */
static void cookie_replies_leave_room_for_long_preludes(void)
{
	struct ends *t = ends_new();
	struct frame_parameters long_one;
	struct frame_profile_source source = { "", &long_one, 0 };
	struct engine_framing *f = NULL;
	bool said = false;

	frame_parameters_init(&long_one);
	long_one.jc = 100;
	long_one.jmin = 1000;
	long_one.jmax = 1200;
	CHECK(engine_framing_new(t->b.engine, &source, 1, &f) == 0);
	engine_framing_publish(t->b.worker, f);
	for (int i = 0; i < 20; i++)
		keep_knocking(t, &t->b);
	engine_peer_greet(t->b.worker, t->b.peer);
	for (int i = 0; i < 4; i++) {
		keep_knocking(t, &t->b);
		said |= says_initiation(&t->b);
	}
	CHECK(said);
	frame_parameters_done(&long_one);
	ends_done(t);
}

/* What was turned away long ago does not make a load of the first message after it. */
static void a_load_that_is_over_does_not_come_back_by_itself(void)
{
	struct ends *t = ends_new();
	struct msg_initiation honest;

	for (int i = 0; i < 2 * FLOOD_PER_SECOND / PER_TURN; i++)
		keep_knocking(t, &t->b);
	while (end_keep(&t->b, t->now_ns))
		;
	CHECK(t->b.engine->turned_away >= FLOOD_PER_SECOND);
	t->now_ns += 2 * ENGINE_SECOND;
	honest = begin(t);
	end_hear(t, &t->b, &t->a.address, &honest, sizeof(honest));
	while (end_keep(&t->b, t->now_ns))
		;
	CHECK(counted(&t->b).handshakes_answered == 1);
	ends_done(t);
}

/* Its MAC1 was good when it came, under the key we had; the new one has no cookie secret before
 * the keeper's next turn. */
static void a_message_that_outlives_our_key_gets_no_cookie(void)
{
	struct ends *t = ends_new();
	struct secret_key key;

	for (int i = 0; i < 2 * FLOOD_PER_SECOND / PER_TURN; i++)
		keep_knocking(t, &t->b);
	stranger_knocks(t, &t->b);
	seeded_fill(key.b, sizeof(key.b));
	CHECK(engine_set_private_key(t->b.worker, t->now_ns, &key) == 0);
	outputs_reset(t->b.worker);
	handshake_judge_arrived(t->b.worker, t->now_ns);
	CHECK(t->b.worker->n_outputs == 0);
	ends_done(t);
}

int main(void)
{
	RUN(a_message_that_outlives_our_key_gets_no_cookie);
	RUN(cookie_replies_leave_room_for_answers);
	RUN(cookie_replies_leave_room_for_timers);
	RUN(cookie_replies_leave_room_for_long_preludes);
	RUN(messages_without_a_mac_neither_begin_nor_prolong_a_load);
	RUN(a_load_that_is_over_does_not_come_back_by_itself);
	return DONE();
}
