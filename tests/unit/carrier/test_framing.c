/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "base/codec.h"
#include "carrier/framing.h"

static void puts_two_octets_of_length_in_network_order(void)
{
	uint8_t header[FRAMING_HEADER_MAX];

	CHECK(framing_header(FRAMING_LENGTH, header, 0) == 2);
	CHECK(header[0] == 0 && header[1] == 0);
	CHECK(framing_header(FRAMING_LENGTH, header, 0x1234) == 2);
	CHECK(header[0] == 0x12 && header[1] == 0x34);
	CHECK(framing_header(FRAMING_LENGTH, header, FRAMING_PAYLOAD_MAX) == 2);
	CHECK(header[0] == 0xff && header[1] == 0xe3);
}

static void waits_for_the_whole_frame(void)
{
	static const uint8_t stream[] = { 0, 0, 0, 3, 'a', 'b', 'c', 0, 1, 'd' };
	struct framing f = { .kind = FRAMING_LENGTH };
	struct capsule_found found;

	CHECK(framing_read(&f, stream, 0, &found) == CAPSULE_MORE && found.used == 0);
	CHECK(framing_read(&f, stream, 1, &found) == CAPSULE_MORE && found.used == 0);
	CHECK(framing_read(&f, stream, 2, &found) == CAPSULE_PAYLOAD);
	CHECK(found.used == 2 && found.len == 0);
	for (size_t len = 0; len < 5; len++)
		CHECK(framing_read(&f, stream + 2, len, &found) == CAPSULE_MORE);
	CHECK(framing_read(&f, stream + 2, 8, &found) == CAPSULE_PAYLOAD);
	CHECK(found.used == 5 && found.len == 3 && memcmp(found.payload, "abc", 3) == 0);
	CHECK(framing_read(&f, stream + 7, 3, &found) == CAPSULE_PAYLOAD);
	CHECK(found.len == 1 && found.payload[0] == 'd');
}

static void frames_as_capsules_where_that_was_agreed(void)
{
	struct framing f = { .kind = FRAMING_CAPSULE };
	uint8_t stream[FRAMING_HEADER_MAX + 2];
	struct capsule_found found;
	size_t head = framing_header(FRAMING_CAPSULE, stream, 2);

	memcpy(stream + head, "xy", 2);
	CHECK(head == 3);
	CHECK(framing_read(&f, stream, head + 2, &found) == CAPSULE_PAYLOAD);
	CHECK(found.len == 2 && memcmp(found.payload, "xy", 2) == 0);
}

int main(void)
{
	RUN(puts_two_octets_of_length_in_network_order);
	RUN(waits_for_the_whole_frame);
	RUN(frames_as_capsules_where_that_was_agreed);
	return DONE();
}
