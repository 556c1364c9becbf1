/* SPDX-License-Identifier: Apache-2.0 */
/* The trie against a list of prefixes searched from end to end. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <sched.h>

#include "../test.h"
#include "engine/allowed_ips.h"

static struct epoch epoch;
static struct allowed_ips *table;
static struct allowed_ips_owner owners[6];

static void begin(void)
{
	memset(owners, 0, sizeof(owners));
	epoch_init(&epoch);
	CHECK(allowed_ips_new(&epoch, &table) == 0);
}

static void end(void)
{
	table = allowed_ips_free(table);
	epoch_done(&epoch);
}

static struct ip_prefix v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint8_t bits)
{
	return (struct ip_prefix){ .ip = { .family = ADDR_V4, .b = { a, b, c, d } },
				   .bits = bits };
}

/* Two octets at either end are enough to say what the tests need. */
static struct ip_prefix v6(uint8_t a, uint8_t b, uint8_t y, uint8_t z, uint8_t bits)
{
	return (struct ip_prefix){
		.ip = { .family = ADDR_V6, .b = { a, b, [14] = y, [15] = z } }, .bits = bits
	};
}

static void insert(struct ip_prefix p, int owner)
{
	CHECK(allowed_ips_insert(table, &p, &owners[owner]) == 0);
}

static void removed(struct ip_prefix p, int owner)
{
	allowed_ips_remove(table, &p, &owners[owner]);
}

/* Number of the owner of an address, -1 for nobody. */
static int owner4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	struct allowed_ips_owner *o = allowed_ips_find4(table, (uint8_t[]){ a, b, c, d });

	return o ? (int)(o - owners) : -1;
}

static int owner6(uint8_t a, uint8_t b, uint8_t y, uint8_t z)
{
	struct ip_prefix p = v6(a, b, y, z, 128);
	struct allowed_ips_owner *o = allowed_ips_find6(table, p.ip.b);

	CHECK(o == allowed_ips_find(table, &p.ip));
	return o ? (int)(o - owners) : -1;
}

static void the_longest_prefix_wins(void)
{
	begin();
	insert(v4(10, 0, 0, 0, 8), 1);
	insert(v4(10, 1, 0, 0, 16), 2);
	insert(v4(10, 1, 2, 3, 32), 3);
	insert(v4(0, 0, 0, 0, 0), 0);
	CHECK(owner4(10, 9, 9, 9) == 1);
	CHECK(owner4(10, 1, 9, 9) == 2);
	CHECK(owner4(10, 1, 2, 3) == 3);
	CHECK(owner4(10, 1, 2, 4) == 2);
	CHECK(owner4(11, 0, 0, 0) == 0);
	CHECK(owner6(0, 0, 0, 0) == -1); /* families do not mix */
	insert(v6(0xfd, 1, 0, 0, 16), 1);
	insert(v6(0xfd, 1, 0, 7, 128), 2);
	insert(v6(0xfd, 0, 0, 0, 9), 3);
	CHECK(owner6(0xfd, 1, 0, 1) == 1);
	CHECK(owner6(0xfd, 1, 0, 7) == 2);
	CHECK(owner6(0xfd, 0x7f, 0, 7) == 3);
	CHECK(owner6(0xfd, 0x80, 0, 7) == -1);
	CHECK(owner6(0x20, 1, 0, 7) == -1);
	end();
}

/* W35: the answer is the most specific owner, so a peer does not speak for a hole in its net. */
static void a_more_specific_prefix_takes_addresses_from_another_owner(void)
{
	begin();
	insert(v4(192, 168, 0, 0, 16), 1);
	insert(v4(192, 168, 4, 0, 22), 2);
	insert(v4(192, 168, 5, 0, 24), 1);
	insert(v4(192, 168, 5, 128, 25), 2);
	CHECK(owner4(192, 168, 3, 255) == 1);
	CHECK(owner4(192, 168, 4, 0) == 2);
	CHECK(owner4(192, 168, 5, 127) == 1);
	CHECK(owner4(192, 168, 5, 128) == 2);
	CHECK(owner4(192, 168, 7, 255) == 2);
	CHECK(owner4(192, 168, 8, 0) == 1);
	end();
}

static void host_bits_are_masked(void)
{
	const struct allowed_ips_node *n;
	struct ip_prefix p;

	begin();
	insert(v4(10, 1, 2, 3, 13), 1);
	CHECK(owner4(10, 7, 255, 255) == 1);
	CHECK(owner4(10, 8, 0, 0) == -1);
	n = allowed_ips_next(&owners[1], NULL);
	allowed_ips_prefix(n, &p);
	CHECK(memcmp(&p, &(struct ip_prefix){ { ADDR_V4, { 10 } }, 13 }, sizeof(p)) == 0);
	removed(v4(10, 0, 9, 9, 13), 1);
	CHECK(owner4(10, 7, 255, 255) == -1);
	end();
}

static void inserting_again_moves_a_prefix_to_its_new_owner(void)
{
	begin();
	insert(v4(10, 0, 0, 1, 32), 1);
	insert(v4(10, 0, 0, 1, 32), 2);
	CHECK(owner4(10, 0, 0, 1) == 2);
	CHECK(allowed_ips_count(&owners[1]) == 0);
	CHECK(allowed_ips_count(&owners[2]) == 1);
	removed(v4(10, 0, 0, 1, 32), 1); /* not its own any more: nothing happens */
	CHECK(owner4(10, 0, 0, 1) == 2);
	end();
}

static void removing_brings_back_the_next_longest(void)
{
	begin();
	for (uint8_t bits = 0; bits <= 32; bits++)
		insert(v4(10, 20, 30, 40, bits), bits % 5);
	for (uint8_t bits = 32; bits > 0; bits--) {
		CHECK(owner4(10, 20, 30, 40) == bits % 5);
		removed(v4(10, 20, 30, 40, bits), bits % 5);
	}
	CHECK(owner4(200, 0, 0, 0) == 0);
	removed(v4(0, 0, 0, 0, 0), 0);
	CHECK(owner4(10, 20, 30, 40) == -1);
	end();
}

static void lists_keep_the_order_of_insertion(void)
{
	const struct allowed_ips_node *n = NULL;
	struct ip_prefix p;

	begin();
	insert(v4(10, 0, 0, 9, 32), 1);
	insert(v6(0xfd, 0, 0, 1, 64), 1);
	insert(v4(10, 0, 0, 1, 32), 1);
	insert(v4(10, 0, 0, 5, 32), 2);
	insert(v4(10, 0, 0, 9, 32), 1); /* was here already: stays first */
	insert(v4(10, 0, 0, 5, 32), 1); /* comes from another: goes last */
	const uint8_t want[] = { 9, 0, 1, 5 };

	for (int i = 0; i < 4; i++) {
		n = allowed_ips_next(&owners[1], n);
		allowed_ips_prefix(n, &p);
		CHECK(p.ip.b[3] == want[i]);
		CHECK(p.ip.family == (i == 1 ? ADDR_V6 : ADDR_V4));
	}
	CHECK(!allowed_ips_next(&owners[1], n));
	CHECK(allowed_ips_count(&owners[1]) == 4);
	allowed_ips_remove_all(table, &owners[1]);
	CHECK(!allowed_ips_next(&owners[1], NULL));
	CHECK(owner4(10, 0, 0, 9) == -1);
	end();
}

static void refuses_what_is_not_a_prefix(void)
{
	struct ip_prefix p = v4(1, 2, 3, 4, 33);
	struct ip_addr none = { 0 };

	begin();
	CHECK(allowed_ips_insert(table, &p, &owners[0]) != 0);
	p = (struct ip_prefix){ 0 };
	CHECK(allowed_ips_insert(table, &p, &owners[0]) != 0);
	allowed_ips_remove(table, &p, &owners[0]);
	CHECK(!allowed_ips_find(table, &none));
	CHECK(allowed_ips_count(&owners[0]) == 0);
	end();
}

/* ---- the model ---- */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

enum { MODEL_MAX = 250 };

static struct {
	struct ip_prefix prefix;
	int owner;
} model[MODEL_MAX];
static int n_model;

static int model_find(const struct ip_prefix *p)
{
	for (int i = 0; i < n_model; i++) {
		if (memcmp(&model[i].prefix, p, sizeof(*p)) == 0)
			return i;
	}
	return -1;
}

/* Bit by bit, in no way clever. */
static bool model_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
	if (p->ip.family != a->family)
		return false;
	for (unsigned int i = 0; i < p->bits; i++) {
		if ((p->ip.b[i / 8] ^ a->b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	}
	return true;
}

static int model_owner(const struct ip_addr *a)
{
	int best = -1, bits = -1;

	for (int i = 0; i < n_model; i++) {
		if (model[i].prefix.bits > bits && model_contains(&model[i].prefix, a)) {
			best = model[i].owner;
			bits = model[i].prefix.bits;
		}
	}
	return best;
}

/* An address whose octets come from a few values, so that prefixes nest and collide. */
static struct ip_prefix pick(uint64_t *seed)
{
	static const uint8_t few[] = { 0, 1, 2, 3, 16, 127, 128, 255 };
	struct ip_prefix p = { .ip.family = next_random(seed) % 2 ? ADDR_V4 : ADDR_V6 };
	unsigned int octets = p.ip.family == ADDR_V4 ? 4 : 16;
	unsigned int plain = (unsigned int)next_random(seed) % (octets + 1);

	for (unsigned int i = 0; i < octets; i++)
		p.ip.b[i] = i < plain ? 10 : few[next_random(seed) % 8];
	p.bits = (uint8_t)(next_random(seed) % (octets * 8 + 1));
	if (next_random(seed) % 4 == 0)
		p.bits = (uint8_t)(octets * 8);
	for (unsigned int i = p.bits; i < octets * 8; i++)
		p.ip.b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	return p;
}

static void model_step(uint64_t *seed)
{
	struct ip_prefix p = pick(seed);
	int owner = (int)(next_random(seed) % 6);
	bool again = next_random(seed) % 2 && n_model > 0;
	int at = again ? (int)(next_random(seed) % (uint64_t)n_model) : model_find(&p);

	if (again)
		p = model[at].prefix;
	if (next_random(seed) % 100 < 55 && (at >= 0 || n_model < MODEL_MAX)) {
		insert(p, owner);
		at = at < 0 ? n_model++ : at;
		model[at].prefix = p;
		model[at].owner = owner;
	} else {
		removed(p, owner);
		if (at >= 0 && model[at].owner == owner)
			model[at] = model[--n_model];
	}
}

static void compare_lookup(uint64_t *seed)
{
	struct ip_prefix p = pick(seed);
	struct allowed_ips_owner *o;

	if (next_random(seed) % 2 && n_model > 0) {
		p.ip = model[next_random(seed) % (uint64_t)n_model].prefix.ip;
		unsigned int bit = (unsigned int)next_random(seed) % ip_addr_bits(&p.ip);

		p.ip.b[bit / 8] ^= (uint8_t)(0x80u >> bit % 8);
	}
	o = allowed_ips_find(table, &p.ip);
	CHECK((o ? (int)(o - owners) : -1) == model_owner(&p.ip));
}

static void compare_lists(void)
{
	size_t total = 0;

	for (int i = 0; i < 6; i++) {
		const struct allowed_ips_node *n = NULL;

		while ((n = allowed_ips_next(&owners[i], n)) != NULL) {
			struct ip_prefix p;
			int at;

			allowed_ips_prefix(n, &p);
			at = model_find(&p);
			CHECK(at >= 0 && model[at].owner == i);
			total++;
		}
	}
	CHECK(total == (size_t)n_model);
}

static void forget_owner(int owner)
{
	allowed_ips_remove_all(table, &owners[owner]);
	for (int i = n_model - 1; i >= 0; i--) {
		if (model[i].owner == owner)
			model[i] = model[--n_model];
	}
}

static void agrees_with_a_list_of_prefixes(void)
{
	long rounds = getenv("CULVERT_SOAK") ? 10000000 : 100000;
	uint64_t seed = 4;

	begin();
	n_model = 0;
	for (long i = 0; i < rounds; i++) {
		model_step(&seed);
		for (int k = 0; k < 2; k++)
			compare_lookup(&seed);
		if (i % 997 == 0)
			compare_lists();
		if (i % 4999 == 0)
			forget_owner((int)(next_random(&seed) % 6));
		if (i % 64 == 0)
			epoch_reclaim(&epoch);
	}
	for (int i = 0; i < 6; i++)
		forget_owner(i);
	CHECK(n_model == 0);
	for (int k = 0; k < 100; k++)
		compare_lookup(&seed);
	end();
}

/* ---- memory and speed ---- */

static void a_reservation_covers_the_inserts_it_was_made_for(void)
{
	uint64_t seed = 12;
	size_t held;

	begin();
	for (int round = 0; round < 20; round++) {
		CHECK(allowed_ips_reserve(table, 500) == 0);
		held = allowed_ips_size_bytes(table);
		for (int i = 0; i < 500; i++)
			insert(pick(&seed), round % 6);
		CHECK(allowed_ips_size_bytes(table) == held);
		if (round % 5 == 4)
			allowed_ips_remove_all(table, &owners[round % 6]);
	}
	end();
}

static void a_reservation_nobody_can_meet_changes_nothing(void)
{
	begin();
	insert(v4(10, 0, 0, 1, 32), 1);
	CHECK(allowed_ips_reserve(table, SIZE_MAX / 64) != 0);
	CHECK(owner4(10, 0, 0, 1) == 1);
	end();
}

static void what_one_prefix_gives_up_serves_the_next(void)
{
	size_t held = 0;

	begin();
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 2000; i++)
			insert(v4(10, (uint8_t)round, (uint8_t)(i >> 8), (uint8_t)i, 32), 0);
		allowed_ips_remove_all(table, &owners[0]);
		epoch_reclaim(&epoch);
		held = round ? held : allowed_ips_size_bytes(table);
		CHECK(allowed_ips_size_bytes(table) == held);
	}
	end();
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static uint32_t nth_address(uint32_t i, bool scattered)
{
	return scattered ? i * UINT32_C(2654435761) : UINT32_C(0x0a000000) + i;
}

static struct ip_prefix single(uint32_t address)
{
	return v4((uint8_t)(address >> 24), (uint8_t)(address >> 16), (uint8_t)(address >> 8),
		  (uint8_t)address, 32);
}

static void measure(uint32_t n, bool scattered)
{
	double t0, t1, t2;
	uint64_t seed = 5;
	size_t wrong = 0;
	struct allowed_ips_owner *many = calloc(n, sizeof(*many));

	begin();
	t0 = seconds();
	CHECK(allowed_ips_reserve(table, n) == 0);
	for (uint32_t i = 0; i < n; i++) {
		struct ip_prefix p = single(nth_address(i, scattered));

		allowed_ips_insert(table, &p, &many[i]);
	}
	t1 = seconds();
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = (uint32_t)next_random(&seed) % n;
		struct ip_prefix p = single(nth_address(i, scattered));

		wrong += allowed_ips_find4(table, p.ip.b) != &many[i];
	}
	t2 = seconds();
	CHECK(wrong == 0);
	for (uint32_t i = 0; i < n; i++)
		allowed_ips_remove_all(table, &many[i]);
	printf("# %u /32 %s: insert %.1f ms, find %.0f ns each, remove %.1f ms\n", n,
	       scattered ? "scattered" : "in a row", (t1 - t0) * 1e3,
	       (t2 - t1) * 1e9 / (double)n, (seconds() - t2) * 1e3);
	CHECK(!allowed_ips_find4(table, single(nth_address(7, scattered)).ip.b));
	end();
	free(many);
}

static void holds_a_hundred_thousand_addresses(void)
{
	measure(100000, false);
	measure(100000, true);
}

/*
 * Threads: two readers look up while one thread inserts, moves and removes. Addresses under
 * 10.0.0.0/8 have an owner at every moment, whatever nests below; it is one of the legal ones.
 */
static struct {
	struct epoch_reader reader[2];
	_Atomic bool stop;
	_Atomic uint64_t lookups, wrong;
} churn;

static void *look_up(void *arg)
{
	struct epoch_reader *r = arg;
	uint64_t seed = (uintptr_t)arg;

	epoch_online(&epoch, r);
	while (!atomic_load_explicit(&churn.stop, memory_order_relaxed)) {
		for (int i = 0; i < 256; i++) {
			uint64_t dice = next_random(&seed);
			struct allowed_ips_owner *o = allowed_ips_find4(
				table, (uint8_t[]){ 10, 0, (uint8_t)(dice & 3),
						    (uint8_t)(dice >> 8 & 0x3f) });

			if (o < owners || o >= owners + 6)
				atomic_fetch_add(&churn.wrong, 1);
		}
		atomic_fetch_add(&churn.lookups, 256);
		epoch_quiet(&epoch, r);
	}
	epoch_offline(&epoch, r);
	return NULL;
}

static void change_everything(uint64_t *seed)
{
	struct ip_prefix p = v4(10, 0, next_random(seed) & 3, next_random(seed) & 0x3f,
				(uint8_t)(16 + next_random(seed) % 17));
	int owner = 1 + (int)(next_random(seed) % 5);

	if (next_random(seed) % 2)
		insert(p, owner);
	else
		removed(p, owner);
	if (next_random(seed) % 512 == 0)
		allowed_ips_remove_all(table, &owners[owner]);
}

static void readers_always_find_an_owner_while_the_trie_changes(void)
{
	uint64_t rounds = getenv("CULVERT_SOAK") ? 20000000 : 100000;
	uint64_t seed = 3;
	pthread_t threads[2];

	begin();
	insert(v4(10, 0, 0, 0, 8), 0);
	for (int i = 0; i < 2; i++) {
		epoch_register(&epoch, &churn.reader[i]);
		pthread_create(&threads[i], NULL, look_up, &churn.reader[i]);
	}
	for (uint64_t i = 0; i < rounds || atomic_load(&churn.lookups) < 10000; i++) {
		change_everything(&seed);
		if (i % 64 == 0)
			epoch_reclaim(&epoch);
		if (i % 1024 == 0)
			sched_yield();
	}
	atomic_store(&churn.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(atomic_load(&churn.wrong) == 0);
	end();
}

int main(void)
{
	RUN(the_longest_prefix_wins);
	RUN(a_more_specific_prefix_takes_addresses_from_another_owner);
	RUN(host_bits_are_masked);
	RUN(inserting_again_moves_a_prefix_to_its_new_owner);
	RUN(removing_brings_back_the_next_longest);
	RUN(lists_keep_the_order_of_insertion);
	RUN(refuses_what_is_not_a_prefix);
	RUN(agrees_with_a_list_of_prefixes);
	RUN(a_reservation_covers_the_inserts_it_was_made_for);
	RUN(a_reservation_nobody_can_meet_changes_nothing);
	RUN(what_one_prefix_gives_up_serves_the_next);
	RUN(holds_a_hundred_thousand_addresses);
	RUN(readers_always_find_an_owner_while_the_trie_changes);
	return DONE();
}
