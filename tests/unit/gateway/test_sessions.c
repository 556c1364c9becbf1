/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "gateway/sessions.h"

static const uint64_t NOW = UINT64_C(1768386600000000000), SECOND = 1000000000;

static struct endpoint at(const char *text)
{
	struct endpoint e = { .port = 0 };

	if (endpoint_parse(text, &e) != 0)
		abort();
	return e;
}

static void who_was_never_heard_is_left_out_and_the_order_stays(void)
{
	struct observed peers[5] = { { .public_key = { 1 }, .rx_bytes = 5 },
				     { .public_key = { 2 } },
				     { .public_key = { 3 }, .last_handshake_ns = NOW },
				     { .public_key = { 4 } },
				     { .public_key = { 5 }, .tx_bytes = 148 } };
	const struct observation seen = { .peers = peers, .n = 5 }, none = { .n = 0 };
	struct session *all;
	size_t n;

	all = sessions_of(&seen, NOW, &n);
	CHECK(all && n == 3);
	CHECK(all[0].public_key[0] == 1 && all[1].public_key[0] == 3 &&
	      all[2].public_key[0] == 5);
	CHECK(!all[0].is_connected && all[1].is_connected && !all[2].is_connected);
	free(all);
	all = sessions_of(&none, NOW, &n);
	CHECK(all && n == 0);
	free(all);
}

static void a_session_ends_185_seconds_after_its_handshake(void)
{
	struct observed one = { .public_key = { 1 }, .last_handshake_ns = NOW };
	const struct observation seen = { .peers = &one, .n = 1 };

	for (uint64_t s = 0; s < 400; s += 5) {
		size_t n;
		struct session *all = sessions_of(&seen, NOW + s * SECOND, &n);

		CHECK(all && n == 1 && all->is_connected == (s < 185));
		free(all);
	}
}

static void another_port_is_no_other_place(void)
{
	struct session was = { .endpoint = at("192.0.2.1:1000") }, is = was,
		       never = { .rx = 1 };

	CHECK(!session_has_moved(&was, &is) && !session_is_news(&was, &is));
	is.endpoint = at("192.0.2.1:2000");
	CHECK(!session_has_moved(&was, &is));
	is.endpoint = at("192.0.2.2:1000");
	CHECK(session_has_moved(&was, &is) && session_is_news(&was, &is));
	CHECK(!session_has_moved(&never, &is));
}

static void there_is_news_when_anything_was_counted_or_changed(void)
{
	struct session was = { .rx = 1, .tx = 1 }, is = was, idle = { .rx = 0 };

	CHECK(!session_is_news(&was, &is) && !session_is_news(NULL, &idle));
	CHECK(session_is_news(NULL, &is));
	is.rx++;
	CHECK(session_is_news(&was, &is));
	is = was;
	is.is_connected = true;
	CHECK(session_is_news(&was, &is));
}

int main(void)
{
	RUN(who_was_never_heard_is_left_out_and_the_order_stays);
	RUN(a_session_ends_185_seconds_after_its_handshake);
	RUN(another_port_is_no_other_place);
	RUN(there_is_news_when_anything_was_counted_or_changed);
	return DONE();
}
