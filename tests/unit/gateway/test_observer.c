/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include <poll.h>

#include "../test.h"
#include "fake_iface.h"
#include "gateway/observer.h"

static const uint64_t SECOND = 1000000000;

static struct fake_iface fake;
static struct observer *o;

static struct {
	int calls;
	int err;
	size_t n, n_connected;
	bool has_seven;
	char heard[FRAME_NAME_MAX + 1]; /* how peer 7 was */
} seen;

static void on_done(void *context, int err, const struct observation *observation)
{
	CHECK(context == &seen);
	CHECK(!observation == (err != 0));
	seen.calls++;
	seen.err = err;
	if (!observation)
		return;
	seen.n = observation->n;
	seen.n_connected = observation->n_connected;

	const struct observed *seven = observation_find(observation, (const uint8_t[32]){ 7 });

	seen.has_seven = seven;
	if (seven)
		memcpy(seen.heard, seven->profile_heard, sizeof(seen.heard));
}

static void start(void)
{
	fake = (struct fake_iface){ .iface = { &fake_iface_ops }, .n = 10 };
	for (uint8_t i = 0; i < 10; i++)
		fake.peers[i].public_key[0] = (uint8_t)(10 - i);
	memset(&seen, 0, sizeof(seen));
	if (observer_new(&fake.iface, NULL, &o) != 0)
		abort();
}

static void wait_for(int calls, uint64_t now_ns)
{
	struct pollfd p = { .fd = observer_fd(o), .events = POLLIN };

	while (seen.calls < calls) {
		if (poll(&p, 1, 5000) != 1) {
			FAIL("an answer");
			return;
		}
		observer_collect(o, now_ns);
	}
}

static void sees_all_peers_and_who_connected(void)
{
	start();
	CHECK(observer_look(o, SECOND, on_done, &seen) == 0);
	wait_for(1, SECOND);
	CHECK(seen.err == 0 && seen.n == 10 && seen.n_connected == 5 && seen.has_seven);
	CHECK(seen.heard[0] == '\0');
	observer_free(o);
}

static void sees_how_a_peer_was_heard(void)
{
	start();
	memcpy(fake.peers[3].heard, "extreme.1", sizeof("extreme.1"));
	CHECK(observer_look(o, SECOND, on_done, &seen) == 0);
	wait_for(1, SECOND);
	CHECK(strcmp(seen.heard, "extreme.1") == 0);
	observer_free(o);
}

static void an_answer_is_good_for_a_moment(void)
{
	start();
	CHECK(observer_look(o, SECOND, on_done, &seen) == 0);
	wait_for(1, SECOND);
	CHECK(observer_look(o, SECOND + SECOND / 2, on_done, &seen) == 0);
	CHECK(seen.calls == 2 && fake.gets == 1); /* answered at once */
	CHECK(observer_look(o, 3 * SECOND, on_done, &seen) == 0);
	CHECK(seen.calls == 2);
	wait_for(3, 3 * SECOND);
	CHECK(fake.gets == 2);
	observer_free(o);
}

static void evicts_whom_the_interface_has_and_nobody_else(void)
{
	static const uint8_t seven[32] = { 7 }, stranger[32] = { 70 };

	start();
	CHECK(observer_evict(o, seven, on_done, &seen) == 0);
	wait_for(1, SECOND);
	CHECK(seen.err == 0 && fake.n == 9 && !fake_find(&fake, seven));
	CHECK(observer_evict(o, stranger, on_done, &seen) == 0);
	wait_for(2, SECOND);
	CHECK(seen.err == ERR_UNKNOWN && fake.n == 9);
	observer_free(o);
}

static void a_dead_interface_is_an_answer_too(void)
{
	start();
	fake.fail_gets = 1;
	CHECK(observer_look(o, SECOND, on_done, &seen) == 0);
	wait_for(1, SECOND);
	CHECK(seen.err == -EPIPE);
	CHECK(observer_look(o, SECOND, on_done, &seen) == 0);
	wait_for(2, SECOND);
	CHECK(seen.err == 0 && seen.n == 10);
	observer_free(o);
}

static void the_number_of_those_who_wait_has_a_bound(void)
{
	int n = 0;

	start();
	while (n <= OBSERVER_WAITING_MAX && observer_look(o, SECOND, on_done, &seen) == 0)
		n++;
	CHECK(n == OBSERVER_WAITING_MAX);
	wait_for(n, SECOND);
	observer_free(o);
}

static void ends_with_questions_open(void)
{
	start();
	for (int i = 0; i < 100; i++)
		CHECK(observer_look(o, SECOND, on_done, &seen) == 0);
	observer_free(o);
	CHECK(seen.calls == 0);
}

int main(void)
{
	RUN(sees_all_peers_and_who_connected);
	RUN(sees_how_a_peer_was_heard);
	RUN(an_answer_is_good_for_a_moment);
	RUN(evicts_whom_the_interface_has_and_nobody_else);
	RUN(a_dead_interface_is_an_answer_too);
	RUN(the_number_of_those_who_wait_has_a_bound);
	RUN(ends_with_questions_open);
	return DONE();
}
