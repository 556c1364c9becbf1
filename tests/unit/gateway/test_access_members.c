/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "gateway/access_members.h"

enum { IDS = 300 };

static uint64_t state = 88172645463325252;

/* xorshift64: the same row each time. */
static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static bool agree(const struct access_members *m, const int64_t lists[IDS])
{
	size_t n = 0;

	for (int64_t i = 0; i < IDS; i++) {
		const struct access_member *found = access_members_find(m, i + 1);

		if ((found != NULL) != (lists[i] != 0))
			return false;
		if (found && (found->id != i + 1 || found->own != lists[i]))
			return false;
		n += found != NULL;
	}
	return n == m->n;
}

/* The model is an array; ids are few, so that places are shared and gaps closed all the time. */
static void it_holds_what_a_plain_array_holds(void)
{
	struct access_members m = { .table = NULL };
	int64_t lists[IDS] = { 0 };
	bool good = true;

	for (uint32_t step = 1; step < 40000 && good; step++) {
		int64_t i = (int64_t)(draw() % IDS);

		if (draw() % 2) {
			lists[i] = step;
			access_members_put(&m, i + 1)->own = step;
		} else {
			lists[i] = 0;
			access_members_remove(&m, i + 1);
		}
		good = step % 16 || agree(&m, lists);
	}
	CHECK(good && agree(&m, lists) && m.capacity <= 1024);
	access_members_done(&m);
	CHECK(m.n == 0 && !access_members_find(&m, 1));
}

static void it_grows_with_a_hundred_thousand(void)
{
	struct access_members m = { .table = NULL };
	size_t found = 0;

	for (int64_t id = 1; id <= 100000; id++)
		access_members_put(&m, id << 20)->now = (uint32_t)id;
	for (int64_t id = 1; id <= 100000; id++)
		found += access_members_find(&m, id << 20)->now == (uint32_t)id;
	CHECK(found == 100000 && m.n == 100000);
	for (int64_t id = 1; id <= 100000; id += 2)
		access_members_remove(&m, id << 20);
	found = 0;
	for (int64_t id = 1; id <= 100000; id++)
		found += access_members_find(&m, id << 20) != NULL;
	CHECK(found == 50000 && m.n == 50000);
	access_members_done(&m);
}

static void nobody_has_no_number(void)
{
	struct access_members m = { .table = NULL };

	CHECK(!access_members_find(&m, 0) && !access_members_find(&m, 5));
	access_members_remove(&m, 5);
	CHECK(access_members_put(&m, 5) && !access_members_find(&m, 0));
	access_members_done(&m);
}

int main(void)
{
	RUN(it_holds_what_a_plain_array_holds);
	RUN(it_grows_with_a_hundred_thousand);
	RUN(nobody_has_no_number);
	return DONE();
}
