/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of capsules, cut as the first octet says: what is found does not depend on where it
 * was cut, lies inside the input, and written again is read again. */
#include <string.h>

#include "carrier/capsule.h"
#include "fuzz.h"

/* What was found, in two numbers; @is_broken: the stream ended in a fault. */
struct outcome {
	size_t payloads;
	uint64_t sum;
	int is_broken;
};

static void check_again(const uint8_t *payload, size_t len)
{
	uint8_t *again = malloc(CAPSULE_HEADER_MAX + len);
	struct capsule_reader r = { 0 };
	struct capsule_found found;
	size_t head;

	HOLDS(again);
	head = capsule_header(again, len);
	memcpy(again + head, payload, len);
	HOLDS(capsule_read(&r, again, head + len, &found) == CAPSULE_PAYLOAD);
	HOLDS(found.used == head + len && found.len == len && r.skip == 0);
	HOLDS(len == 0 || memcmp(found.payload, payload, len) == 0);
	free(again);
}

static struct outcome run(const uint8_t *data, size_t size, size_t cut)
{
	struct capsule_reader r = { 0 };
	struct outcome o = { 0 };
	size_t at = 0, end = 0;

	while (end < size) {
		struct capsule_found found;
		enum capsule_step step;

		end = size - end > cut ? end + cut : size;
		while ((step = capsule_read(&r, data + at, end - at, &found)) ==
		       CAPSULE_PAYLOAD) {
			HOLDS(found.len <= CAPSULE_PAYLOAD_MAX);
			HOLDS(found.payload >= data + at &&
			      found.payload + found.len == data + at + found.used);
			check_again(found.payload, found.len);
			o.payloads++;
			for (size_t i = 0; i < found.len; i++)
				o.sum = o.sum * 31 + found.payload[i];
			at += found.used;
		}
		at += found.used;
		HOLDS(at <= end);
		HOLDS(step == CAPSULE_BROKEN || end - at < CAPSULE_READ_MAX);
		if (step == CAPSULE_BROKEN) {
			o.is_broken = 1;
			break;
		}
	}
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, cut;

	if (size < 1)
		return 0;
	whole = run(data + 1, size - 1, size);
	cut = run(data + 1, size - 1, (size_t)data[0] + 1);
	HOLDS(whole.payloads == cut.payloads && whole.sum == cut.sum);
	HOLDS(whole.is_broken == cut.is_broken);
	return 0;
}
