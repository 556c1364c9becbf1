/* SPDX-License-Identifier: Apache-2.0 */
/* How keys are made, by whom, and what must not disturb it. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "forge.h"
#include "pair.h"

/* ---- which key is used when ---- */

static bool only_initiations_from_1_arrive(struct sim *s, const struct sim_datagram *d)
{
	(void)s;
	return d->from->id != 1 || d->type == MESSAGE_INITIATION;
}

/* W6: the response makes b's next key; until a has used it, b sends with the current one. */
static void a_responder_sends_with_the_old_key_until_the_new_one_is_confirmed(void)
{
	struct pair p = pair_up();
	uint32_t old = 0;

	sim_send(p.b, p.a, 100);
	old = receiver_of(sim_last(p.s, p.b, MESSAGE_DATA));
	sim_run_for(p.s, 95 * SIM_S);
	p.s->on_wire = only_initiations_from_1_arrive; /* a's confirmation is lost */
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	for (int i = 0; i < 10; i++) {
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, SIM_S / 10);
		CHECK(receiver_of(sim_last(p.s, p.b, MESSAGE_DATA)) == old);
	}
	CHECK(p.a->delivered == 11); /* a still hears the old key */
	p.s->on_wire = NULL;
	sim_send(p.a, p.b, 100); /* now it arrives */
	sim_run_for(p.s, SIM_S);
	sim_send(p.b, p.a, 100);
	CHECK(receiver_of(sim_last(p.s, p.b, MESSAGE_DATA)) != old);
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 12);
	pair_done(&p);
}

/* W6, the other half: with no current key at all, next is no substitute. */
static void a_responder_without_a_current_key_waits_for_the_confirmation(void)
{
	struct pair p = pair_new();

	p.s->on_wire = only_initiations_from_1_arrive;
	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 3, 3 });
	sim_pump(p.a);
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.b, MESSAGE_DATA) == 0);
	p.s->on_wire = NULL; /* a's next keepalive confirms, and what waited at b leaves */
	sim_run_for(p.s, 3 * SIM_S);
	CHECK(p.a->delivered == 1);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 0);
	pair_done(&p);
}

/* W7 */
static void any_round_trip_below_the_repeat_time_makes_a_key_at_once(void)
{
	for (uint64_t rtt_ms = 0; rtt_ms < 5000; rtt_ms += 100) {
		struct pair p = pair_new();

		p.a->link.delay_min_ns = p.a->link.delay_max_ns = rtt_ms * SIM_MS / 2;
		p.b->link = p.a->link;
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 30 * SIM_S);
		CHECK(p.b->delivered == 1);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
		CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
		pair_done(&p);
	}
}

/* W14: no packet of a new key is lost to the initial state of the window. */
static void counter_zero_of_each_key_is_delivered(void)
{
	struct pair p = pair_new();
	size_t zeroes = 0, keys = 0;

	for (uint64_t i = 0; i < 20; i++) {
		struct sim_node *from = i % 2 ? p.b : p.a, *to = i % 2 ? p.a : p.b;
		uint64_t before = to->delivered;

		sim_send(from, to, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(to->delivered == before + 1);
		sim_run_for(p.s, 181 * SIM_S);
	}
	keys = sim_logged(p.s, NULL, MESSAGE_RESPONSE, 0);
	for (size_t i = 0; i < p.s->n_log; i++) {
		const struct sim_datagram *d = &p.s->log[i];

		zeroes += d->type == MESSAGE_DATA && d->len > MESSAGE_DATA_MIN &&
			  counter_of(d) == 0;
	}
	CHECK(keys == 20);
	CHECK(zeroes == 20);
	CHECK(sim_counters(p.a).replayed + sim_counters(p.b).replayed == 0);
	pair_done(&p);
}

/* Both initiate at the same moment, again and again: afterwards both directions work. */
static void simultaneous_initiations_end_with_a_key_that_works(void)
{
	struct pair p = pair_new();

	for (uint64_t i = 0; i < 20; i++) {
		uint64_t a = p.a->delivered, b = p.b->delivered;

		sim_send(p.a, p.b, 100);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(p.a->delivered == a + 1 && p.b->delivered == b + 1);
		sim_send(p.a, p.b, 100);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 200 * SIM_S);
		CHECK(p.a->delivered == a + 2 && p.b->delivered == b + 2);
	}
	pair_done(&p);
}

/* a's series is interrupted by an answer to b that comes to nothing, and goes on. */
static void an_answer_that_leads_nowhere_does_not_end_our_own_series(void)
{
	struct pair p = pair_new();

	p.a->link.loss_ppm = 1000000;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	p.a->link.loss_ppm = 0;
	engine_peer_set_keepalive(p.b->worker, p.s->now_ns, sim_peer(p.b, p.a),
				  (struct frame_range){ 60, 60 });
	sim_pump(p.b);
	p.b->link.loss_ppm = 1000000; /* its confirmation is lost */
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.a, MESSAGE_RESPONSE) == 1 && keepalives(&p, p.b) == 1);
	p.b->link.loss_ppm = 0;
	sim_run_for(p.s, 5 * SIM_S);
	CHECK(p.b->delivered == 1);
	pair_done(&p);
}

static bool is_initiator(const struct sim_node *at, const struct sim_node *of)
{
	return atomic_load(&sim_peer(at, of)->current)->is_initiator;
}

/* Crossed handshakes must not go on crossing: one key is left, with one initiator. */
static void crossed_handshakes_leave_one_key_and_one_initiator(void)
{
	for (uint64_t lag_ms = 0; lag_ms <= 400; lag_ms += 25) {
		struct pair p = pair_new();

		p.a->link.delay_min_ns = p.a->link.delay_max_ns = 200 * SIM_MS;
		p.b->link = p.a->link;
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, lag_ms * SIM_MS);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 2 * SIM_S);
		CHECK(p.a->delivered == 1 && p.b->delivered == 1);
		CHECK(is_initiator(p.a, p.b) != is_initiator(p.b, p.a));
		pair_mark(&p);
		for (int i = 0; i < 10000; i++) {
			sim_send(p.a, p.b, 100);
			sim_send(p.b, p.a, 100);
			sim_run_for(p.s, 60 * SIM_MS);
		}
		sim_run_for(p.s, SIM_S);
		CHECK(p.a->delivered == 10001 && p.b->delivered == 10001);
		CHECK(said(&p, NULL, MESSAGE_RESPONSE) <= 5); /* in 600 s */
		pair_done(&p);
		if (!sim_is_soak())
			lag_ms += 75;
	}
}

/* ---- preshared and private keys ---- */

/* W8 */
static void a_new_preshared_key_serves_the_next_handshake_and_ends_no_key(void)
{
	struct secret_key psk = { { 1, 2, 3 } };
	struct pair p = pair_up();

	engine_peer_set_preshared_key(sim_peer(p.a, p.b), &psk);
	sim_send(p.a, p.b, 100);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2 && p.a->delivered == 1); /* the live key stays */
	CHECK(said(&p, NULL, MESSAGE_INITIATION) == 0);

	sim_run_for(p.s, 160 * SIM_S); /* it dies; b does not know the secret */
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 10 * SIM_S);
	CHECK(p.b->delivered == 2);
	CHECK(sim_info(p.a, p.b).handshake_failures > 0);

	engine_peer_set_preshared_key(sim_peer(p.b, p.a), &psk);
	sim_run_for(p.s, 10 * SIM_S);
	CHECK(p.b->delivered == 3); /* what waited arrives with the next attempt */
	pair_done(&p);
}

static void a_new_private_key_ends_sending_and_makes_new_keys_at_once(void)
{
	struct pair p = pair_up();
	struct secret_key key = { { 9, 9, 9 } };
	struct noise_identity id;
	struct forger f;

	engine_set_private_key(p.a->worker, p.s->now_ns, &key);
	forger_init(&f, p.b, &key);
	id = f.identity;
	forger_done(&f);
	sim_send(p.a, p.b, 100); /* b does not know this key */
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.a, MESSAGE_DATA) == 0);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	CHECK(p.b->delivered == 1);

	engine_peer_remove(p.b->worker, sim_peer(p.b, p.a));
	memcpy(p.a->public_key, id.public_key, sizeof(p.a->public_key));
	sim_know(p.b, p.a, false);
	sim_run_for(p.s, 10 * SIM_S);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

static void a_peer_with_our_own_key_is_refused(void)
{
	struct pair p = pair_new();
	struct peer *self = NULL;

	CHECK(engine_peer_add(p.a->worker, p.a->public_key, &self) == ERR_KEY);
	CHECK(engine_peer_count(p.a->engine) == 1);
	engine_set_private_key(p.a->worker, p.s->now_ns, &p.b->private_key); /* becomes b */
	CHECK(engine_peer_count(p.a->engine) == 0);
	pair_done(&p);
}

/* ---- W36: keys nobody may use ---- */

/* Points of low order, and their encodings above the prime. Source: RFC 7748 section 7 on
 * all-zero results; the list is that of D. J. Bernstein, cr.yp.to/ecdh.html (public domain). */
static const uint8_t low_order[7][32] = {
	{ 0 },
	{ 1 },
	{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
	  0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
	  0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
	{ 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
	  0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
	  0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
	{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	{ 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	{ 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
};

/* W36: as a peer's key. */
static void nothing_is_sent_to_a_peer_with_a_low_order_key(void)
{
	for (size_t i = 0; i < 7; i++) {
		struct sim *s = sim_new(1);
		struct sim_node *a = sim_node_new(s), *b = sim_node_new(s);

		s->is_logging = true;
		memcpy(b->public_key, low_order[i], 32);
		sim_know(a, b, true);
		engine_peer_set_keepalive(a->worker, s->now_ns, sim_peer(a, b),
					  (struct frame_range){ 5, 5 });
		sim_send(a, b, 100);
		sim_run_for(s, 200 * SIM_S);
		CHECK(s->n_log == 0);
		CHECK(sim_check(s));
		sim_free(s);
	}
}

/* W36: as the ephemeral key of a message with a good MAC1. */
static void a_low_order_ephemeral_key_gets_no_answer(void)
{
	struct pair p = pair_up();
	struct forger f;

	forger_init(&f, p.b, &p.a->private_key);
	for (size_t i = 0; i < 7; i++) {
		struct msg_initiation m;

		forge_initiation(&f, 1, SIM_WALL * 2, &m);
		memcpy(m.ephemeral, low_order[i], 32);
		forge_mac1(&f, p.b, &m, sizeof(m));
		sim_inject(p.b, &p.a->address, &m, sizeof(m));
	}
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	CHECK(sim_counters(p.b).bad_mac1 == 0);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2);
	forger_done(&f);
	pair_done(&p);
}

/* ---- what must not disturb a handshake ---- */

/* W32: forged responses, with a MAC1 that anybody can make, leave the handshake pending. */
static void a_forged_response_leaves_the_handshake_pending(void)
{
	struct pair p = pair_new();
	struct msg_response good, bad;
	struct forger f;

	forger_init(&f, p.a, NULL);
	p.a->link.delay_min_ns = p.a->link.delay_max_ns = 0;
	p.b->link.loss_ppm = 1000000;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	memcpy(&good, sim_last(p.s, p.b, MESSAGE_RESPONSE)->data, sizeof(good));
	/* From the receiver on: nothing but MAC1 protects the sender's index. */
	for (size_t at = 8; at < sizeof(bad) - 2 * NOISE_MAC_LEN; at++) {
		bad = good;
		((uint8_t *)&bad)[at] ^= 0x40;
		forge_mac1(&f, p.a, &bad, sizeof(bad));
		sim_inject(p.a, &p.b->address, &bad, sizeof(bad));
	}
	CHECK(said(&p, p.a, MESSAGE_DATA) == 0);
	CHECK(sim_counters(p.a).bad_mac1 == 0);
	CHECK(sim_counters(p.a).handshakes_completed == 0);
	sim_inject(p.a, &p.b->address, &good, sizeof(good));
	CHECK(said(&p, p.a, MESSAGE_DATA) == 1);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 1);
	forger_done(&f);
	pair_done(&p);
}

static void a_response_counts_once(void)
{
	struct pair p = pair_up();

	sim_replay(p.a, &p.s->log[1]);
	CHECK(p.s->log[1].type == MESSAGE_RESPONSE);
	CHECK(sim_counters(p.a).handshakes_completed == 1);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

static void an_initiation_is_answered_once_and_never_when_replayed(void)
{
	struct pair p = pair_up();
	struct sim_datagram first = *sim_nth(p.s, p.a, MESSAGE_INITIATION, 0, 0);

	for (int i = 0; i < 20; i++) {
		sim_replay(p.b, &first);
		sim_run_for(p.s, 30 * SIM_S);
	}
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	CHECK(sim_counters(p.b).handshakes_answered == 1);
	pair_done(&p);
}

static void initiations_of_one_peer_are_taken_50_times_a_second_at_most(void)
{
	struct pair p = pair_up();
	struct forger f;

	forger_init(&f, p.b, &p.a->private_key);
	for (uint64_t i = 0; i < 500; i++) { /* with ever newer labels, in one second */
		struct msg_initiation m;

		forge_initiation(&f, 1, SIM_WALL + p.s->now_ns + i * SIM_S, &m);
		sim_inject(p.b, &p.a->address, &m, sizeof(m));
		sim_run_for(p.s, 2 * SIM_MS);
	}
	CHECK(is_about(said(&p, p.b, MESSAGE_RESPONSE), 40, 50));
	forger_done(&f);
	pair_done(&p);
}

static void a_stranger_gets_no_answer(void)
{
	struct pair p = pair_up();
	struct msg_initiation m;
	struct forger f;

	forger_init(&f, p.b, NULL);
	forge_initiation(&f, 1, SIM_WALL, &m);
	sim_inject(p.b, &p.a->address, &m, sizeof(m));
	CHECK(p.s->n_log == p.mark);
	m.sealed_static[0] ^= 1; /* and without a MAC1 even less */
	sim_inject(p.b, &p.a->address, &m, sizeof(m));
	CHECK(sim_counters(p.b).bad_mac1 == 1);
	CHECK(p.s->n_log == p.mark);
	forger_done(&f);
	pair_done(&p);
}

/* ---- W37: indices ---- */

enum { INDICES = 2000 };

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Indices of many handshakes with a handful of peers: each bit is a fair coin, none comes
 * twice, and neighbours in time are unrelated. */
static void indices_are_random_and_unique(void)
{
	struct sim *s = sim_new(sim_seed(37));
	struct sim_node *hub = sim_node_new(s), *node[8];
	static uint32_t index[INDICES];
	size_t n = 0, bits[32] = { 0 }, close = 0;

	s->is_logging = true;
	for (int i = 0; i < 8; i++) {
		node[i] = sim_node_new(s);
		sim_introduce(node[i], hub);
	}
	while (sim_logged(s, NULL, MESSAGE_RESPONSE, 0) < INDICES / 2) {
		for (int i = 0; i < 8; i++)
			sim_send(node[i], hub, 100);
		sim_run_for(s, 200 * SIM_S);
	}
	for (size_t i = 0; i < s->n_log && n < INDICES; i++) {
		if (s->log[i].type == MESSAGE_INITIATION ||
		    s->log[i].type == MESSAGE_RESPONSE) {
			le32 sender =
				((const struct msg_initiation *)(void *)s->log[i].data)->sender;

			index[n++] = le32_value(sender);
		}
	}
	for (size_t i = 0; i < n; i++) {
		for (int b = 0; b < 32; b++)
			bits[b] += index[i] >> b & 1;
		close += i && (uint32_t)(index[i] - index[i - 1] + 0x10000) < 0x20000;
	}
	for (int b = 0; b < 32; b++)
		CHECK(is_about(bits[b], n * 2 / 5, n * 3 / 5));
	CHECK(close <= 3);
	qsort(index, n, sizeof(index[0]), compare_u32);
	for (size_t i = 1; i < n; i++)
		CHECK(index[i] != index[i - 1]);
	CHECK(sim_check(s));
	sim_free(s);
}

int main(void)
{
	RUN(a_responder_sends_with_the_old_key_until_the_new_one_is_confirmed);
	RUN(a_responder_without_a_current_key_waits_for_the_confirmation);
	RUN(any_round_trip_below_the_repeat_time_makes_a_key_at_once);
	RUN(counter_zero_of_each_key_is_delivered);
	RUN(simultaneous_initiations_end_with_a_key_that_works);
	RUN(an_answer_that_leads_nowhere_does_not_end_our_own_series);
	RUN(crossed_handshakes_leave_one_key_and_one_initiator);
	RUN(a_new_preshared_key_serves_the_next_handshake_and_ends_no_key);
	RUN(a_new_private_key_ends_sending_and_makes_new_keys_at_once);
	RUN(a_peer_with_our_own_key_is_refused);
	RUN(nothing_is_sent_to_a_peer_with_a_low_order_key);
	RUN(a_low_order_ephemeral_key_gets_no_answer);
	RUN(a_forged_response_leaves_the_handshake_pending);
	RUN(a_response_counts_once);
	RUN(an_initiation_is_answered_once_and_never_when_replayed);
	RUN(initiations_of_one_peer_are_taken_50_times_a_second_at_most);
	RUN(a_stranger_gets_no_answer);
	RUN(indices_are_random_and_unique);
	return DONE();
}
