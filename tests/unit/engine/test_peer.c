/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, adding and removing peers; where they are; what they may use; what changed. */
#include "ends.h"

static struct ip_addr source_of(struct peer *p)
{
	return atomic_load(&p->route)->to.local;
}

static void key_of(uint8_t out[32], uint32_t n)
{
	memset(out, 0x55, 32);
	put_be32(out + 28, n);
}

/* ---- the table and the list ---- */

static void every_peer_is_found_by_its_key_and_listed_in_order(void)
{
	enum { PEERS = 5000 };
	static struct peer *added[PEERS];
	struct ends *t = ends_new();
	struct engine *e = t->a.engine;
	uint32_t n = 0;
	uint8_t key[32];

	for (uint32_t i = 0; i < PEERS; i++) {
		key_of(key, i);
		CHECK(!engine_peer_find(t->a.worker, key));
		CHECK(engine_peer_add(t->a.worker, key, &added[i]) == 0);
	}
	CHECK(engine_peer_count(e) == PEERS + 1);
	for (uint32_t i = 0; i < PEERS; i += 2) {
		engine_peer_remove(t->a.worker, added[i]);
		added[i] = NULL;
	}
	CHECK(engine_peer_count(e) == PEERS / 2 + 1);
	for (uint32_t i = 0; i < PEERS; i++) {
		key_of(key, i);
		CHECK(engine_peer_find(t->a.worker, key) == added[i]);
	}
	for (struct peer *p = engine_peer_next(e, t->a.peer); p; p = engine_peer_next(e, p))
		CHECK(p == added[2 * n++ + 1]);
	CHECK(n == PEERS / 2);
	engine_peer_remove_all(t->a.worker);
	CHECK(engine_peer_count(e) == 0 && !engine_peer_next(e, NULL));
	key_of(key, 1);
	CHECK(!engine_peer_find(t->a.worker, key));
	ends_done(t); /* a sanitizer sees whether all went */
}

static void our_own_key_and_no_key_are_refused(void)
{
	struct ends *t = ends_new();
	const struct secret_key none = { 0 };
	const uint8_t zero[32] = { 0 };
	struct peer *p = NULL;

	CHECK(engine_peer_add(t->a.worker, t->a.public_key, &p) == ERR_KEY && !p);
	engine_set_private_key(t->a.worker, t->now_ns, &none);
	CHECK(engine_peer_add(t->a.worker, zero, &p) == ERR_KEY && !p);
	CHECK(engine_peer_add(t->a.worker, t->a.public_key, &p) == 0 && p);
	ends_done(t);
}

/* A data thread may have asked the keeper for a peer that control removes meanwhile. */
static void a_peer_that_is_removed_while_it_waits_for_the_keeper_is_freed_once(void)
{
	struct ends *t = ends_up();

	engine_peer_greet(t->a.worker, t->a.peer);
	end_send_one(t, &t->a, false, 2, 0, 100);
	engine_peer_remove(t->a.worker, t->a.peer);
	for (int i = 0; i < 10; i++)
		end_keep(&t->a, t->now_ns);
	CHECK(t->a.n_out == 0 && engine_deadline_ns(t->a.worker) == UINT64_MAX);
	end_send_one(t, &t->a, false, 2, 0, 100);
	CHECK(t->a.n_out == 0 && t->a.n_in == 1); /* nobody's any more */
	t->a.peer = end_know(&t->a, t->b.public_key, &t->b.address, 2);
	t->now_ns += 10 * ENGINE_SECOND; /* and the same key may come back */
	end_send_one(t, &t->a, false, 2, 0, 100);
	ends_talk(t);
	CHECK(session_for_sending(t->a.peer, t->now_ns));
	ends_done(t);
}

/* Found before it was removed, used after the keeper let go of it. */
static void a_data_thread_may_kick_a_peer_that_the_keeper_has_let_go(void)
{
	struct ends *t = ends_up();
	struct engine_worker *late = NULL;

	CHECK(engine_worker_new(t->a.engine, &late) == 0);
	engine_enter(late); /* holds what it has found */
	engine_peer_remove(t->a.worker, t->a.peer);
	while (end_keep(&t->a, t->now_ns))
		;
	CHECK(t->a.peer->is_retired);
	peer_kick(late, t->a.peer);
	engine_leave(late);
	engine_quiet(t->a.worker);
	epoch_reclaim(&t->a.engine->epoch); /* just now, before the keeper saw the kick */
	for (int i = 0; i < 5; i++)
		end_keep(&t->a, t->now_ns);
	ends_done(t);
	engine_worker_free(late);
}

static void what_was_reserved_serves_the_next_peers(void)
{
	struct ends *t = ends_new();
	struct engine *e = t->a.engine;
	struct peer *p = NULL;
	uint8_t key[32];

	CHECK(engine_reserve(e, 10, 100) == 0 && e->n_spare == 10);
	CHECK(engine_reserve(e, 4, 0) == 0 && e->n_spare == 10);
	for (uint32_t i = 0; i < 7; i++) {
		key_of(key, i);
		CHECK(engine_peer_add(t->a.worker, key, &p) == 0);
	}
	CHECK(e->n_spare == 3);
	ends_done(t); /* the rest is freed with the engine */
}

/* ---- where it is ---- */

static void a_source_is_kept_until_it_is_forgotten_and_the_destination_stays(void)
{
	struct ends *t = ends_up();
	struct endpoint from = t->b.address;
	struct route *route = NULL;
	struct ip_addr local;

	from.local = (struct ip_addr){ .family = ADDR_V4, .b = { 10, 9, 8, 7 } };
	from.local_if = 3;
	peer_set_source(t->a.worker, t->a.peer, &from);
	local = source_of(t->a.peer);
	CHECK(ip_addr_equal(&from.local, &local));
	route = atomic_load(&t->a.peer->route);
	peer_set_source(t->a.worker, t->a.peer, &from);
	CHECK(atomic_load(&t->a.peer->route) == route); /* nothing new, nothing made */
	engine_source_failed(t->a.worker, t->a.peer);
	CHECK(source_of(t->a.peer).family == ADDR_NONE);
	CHECK(endpoint_same_remote(&atomic_load(&t->a.peer->route)->to, &from));
	engine_source_failed(t->a.worker, NULL); /* a message to nobody in particular */
	ends_done(t);
}

static void each_part_of_a_new_source_moves_the_peer(void)
{
	struct ends *t = ends_up();
	struct endpoint from = t->b.address;
	struct route *before = NULL;

	for (int part = 0; part < 4; part++) {
		before = atomic_load(&t->a.peer->route);
		if (part == 0)
			from.port++; /* W15: a port alone counts */
		else if (part == 1)
			from.ip.b[3]++;
		else if (part == 2)
			from.local = (struct ip_addr){ .family = ADDR_V4, .b = { 1 } };
		else
			from.local_if++;
		peer_set_source(t->a.worker, t->a.peer, &from);
		CHECK(atomic_load(&t->a.peer->route) != before);
		CHECK(endpoint_same_remote(&atomic_load(&t->a.peer->route)->to, &from));
	}
	ends_done(t);
}

/* ---- budget ---- */

static size_t sent_of(struct ends *t, int tries, uint32_t len)
{
	size_t n = 0;

	for (int i = 0; i < tries; i++) {
		end_send_one(t, &t->a, false, 2, 0, len);
		n += t->a.n_out;
	}
	return n;
}

static void a_budget_stops_both_directions_when_it_is_used_up(void)
{
	struct ends *t = ends_up();
	struct engine_counters c;

	engine_peer_set_budget(t->a.peer, 1000);
	CHECK(sent_of(t, 20, 100) == 10);
	CHECK(atomic_load(&t->a.peer->budget) == 0);
	engine_counters(t->a.engine, &c);
	CHECK(c.over_budget == 10);
	end_send_one(t, &t->b, false, 1, 0, 100);
	end_hear(t, &t->a, &t->b.address, t->b.out[0].data, t->b.out[0].len);
	CHECK(t->a.n_in == 0);
	engine_peer_set_budget(t->a.peer, 100);
	end_send_one(t, &t->b, false, 1, 0, 100);
	end_hear(t, &t->a, &t->b.address, t->b.out[0].data, t->b.out[0].len);
	CHECK(t->a.n_in == 1 && atomic_load(&t->a.peer->budget) == 0);
	engine_peer_set_budget(t->a.peer, UINT64_MAX); /* none */
	CHECK(sent_of(t, 20, 100) == 20 && atomic_load(&t->a.peer->budget) == INT64_MAX);
	ends_done(t);
}

static void what_the_budget_refuses_is_not_counted_as_used(void)
{
	struct ends *t = ends_up();
	struct engine_peer_info before, after;

	engine_peer_set_budget(t->a.peer, 0);
	engine_peer_info(t->a.peer, &before);
	for (int i = 0; i < 5; i++) {
		end_send_one(t, &t->b, false, 1, 0, 100);
		end_hear(t, &t->a, &t->b.address, t->b.out[0].data, t->b.out[0].len);
	}
	CHECK(sent_of(t, 5, 100) == 0);
	engine_peer_info(t->a.peer, &after);
	CHECK(after.drops == before.drops + 10);
	CHECK(after.rx_bytes == before.rx_bytes && after.tx_bytes == before.tx_bytes);
	engine_peer_set_budget(t->a.peer, UINT64_MAX);
	end_send_one(t, &t->b, false, 1, 0, 100);
	end_hear(t, &t->a, &t->b.address, t->b.out[0].data, t->b.out[0].len);
	engine_peer_info(t->a.peer, &after);
	CHECK(after.rx_bytes == before.rx_bytes + t->b.out[0].len);
	ends_done(t);
}

/* Keepalives and handshakes keep a peer alive that has used up its budget. */
static void a_budget_of_zero_does_not_end_the_key(void)
{
	struct ends *t = ends_up();

	engine_peer_set_budget(t->a.peer, 0);
	CHECK(sent_of(t, 5, 100) == 0);
	engine_peer_greet(t->a.worker, t->a.peer);
	end_keep(&t->a, t->now_ns);
	CHECK(t->a.n_out == 1 && t->a.out[0].len == MESSAGE_DATA_MIN);
	ends_done(t);
}

static void the_budget_that_is_left_is_told(void)
{
	struct ends *t = ends_up();
	struct engine_peer_info info;

	engine_peer_info(t->a.peer, &info);
	CHECK(info.budget_bytes == UINT64_MAX);
	engine_peer_set_budget(t->a.peer, 250);
	CHECK(sent_of(t, 5, 100) == 2);
	engine_peer_info(t->a.peer, &info);
	CHECK(info.budget_bytes == 50 && info.drops == 3);
	ends_done(t);
}

/* ---- rate ---- */

/* Offered ten times as much, in steps of @step, for 10 s. Return: octets that passed. */
static uint64_t passed_in_10_s(uint64_t bps, uint64_t step_ns, uint32_t len)
{
	struct ends *t = ends_up();
	uint64_t passed = 0, end = t->now_ns + 10 * ENGINE_SECOND;
	uint64_t per_step = 10 * bps / 8 * step_ns / ENGINE_SECOND / len + 1;

	engine_peer_set_rate(t->a.peer, bps);
	for (; t->now_ns < end; t->now_ns += step_ns)
		for (uint64_t i = 0; i < per_step; i++)
			passed +=
				peer_may_pass(t->a.worker, t->a.peer, t->now_ns, len) ? len : 0;
	ends_done(t);
	return passed;
}

static void a_rate_lets_pass_what_it_says_whatever_the_steps(void)
{
	static const struct {
		uint64_t bps, step_ns;
		uint32_t len;
	} cases[] = {
		{ 8000000, 1000000, 1400 },    { 8000000, 10000000, 1400 },
		{ 8000000, 1000000, 64 },      { 80000000, 1000000, 65000 },
		{ 1000000000, 1000000, 1400 }, { 64000, 50000000, 200 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t want = cases[i].bps / 8 * 10;
		uint64_t got = passed_in_10_s(cases[i].bps, cases[i].step_ns, cases[i].len);

		if (got < want * 98 / 100 || got > want * 102 / 100 + 2 * cases[i].len)
			printf("# %llu bit/s in steps of %llu ns: %llu octets of %llu\n",
			       (unsigned long long)cases[i].bps,
			       (unsigned long long)cases[i].step_ns, (unsigned long long)got,
			       (unsigned long long)want);
		CHECK(got >= want * 98 / 100 && got <= want * 102 / 100 + 2 * cases[i].len);
	}
}

static void no_rate_lets_pass_everything(void)
{
	struct ends *t = ends_up();

	for (int i = 0; i < 10000; i++)
		CHECK(peer_may_pass(t->a.worker, t->a.peer, t->now_ns, 65535));
	ends_done(t);
}

/* A sleeping peer does not save up: after an hour it gets a burst, not an hour's worth. */
static void a_rate_does_not_save_up(void)
{
	struct ends *t = ends_up();
	uint64_t passed = 0;

	engine_peer_set_rate(t->a.peer, 8000000); /* a megabyte a second */
	CHECK(peer_may_pass(t->a.worker, t->a.peer, t->now_ns, 1000));
	t->now_ns += 3600 * ENGINE_SECOND;
	for (int i = 0; i < 10000; i++)
		passed += peer_may_pass(t->a.worker, t->a.peer, t->now_ns, 1000) ? 1000 : 0;
	CHECK(passed >= 100000 && passed <= 102000); /* a tenth of a second */
	ends_done(t);
}

static void what_the_rate_refuses_costs_no_budget(void)
{
	struct ends *t = ends_up();
	uint64_t passed = 0;

	engine_peer_set_rate(t->a.peer, 8000);
	engine_peer_set_budget(t->a.peer, 1000000);
	for (int i = 0; i < 1000; i++)
		passed += peer_may_pass(t->a.worker, t->a.peer, t->now_ns, 100) ? 100 : 0;
	CHECK(passed < 1000);
	CHECK(atomic_load(&t->a.peer->budget) == 1000000 - (int64_t)passed);
	ends_done(t);
}

static void extreme_rates_are_harmless(void)
{
	static const uint64_t rates[] = { 1, 2, 7, UINT64_MAX / 2, UINT64_MAX };
	struct ends *t = ends_up();

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		engine_peer_set_rate(t->a.peer, rates[i]);
		t->now_ns += UINT64_C(1000000) * ENGINE_SECOND; /* one bit a second owes long */
		CHECK(peer_may_pass(t->a.worker, t->a.peer, t->now_ns, 65535));
	}
	for (int i = 0; i < 100; i++)
		CHECK(peer_may_pass(t->a.worker, t->a.peer, t->now_ns, 65535));
	ends_done(t);
}

/* ---- what changed ---- */

static void changes_are_told_once_and_by_kind(void)
{
	struct ends *t = ends_new();

	(void)engine_peer_changes(t->a.peer);
	CHECK(engine_peer_changes(t->a.peer) == 0);
	engine_peer_greet(t->a.worker, t->a.peer);
	ends_talk(t);
	CHECK(engine_peer_changes(t->a.peer) & ENGINE_CHANGED_HANDSHAKE);
	CHECK(engine_peer_changes(t->a.peer) == 0);
	end_send_one(t, &t->a, false, 2, 0, 100);
	CHECK(engine_peer_changes(t->a.peer) == ENGINE_CHANGED_TRAFFIC);
	CHECK(engine_peer_set_endpoint(t->a.worker, t->a.peer, &t->a.address) == 0);
	CHECK(engine_peer_changes(t->a.peer) == ENGINE_CHANGED_ENDPOINT);
	CHECK(engine_peer_changes(t->a.peer) == 0);
	ends_done(t);
}

/* The allocator likes to give back the place that was freed last. */
static void a_place_in_the_memory_of_an_older_one_is_still_a_change(void)
{
	struct ends *t = ends_new();
	struct endpoint to = t->b.address;

	engine_peer_changes(t->a.peer);
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k < 1 + i % 4; k++) {
			to.port++;
			CHECK(engine_peer_set_endpoint(t->a.worker, t->a.peer, &to) == 0);
			end_keep(&t->a, t->now_ns); /* frees the one before */
		}
		CHECK(engine_peer_changes(t->a.peer) & ENGINE_CHANGED_ENDPOINT);
		CHECK(!(engine_peer_changes(t->a.peer) & ENGINE_CHANGED_ENDPOINT));
	}
	ends_done(t);
}

int main(void)
{
	RUN(every_peer_is_found_by_its_key_and_listed_in_order);
	RUN(our_own_key_and_no_key_are_refused);
	RUN(a_peer_that_is_removed_while_it_waits_for_the_keeper_is_freed_once);
	RUN(a_data_thread_may_kick_a_peer_that_the_keeper_has_let_go);
	RUN(what_was_reserved_serves_the_next_peers);
	RUN(a_source_is_kept_until_it_is_forgotten_and_the_destination_stays);
	RUN(each_part_of_a_new_source_moves_the_peer);
	RUN(a_budget_stops_both_directions_when_it_is_used_up);
	RUN(what_the_budget_refuses_is_not_counted_as_used);
	RUN(a_budget_of_zero_does_not_end_the_key);
	RUN(the_budget_that_is_left_is_told);
	RUN(a_rate_lets_pass_what_it_says_whatever_the_steps);
	RUN(no_rate_lets_pass_everything);
	RUN(a_rate_does_not_save_up);
	RUN(what_the_rate_refuses_costs_no_budget);
	RUN(extreme_rates_are_harmless);
	RUN(changes_are_told_once_and_by_kind);
	RUN(a_place_in_the_memory_of_an_older_one_is_still_a_change);
	return DONE();
}
