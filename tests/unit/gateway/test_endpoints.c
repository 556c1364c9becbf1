/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "gateway/endpoints.h"
#include "gateway/observer.h"

#define SECOND UINT64_C(1000000000)
#define WALL   (UINT64_C(1700000000) * SECOND)

static struct endpoint at(uint16_t port)
{
	struct endpoint e = { .port = port };

	e.ip.family = ADDR_V4;
	e.ip.b[0] = 192;
	return e;
}

/* Peer number @n, whose handshake was @age_s ago; port 0: no endpoint. */
static struct observed peer(uint8_t n, uint64_t age_s, uint16_t port)
{
	struct observed o = { .last_handshake_ns = WALL - age_s * SECOND };

	memset(o.public_key, n, 32);
	if (port)
		o.endpoint = at(port);
	return o;
}

/* Return: the port it is known at, 0: not known. */
static uint16_t known(struct endpoints *e, uint8_t n, uint64_t now_s)
{
	struct endpoints_entry found = { .endpoint.port = 0 };
	uint8_t key[32];

	memset(key, n, 32);
	return endpoints_find(e, key, now_s * SECOND, &found) ? found.endpoint.port : 0;
}

static void knows_where_the_living_are_and_nobody_else(void)
{
	struct endpoints *e = endpoints_new();
	const struct observed seen[] = { peer(1, 0, 1), peer(2, 179, 2), peer(3, 181, 3),
					 peer(4, 5, 0), peer(6, 1, 6) };

	CHECK(known(e, 1, 1) == 0);
	endpoints_note(e, seen, 5, SECOND, WALL);
	CHECK(known(e, 1, 1) == 1 && known(e, 2, 1) == 2 && known(e, 6, 1) == 6);
	CHECK(known(e, 3, 1) == 0 && known(e, 4, 1) == 0 && known(e, 5, 1) == 0);
	endpoints_free(e);
}

static void an_interface_that_lost_its_memory_does_not_take_ours(void)
{
	struct endpoints *e = endpoints_new();
	const struct observed before[] = { peer(1, 0, 1), peer(2, 0, 2), peer(3, 0, 3) };
	struct observed after[] = { peer(0, 0, 9), peer(2, 0, 7), peer(3, 0, 0) };

	endpoints_note(e, before, 3, SECOND, WALL);
	endpoints_note(e, NULL, 0, 2 * SECOND, WALL);
	CHECK(known(e, 1, 2) == 1 && known(e, 3, 2) == 3);
	after[2].last_handshake_ns = 0; /* as a peer is that was just set */
	endpoints_note(e, after, 3, 3 * SECOND, WALL);
	CHECK(known(e, 0, 3) == 9 && known(e, 1, 3) == 1);
	CHECK(known(e, 2, 3) == 7); /* moved */
	CHECK(known(e, 3, 3) == 3);
	endpoints_free(e);
}

static void what_is_old_is_forgotten(void)
{
	struct endpoints *e = endpoints_new();
	const struct observed one = peer(1, 0, 1), two = peer(2, 0, 2);

	endpoints_note(e, &one, 1, 10 * SECOND, WALL);
	endpoints_note(e, &two, 1, 100 * SECOND, WALL);
	CHECK(known(e, 1, 189) == 1);
	CHECK(known(e, 1, 190) == 0 && known(e, 2, 190) == 2);
	endpoints_note(e, NULL, 0, 200 * SECOND, WALL);
	CHECK(known(e, 2, 200) == 2);
	CHECK(known(e, 2, 280) == 0);
	endpoints_free(endpoints_free(e));
}

int main(void)
{
	RUN(knows_where_the_living_are_and_nobody_else);
	RUN(an_interface_that_lost_its_memory_does_not_take_ours);
	RUN(what_is_old_is_forgotten);
	return DONE();
}
