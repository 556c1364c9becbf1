/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "../test.h"
#include "gateway/event_body.h"

static const uint64_t WHEN = UINT64_C(1768386600123456789); /* 2026-01-14T10:30:00.123Z */

static struct store_change addition(const char *name)
{
	struct store_change c = {
		.kind = STORE_ADD_PEER, .now_ns = WHEN, .action = "peer.create", .who = "uid 0"
	};

	c.peer.status = STORE_PEER_ACTIVE;
	c.peer.v4 = ip_addr_v4((const uint8_t[4]){ 10, 0, 1, 2 });
	c.peer.blocked = STORE_BLOCK_EXPIRED | STORE_BLOCK_SCHEDULE;
	snprintf(c.peer.name, sizeof(c.peer.name), "%s", name);
	return c;
}

static const char *text_at(const json_t *event, const char *name)
{
	return json_string_value(json_object_get(json_object_get(event, "data"), name));
}

static void an_event_says_what_when_where_and_who(void)
{
	struct store_change c = addition("a");
	struct text out = { .data = NULL };
	json_t *event, *data;

	event_body_change(&out, "wg0", &c);
	event = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
	data = json_object_get(event, "data");
	CHECK(event && json_object_size(event) == 4);
	CHECK(strcmp(json_string_value(json_object_get(event, "type")), "peer.created") == 0);
	CHECK(strcmp(json_string_value(json_object_get(event, "timestamp")),
		     "2026-01-14T10:30:00.123Z") == 0);
	CHECK(strcmp(json_string_value(json_object_get(event, "gateway")), "wg0") == 0);
	CHECK(strcmp(text_at(event, "who"), "uid 0") == 0);
	CHECK(json_array_size(json_object_get(data, "addresses")) == 1);
	CHECK(json_array_size(json_object_get(data, "blocked")) == 2);
	CHECK(json_is_null(json_object_get(data, "expires")));
	json_decref(event);
	text_done(&out);
}

/* Names are strangers' texts: neither JSON nor the place of the number is theirs to make. */
static void a_number_is_written_where_it_belongs_whatever_a_name_says(void)
{
	static const char *const names[] = { "\"data\":{\"id\":0,",
					     "\\\"data\\\":{\\\"id\\\":0,", "\n\x01\x7f",
					     "\xff\xfe", "a" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct store_change c = addition(names[i]);
		struct text out = { .data = NULL }, numbered = { .data = NULL };
		json_t *event;

		snprintf(c.who, sizeof(c.who), "key %s", names[i]);
		event_body_change(&out, names[i], &c);
		event_body_number(&numbered, out.data, 4711);
		event = json_loads(numbered.data, JSON_REJECT_DUPLICATES, NULL);
		CHECK(event != NULL);
		CHECK(json_integer_value(
			      json_object_get(json_object_get(event, "data"), "id")) == 4711);
		json_decref(event);
		text_done(&out);
		text_done(&numbered);
	}
}

static void a_number_that_is_known_stays_and_one_that_nobody_knows_is_null(void)
{
	struct store_change c = addition("a");
	struct text out = { .data = NULL }, numbered = { .data = NULL };

	event_body_change(&out, "wg0", &c);
	event_body_number(&numbered, out.data, 0);
	CHECK(strstr(numbered.data, "\"data\":{\"id\":null,\"name\":\"a\"") != NULL);
	text_clear(&numbered);
	text_clear(&out);
	c.peer.id = 12;
	event_body_change(&out, "wg0", &c);
	event_body_number(&numbered, out.data, 4711);
	CHECK(strcmp(numbered.data, out.data) == 0);
	text_done(&out);
	text_done(&numbered);
}

static void what_was_missed_is_counted_and_read_again(void)
{
	struct store_change c = addition("missed");
	struct text out = { .data = NULL };

	event_body_missed(&out, "wg0", 123456, WHEN);
	CHECK(event_body_missed_count(out.data) == 123456);
	text_clear(&out);
	event_body_change(&out, "wg0", &c);
	CHECK(event_body_missed_count(out.data) == 0);
	text_done(&out);
}

int main(void)
{
	RUN(an_event_says_what_when_where_and_who);
	RUN(a_number_is_written_where_it_belongs_whatever_a_name_says);
	RUN(a_number_that_is_known_stays_and_one_that_nobody_knows_is_null);
	RUN(what_was_missed_is_counted_and_read_again);
	return DONE();
}
