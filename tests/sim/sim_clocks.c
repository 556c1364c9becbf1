/* SPDX-License-Identifier: Apache-2.0 */
/* Suspend, steps of the wall clock, clocks that tremble, and machines that are copied. */
#include <string.h>

#include "forge.h"
#include "pair.h"

/* ---- suspend ---- */

/* W25: the life of a key counts the time asleep. */
static void a_key_that_died_in_sleep_is_not_used_after_it(void)
{
	struct pair p = pair_up();

	sim_sleep(p.a, 400 * SIM_S);
	sim_run_for(p.s, 401 * SIM_S);
	sim_send(p.a, p.b, 100);
	CHECK(said(&p, p.a, MESSAGE_DATA) == 0);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

/* W25, receiving: what was captured before is not accepted when the machine is back. */
static void a_packet_captured_before_a_long_sleep_is_refused_after_it(void)
{
	struct pair p = pair_up();
	struct sim_datagram d;

	p.s->on_wire = nothing_arrives;
	sim_send(p.b, p.a, 100);
	p.s->on_wire = NULL;
	d = *sim_last(p.s, p.b, MESSAGE_DATA);
	sim_sleep(p.a, 200 * SIM_S);
	sim_run_for(p.s, 200 * SIM_S + SIM_MS);
	sim_replay(p.a, &d);
	CHECK(p.a->delivered == 0);
	pair_done(&p);
}

/* W25: timers that came due in sleep fire once, and a sleeper with a persistent keepalive is
 * back at once. */
static void a_sleeper_with_a_persistent_keepalive_is_back_at_once(void)
{
	struct pair p = pair_up();

	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 25, 25 });
	sim_pump(p.a);
	sim_sleep(p.a, 8 * 3600 * SIM_S);
	pair_mark(&p);
	sim_run_for(p.s, 8 * 3600 * SIM_S + SIM_S);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	CHECK(keepalives(&p, p.a) == 1);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 1);
	pair_done(&p);
}

/* W26: told of a sleep or a copy, the engine forgets every key, however young. */
static void forgotten_keys_are_used_in_neither_direction(void)
{
	struct pair p = pair_up();
	struct sim_datagram d;
	uint32_t receiver = 0;

	sim_send(p.a, p.b, 100);
	receiver = receiver_of(sim_last(p.s, p.a, MESSAGE_DATA));
	p.s->on_wire = nothing_arrives;
	sim_send(p.b, p.a, 100);
	d = *sim_last(p.s, p.b, MESSAGE_DATA);
	p.s->on_wire = NULL;
	engine_forget_keys(p.a->worker, p.s->now_ns);
	sim_pump(p.a);
	sim_replay(p.a, &d);
	CHECK(p.a->delivered == 0);
	CHECK(sim_counters(p.a).unknown_index == 1);
	sim_send(p.a, p.b, 100);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1); /* at once: no 5 s since the last */
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 3);
	CHECK(receiver_of(sim_last(p.s, p.a, MESSAGE_DATA)) != receiver);
	pair_done(&p);
}

static void what_waited_for_a_key_asks_for_one_again(void)
{
	struct pair p = pair_new();

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	p.s->on_wire = NULL;
	engine_forget_keys(p.a->worker, p.s->now_ns);
	sim_pump(p.a);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 1);
	pair_done(&p);
}

static bool same_bytes(const uint8_t *at, size_t len, const void *what, size_t what_len)
{
	for (size_t i = 0; i + what_len <= len; i++) {
		if (memcmp(at + i, what, what_len) == 0)
			return true;
	}
	return false;
}

/* W26: a restored image has the keys and counters of its twin. Once told, it never sends a
 * datagram that its twin could have sent. */
static void a_restored_image_repeats_no_datagram_of_its_twin(void)
{
	struct pair p = pair_up();
	struct session *s = atomic_load(&sim_peer(p.a, p.b)->current);
	uint8_t key[32];
	uint64_t counter = atomic_load(&s->send_counter);

	memcpy(key, s->send.b, sizeof(key)); /* the image */
	for (int i = 0; i < 10; i++)
		sim_send(p.a, p.b, 100);	      /* the twin goes on */
	atomic_store(&s->send_counter, counter);      /* the image is restored ... */
	engine_forget_keys(p.a->worker, p.s->now_ns); /* ... and notices */
	sim_pump(p.a);
	pair_mark(&p);
	for (int i = 0; i < 10; i++) {
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, SIM_S);
	}
	struct session *now = atomic_load(&sim_peer(p.a, p.b)->current);

	CHECK(now && memcmp(now->send.b, key, sizeof(key)) != 0);
	CHECK(!same_bytes((const uint8_t *)sim_peer(p.a, p.b), sizeof(struct peer), key, 32));
	CHECK(p.b->delivered == 21);
	pair_done(&p); /* the network saw no counter twice */
}

/* ---- the wall clock ---- */

/* W28: the other side remembers the greatest label; ours must exceed it all the same. */
static void handshakes_work_after_the_wall_clock_went_back(void)
{
	static const int64_t steps_s[] = {
		-1, -3600, -86400 * 365, -86400 * 3650, 0, 86400, -7
	};
	struct pair p = pair_up();

	for (size_t i = 0; i < sizeof(steps_s) / sizeof(steps_s[0]); i++) {
		uint64_t before = p.b->delivered;

		p.a->wall_offset_ns += steps_s[i] * (int64_t)SIM_S;
		sim_run_for(p.s, 200 * SIM_S); /* the key is dead */
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(p.b->delivered == before + 1);
	}
	pair_done(&p);
}

/* W28: so does a wall clock that stands still. */
static bool freeze_wall(struct sim *s, const struct sim_datagram *d)
{
	(void)d;
	s->nodes[0]->wall_offset_ns = -(int64_t)s->now_ns;
	return true;
}

static void handshakes_work_while_the_wall_clock_stands_still(void)
{
	struct pair p = pair_new();

	p.s->on_wire = freeze_wall;
	for (uint64_t i = 0; i < 10; i++) {
		p.a->wall_offset_ns = -(int64_t)p.s->now_ns;
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, SIM_S);
		CHECK(p.b->delivered == i + 1);
		sim_run_for(p.s, 200 * SIM_S);
	}
	pair_done(&p);
}

/* W28: the greatest label accepted outlives the process, if it is handed back. */
static void a_replayed_initiation_is_refused_after_a_restart(void)
{
	struct pair p = pair_up();
	struct sim_datagram first = *sim_nth(p.s, p.a, MESSAGE_INITIATION, 0, 0);
	struct engine_peer_info info = sim_info(p.b, p.a);

	sim_node_restart(p.b);
	sim_know(p.b, p.a, false);
	engine_peer_set_greatest_time(sim_peer(p.b, p.a), info.greatest_time);
	sim_replay(p.b, &first);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 0);
	CHECK(sim_info(p.b, p.a).endpoint.ip.family == ADDR_NONE);

	sim_node_restart(p.b); /* that it was this which refused: */
	sim_know(p.b, p.a, false);
	sim_replay(p.b, &first);
	CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
	pair_done(&p);
}

static void the_label_hides_the_exact_time(void)
{
	struct pair p = pair_up();
	uint8_t time[12];

	memcpy(time, sim_info(p.b, p.a).greatest_time, sizeof(time));
	CHECK(time[0] == 0x40);
	CHECK(time[9] == 0 && time[10] == 0 && time[11] == 0);
	pair_done(&p);
}

/* W5: what people are shown follows the wall clock, also when it steps. */
static void the_last_handshake_is_wall_clock_time_after_a_step(void)
{
	struct pair p = pair_up();

	p.a->wall_offset_ns = -(int64_t)(1000 * SIM_S);
	sim_run_for(p.s, 200 * SIM_S);
	sim_send(p.a, p.b, 100);
	uint64_t wall = SIM_WALL + p.s->now_ns - 1000 * SIM_S;

	sim_run_for(p.s, SIM_S);
	CHECK(sim_info(p.a, p.b).last_handshake_wall_ns == wall + 20 * SIM_MS);
	pair_done(&p);
}

/* ---- W27: a monotonic clock that is not quite ---- */

/* W27: readings that are equal, or a little earlier than the last, are harmless. */
static void a_trembling_clock_is_harmless(void)
{
	struct pair p = pair_new();

	p.s->is_logging = false;
	p.a->wobble_ns = 20 * SIM_MS;
	p.b->wobble_ns = 20 * SIM_MS;
	for (int i = 0; i < 5000; i++) {
		sim_send(p.a, p.b, 100);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, i % 500 ? 100 * SIM_MS : 200 * SIM_S);
	}
	CHECK(p.a->delivered == 5000);
	CHECK(p.b->delivered == 5000);
	pair_done(&p);
}

/* W27: even at the moment a key is made, when its age would be negative. */
static void a_reading_before_the_birth_of_a_key_is_harmless(void)
{
	struct pair p = pair_new();
	struct sim_datagram d;
	uint8_t packet[100 + ENGINE_TAILROOM];
	struct engine_packet out = { .data = packet, .len = 100 };
	struct ip_prefix from = sim_inner4(p.b), to = sim_inner4(p.a);

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 40 * SIM_MS);
	d = *sim_last(p.s, p.a, MESSAGE_DATA);
	sim_build(packet, &from.ip, &to.ip, 0, 1, 0, 100);
	engine_send(p.b->worker, p.s->now_ns - SIM_S / 2, &out, 1);
	sim_fetch(p.b);
	CHECK(engine_keep(p.b->worker, 1, SIM_WALL) == false);
	sim_fetch(p.b);
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 1);
	CHECK(d.len > 0);
	pair_done(&p);
}

int main(void)
{
	RUN(a_key_that_died_in_sleep_is_not_used_after_it);
	RUN(a_packet_captured_before_a_long_sleep_is_refused_after_it);
	RUN(a_sleeper_with_a_persistent_keepalive_is_back_at_once);
	RUN(forgotten_keys_are_used_in_neither_direction);
	RUN(what_waited_for_a_key_asks_for_one_again);
	RUN(a_restored_image_repeats_no_datagram_of_its_twin);
	RUN(handshakes_work_after_the_wall_clock_went_back);
	RUN(handshakes_work_while_the_wall_clock_stands_still);
	RUN(a_replayed_initiation_is_refused_after_a_restart);
	RUN(the_label_hides_the_exact_time);
	RUN(the_last_handshake_is_wall_clock_time_after_a_step);
	RUN(a_trembling_clock_is_harmless);
	RUN(a_reading_before_the_birth_of_a_key_is_harmless);
	return DONE();
}
