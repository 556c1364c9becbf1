/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/peers.h"

static struct peers *fresh(void)
{
	struct peers *p = NULL;

	if (peers_new(&p) != 0)
		abort();
	return p;
}

static struct peer numbered(uint32_t n)
{
	struct peer p = {
		.id = n,
		.status = n % 3 ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED,
		.v4 = { ADDR_V4, { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n } },
	};

	memcpy(p.public_key, &n, sizeof(n));
	if (n % 2)
		snprintf(p.name, sizeof(p.name), "peer %u", n);
	if (n % 5) {
		p.v6 = (struct ip_addr){ ADDR_V6, { 0xfd } };
		memcpy(p.v6.b + 12, &n, sizeof(n));
	}
	return p;
}

static struct peer *add(struct peers *p, uint32_t n)
{
	struct peer init = numbered(n), *peer = NULL;

	CHECK(peers_add(p, &init, &peer) == 0);
	return peer;
}

static void a_peer_is_found_by_everything_it_has(void)
{
	struct peers *p = fresh();
	struct peer *peer = add(p, 7), *other = add(p, 10);
	struct peer seven = numbered(7);

	CHECK(peers_find_key(p, seven.public_key) == peer);
	CHECK(peers_find_id(p, 7) == peer);
	CHECK(peers_find_name(p, "peer 7") == peer);
	CHECK(peers_find_address(p, &seven.v4) == peer);
	CHECK(peers_find_address(p, &seven.v6) == peer);
	CHECK(!peers_find_name(p, "") && !peers_find_id(p, 0)); /* @other has no name */
	CHECK(!peers_find_name(p, "peer 8") && !peers_find_id(p, 8));
	CHECK(!peers_find_address(p, &(struct ip_addr){ .family = ADDR_NONE }));
	CHECK(!peers_find_address(p, &(struct ip_addr){ ADDR_V4, { 10, 0, 0, 8 } }));
	peers_remove(p, peer);
	CHECK(!peers_find_key(p, seven.public_key) && !peers_find_name(p, "peer 7"));
	CHECK(!peers_find_address(p, &seven.v4) && !peers_find_address(p, &seven.v6));
	CHECK(peers_count(p) == 1 && peers_after(p, 0) == other);
	peers_free(p);
}

static void nothing_belongs_to_two(void)
{
	struct peers *p = fresh();
	struct peer *peer = add(p, 7), *none = NULL;

	for (int i = 0; i < 5; i++) {
		struct peer init = numbered(11);

		switch (i) {
		case 0:
			memcpy(init.public_key, peer->public_key, 32);
			break;
		case 1:
			init.id = 7;
			break;
		case 2:
			memcpy(init.name, peer->name, sizeof(init.name));
			break;
		case 3:
			init.v4 = peer->v4;
			break;
		default:
			init.v6 = peer->v6;
			break;
		}
		CHECK(peers_add(p, &init, &none) == ERR_EXISTS);
	}
	CHECK(!none && peers_count(p) == 1);
	add(p, 11);
	peers_free(p);
}

static void the_list_goes_by_id_also_when_ids_come_late(void)
{
	struct peers *p = fresh();
	struct peer late = numbered(0), *peer = NULL;

	add(p, 5);
	add(p, 2);
	late.id = 0;
	memcpy(late.public_key, "late", 4);
	late.v4.family = ADDR_NONE;
	CHECK(peers_add(p, &late, &peer) == 0);
	add(p, 9);
	CHECK(peers_after(p, 0)->id == 2 && peers_after(p, 2)->id == 5 &&
	      peers_after(p, 5)->id == 9);
	peers_set_id(p, peer, 7);
	CHECK(peers_after(p, 5) == peer && peers_after(p, 7)->id == 9 && !peers_after(p, 9));
	CHECK(peers_find_id(p, 7) == peer);
	CHECK(peers_after(p, 3)->id == 5); /* 3 was never there */
	peers_remove(p, peers_find_id(p, 9));
	CHECK(!peers_after(p, 7));
	peers_remove(p, peers_find_id(p, 2));
	CHECK(peers_after(p, 0)->id == 5);
	peers_free(p);
}

static void counts_go_by_level(void)
{
	struct peers *p = NULL;
	struct peer init = { .id = 1, .public_key = { 1 }, .level = FRAME_HIGH }, *one = NULL;

	CHECK(peers_new(&p) == 0 && peers_add(p, &init, &one) == 0);
	CHECK(peers_count_level(p, FRAME_HIGH) == 1 && peers_count_level(p, FRAME_OFF) == 0);
	peers_remove(p, one);
	CHECK(peers_count_level(p, FRAME_HIGH) == 0);
	peers_free(p);
}

static void counts_follow_the_status(void)
{
	struct peers *p = fresh();
	struct peer *peer = add(p, 1), to;

	add(p, 3); /* suspended */
	CHECK(peers_count(p) == 2 && peers_count_active(p) == 1);
	to = *peer;
	to.status = STORE_PEER_SUSPENDED;
	CHECK(peers_replace(p, peer, &to) == 0 && peers_count_active(p) == 0);
	to.status = STORE_PEER_ACTIVE;
	CHECK(peers_replace(p, peer, &to) == 0 && peers_count_active(p) == 1);
	peers_remove(p, peer);
	CHECK(peers_count(p) == 1 && peers_count_active(p) == 0);
	peers_free(p);
}

/* A model: which numbers are in, and nothing else. */
static void random_operations_agree_with_a_set(void)
{
	enum { NUMBERS = 3000 };
	static bool in[NUMBERS];
	struct peers *p = fresh();
	uint64_t state = 77;
	size_t n = 0;

	printf("# seed %llu\n", (unsigned long long)state);
	for (int step = 0; step < 40000; step++) {
		state = state * 6364136223846793005U + 1442695040888963407U;

		uint32_t number = 1 + (uint32_t)(state >> 33) % (NUMBERS - 1);
		struct peer init = numbered(number), *peer;

		if (in[number]) {
			CHECK(peers_add(p, &init, &peer) == ERR_EXISTS);
			peers_remove(p, peers_find_id(p, number));
		} else {
			CHECK(peers_add(p, &init, &peer) == 0);
		}
		in[number] = !in[number];
		n = in[number] ? n + 1 : n - 1;
		CHECK(peers_count(p) == n);
	}

	int64_t last = 0;

	for (uint32_t number = 1; number < NUMBERS; number++) {
		struct peer init = numbered(number);
		struct peer *found = in[number] ? peers_find_id(p, number) : NULL;

		CHECK(!in[number] == !found);
		CHECK(peers_find_key(p, init.public_key) == found);
		CHECK(peers_find_address(p, &init.v4) == found);
		CHECK(peers_find_name(p, init.name) == (init.name[0] ? found : NULL));
		if (found) {
			CHECK(peers_after(p, last) == found);
			last = number;
		}
	}
	CHECK(!peers_after(p, last));
	peers_free(p);
}

int main(void)
{
	RUN(a_peer_is_found_by_everything_it_has);
	RUN(nothing_belongs_to_two);
	RUN(the_list_goes_by_id_also_when_ids_come_late);
	RUN(counts_follow_the_status);
	RUN(counts_go_by_level);
	RUN(random_operations_agree_with_a_set);
	return DONE();
}
