/* SPDX-License-Identifier: Apache-2.0 */
/* Plain WireGuard: the frame adds nothing, and takes nothing that is no message. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "frame/frame.h"

static const struct frame_profile *const plain[] = { &frame_plain };

/* Whitepaper, section 5.4: 148, 92 and 64 octets; data has 32 or more. By hand. */
static bool is_message(uint32_t type, uint32_t len)
{
	return (type == 1 && len == 148) || (type == 2 && len == 92) ||
	       (type == 3 && len == 64) || (type == 4 && len >= 32);
}

static bool classify(uint8_t *datagram, uint32_t len, struct frame_view *ret)
{
	return frame_classify(plain, 1, datagram, len, NULL, ret);
}

/* The datagram in memory of exactly its size: a sanitizer sees the first octet too much. */
static bool is_taken(uint32_t type, uint32_t len)
{
	uint8_t *exact = calloc(1, len ? len : 1);
	struct frame_view view = { 0 };
	bool taken = false;

	for (uint32_t i = 0; i < 4 && i < len; i++)
		exact[i] = (uint8_t)(type >> 8 * i);
	taken = classify(exact, len, &view);
	if (taken) {
		CHECK(view.message == exact && view.len == len);
		CHECK((uint32_t)view.type == type && view.profile == &frame_plain);
	} else {
		CHECK(!view.type && !view.message && !view.len && !view.profile);
	}
	free(exact);
	return taken;
}

static void every_length_and_type_is_judged_as_the_whitepaper_says(void)
{
	for (uint32_t type = 0; type <= 255; type++)
		for (uint32_t len = 0; len <= 300; len++)
			if (is_taken(type, len) != (len >= 4 && is_message(type, len)))
				FAIL("type or length misjudged");
	for (uint32_t type = 0; type < 8; type++)
		for (uint32_t len = 300; len <= 65535; len += len < 2000 ? 1 : 977)
			if (is_taken(type, len) != is_message(type, len))
				FAIL("type or length misjudged");
}

/* The reserved octets belong to the type: any bit of them makes it another. */
static void a_reserved_octet_that_is_not_zero_is_refused(void)
{
	for (uint32_t type = 1; type <= 4; type++)
		for (int bit = 8; bit < 32; bit++) {
			CHECK(!is_taken(type | UINT32_C(1) << bit, 148));
			CHECK(!is_taken(type | UINT32_C(1) << bit, 92));
			CHECK(!is_taken(type | UINT32_C(1) << bit, 64));
		}
}

static void without_a_profile_nothing_is_a_message(void)
{
	uint8_t data[64] = { MESSAGE_DATA };
	struct frame_view view = { 0 };

	CHECK(!frame_classify(plain, 0, data, sizeof(data), NULL, &view));
	CHECK(frame_classify(plain, 1, data, sizeof(data), NULL, &view));
}

static void messages_leave_and_arrive_unchanged(void)
{
	static const uint32_t lengths[] = { 0, 148, 92, 64, 1452 };

	for (enum message_type type = MESSAGE_INITIATION; type <= MESSAGE_DATA; type++) {
		uint8_t *octets = malloc(lengths[type]), *before = malloc(lengths[type]);
		struct frame_message m = { .data = octets, .len = lengths[type], .room = 0 };
		struct frame_view view;
		le32 word = le32_from(frame_type(&frame_plain, type));

		for (uint32_t i = 0; i < lengths[type]; i++)
			octets[i] = (uint8_t)(i * 13 + 7);
		memcpy(octets, &word, sizeof(word));
		memcpy(before, octets, lengths[type]);
		CHECK(frame_wrap(&frame_plain, type, &m, 1) == 0);
		CHECK(m.data == octets && m.len == lengths[type]);
		CHECK(classify(m.data, m.len, &view) && view.type == type);
		CHECK(memcmp(view.message, before, lengths[type]) == 0);
		free(before);
		free(octets);
	}
}

static void a_batch_is_wrapped_whole(void)
{
	uint8_t octets[64][32];
	struct frame_message m[64];

	memset(octets, 0x5a, sizeof(octets));
	for (uint32_t i = 0; i < 64; i++)
		m[i] = (struct frame_message){ .data = octets[i], .len = 32 };
	CHECK(frame_wrap(&frame_plain, MESSAGE_DATA, m, 64) == 0);
	CHECK(frame_wrap(&frame_plain, MESSAGE_DATA, NULL, 0) == 0);
	for (uint32_t i = 0; i < 64; i++)
		CHECK(m[i].data == octets[i] && m[i].len == 32 && octets[i][31] == 0x5a);
}

static void types_are_the_plain_ones_and_data_grows_by_nothing(void)
{
	CHECK(frame_type(&frame_plain, MESSAGE_INITIATION) == 1);
	CHECK(frame_type(&frame_plain, MESSAGE_RESPONSE) == 2);
	CHECK(frame_type(&frame_plain, MESSAGE_COOKIE) == 3);
	CHECK(frame_type(&frame_plain, MESSAGE_DATA) == 4);
	CHECK(frame_data_overhead(&frame_plain) == 0);
}

int main(void)
{
	RUN(types_are_the_plain_ones_and_data_grows_by_nothing);
	RUN(every_length_and_type_is_judged_as_the_whitepaper_says);
	RUN(a_reserved_octet_that_is_not_zero_is_refused);
	RUN(without_a_profile_nothing_is_a_message);
	RUN(messages_leave_and_arrive_unchanged);
	RUN(a_batch_is_wrapped_whole);
	return DONE();
}
