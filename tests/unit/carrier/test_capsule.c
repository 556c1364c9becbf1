/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/codec.h"
#include "carrier/capsule.h"
#include "sys/random.h"

/* RFC 9000 appendix A.1, and the limits of each length of section 16. */
static const struct {
	const char *hex;
	uint64_t value;
	bool is_shortest;
} numbers[] = {
	{ "c2197c5eff14e88c", UINT64_C(151288809941952652), true },
	{ "9d7f3e7d", 494878333, true },
	{ "7bbd", 15293, true },
	{ "25", 37, true },
	{ "4025", 37, false },
	{ "00", 0, true },
	{ "3f", 63, true },
	{ "4040", 64, true },
	{ "7fff", 16383, true },
	{ "80004000", 16384, true },
	{ "bfffffff", 1073741823, true },
	{ "c000000040000000", 1073741824, true },
	{ "ffffffffffffffff", UINT64_C(4611686018427387903), true },
};

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static void reads_the_numbers_of_rfc_9000(void)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		uint8_t octets[VARINT_MAX_LEN];
		uint64_t value = 1;
		long n = hex_decode(numbers[i].hex, strlen(numbers[i].hex), octets,
				    sizeof(octets));

		CHECK(varint_get(octets, (size_t)n, &value) == (size_t)n);
		CHECK(value == numbers[i].value);
		CHECK(varint_get(octets, (size_t)n - 1, &value) == 0);
	}
}

static void writes_the_numbers_of_rfc_9000_as_short_as_they_go(void)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		uint8_t octets[VARINT_MAX_LEN];
		char hex[2 * VARINT_MAX_LEN + 1];

		if (!numbers[i].is_shortest)
			continue;
		hex_encode(octets, varint_put(octets, numbers[i].value), hex);
		CHECK(strcmp(hex, numbers[i].hex) == 0);
	}
}

/* type 0, length, context 0: RFC 9297 section 3.5 and RFC 9298 section 5 */
static void puts_type_length_and_context_in_front_of_a_payload(void)
{
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{ 0, "000100" },	   { 62, "003f00" },	  { 63, "00404000" },
		{ 1420, "00458d00" },	   { 16382, "007fff00" }, { 16383, "008000400000" },
		{ 65527, "008000fff800" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t header[CAPSULE_HEADER_MAX];
		char hex[2 * CAPSULE_HEADER_MAX + 1];

		hex_encode(header, capsule_header(header, rows[i].len), hex);
		CHECK(strcmp(hex, rows[i].hex) == 0);
	}
}

/* What a stream in hex comes to, one step: the payload in hex, "more" or "broken". */
static const char *step(const char *hex, size_t *ret_used)
{
	static char out[64];
	uint8_t octets[64];
	struct capsule_reader r = { 0 };
	struct capsule_found found;
	long n = hex_decode(hex, strlen(hex), octets, sizeof(octets));
	enum capsule_step s = capsule_read(&r, octets, (size_t)n, &found);

	*ret_used = found.used;
	if (s != CAPSULE_PAYLOAD)
		return s == CAPSULE_MORE ? "more" : "broken";
	hex_encode(found.payload, found.len, out);
	return out;
}

static void finds_payloads_and_skips_what_is_not_known(void)
{
	static const struct {
		const char *stream;
		const char *comes_to;
		size_t used;
	} rows[] = {
		{ "", "more", 0 },
		{ "00", "more", 0 },
		{ "0004", "more", 0 },
		{ "000400aabb", "more", 0 },
		{ "000400aabbcc", "aabbcc", 6 },
		{ "000400aabbccdd", "aabbcc", 6 },
		{ "000100", "", 3 },		   /* a datagram without octets */
		{ "400040044000aabb", "aabb", 8 }, /* numbers longer than needed */
		{ "0003020102", "more", 5 },	   /* another context */
		{ "0003020102000200ff", "ff", 9 }, /* and one behind it */
		{ "1703010203000200ee", "ee", 9 }, /* a type that nobody knows */
		{ "1703010203"
		  "2500"
		  "000200ee",
		  "ee", 11 },
		{ "17c00000000fffffff01", "more", 10 }, /* a very long one of those */
		{ "0000", "broken", 0 },		/* no context */
		{ "000140", "broken", 0 },		/* half a context */
		{ "00014000", "broken", 0 },
		{ "00014001", "broken", 0 },	   /* a context longer than the value */
		{ "00800100000000", "broken", 0 }, /* 65 535 octets of payload */
		{ "008000fff900", "broken", 0 },   /* one more than fits into UDP */
		{ "008000fff800", "more", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t used;
		const char *got = step(rows[i].stream, &used);

		if (strcmp(got, rows[i].comes_to) != 0 || used != rows[i].used) {
			printf("# %s: %s, %zu used\n", rows[i].stream, got, used);
			FAIL("another outcome");
		}
	}
}

static void skips_a_long_value_without_keeping_it(void)
{
	static const uint8_t head[] = { 0x17, 0x80, 0x01, 0x86, 0xa0 }; /* 100 000 octets */
	static const uint8_t zeros[1000], after[] = { 0, 2, 0, 7 };
	struct capsule_reader r = { 0 };
	struct capsule_found found;

	CHECK(capsule_read(&r, head, sizeof(head), &found) == CAPSULE_MORE);
	CHECK(found.used == sizeof(head) && r.skip == 100000);
	for (int i = 0; i < 100; i++) {
		CHECK(capsule_read(&r, zeros, sizeof(zeros), &found) == CAPSULE_MORE);
		CHECK(found.used == sizeof(zeros));
	}
	CHECK(capsule_read(&r, after, sizeof(after), &found) == CAPSULE_PAYLOAD);
	CHECK(found.len == 1 && found.payload[0] == 7);
}

/* The reader's own words against what was written, however the stream is cut. */
static void gives_back_what_was_written_however_it_is_cut(void)
{
	enum { DATAGRAMS = 300, STREAM_MAX = DATAGRAMS * 1600 };
	uint8_t *stream = malloc(STREAM_MAX);
	size_t lens[DATAGRAMS], len = 0, at = 0, end = 0, n = 0;
	struct capsule_reader r = { 0 };
	struct capsule_found found;
	uint32_t seed;

	random_fill(&seed, sizeof(seed));
	printf("# seed %u\n", seed);
	for (size_t i = 0; i < DATAGRAMS; i++) {
		seed = seed * 1103515245 + 12345;
		lens[i] = seed >> 8 & 1023;
		if (seed >> 20 & 1) /* a capsule of a type that is not known, in between */
			memcpy(stream + len, "\x25\x02xy", 4), len += 4;
		len += capsule_header(stream + len, lens[i]);
		memset(stream + len, (int)(i & 255), lens[i]);
		len += lens[i];
	}
	while (n < DATAGRAMS && at < len) {
		seed = seed * 1103515245 + 12345;
		end = end + (seed >> 16) % 700 < len ? end + (seed >> 16) % 700 : len;
		while (capsule_read(&r, stream + at, end - at, &found) == CAPSULE_PAYLOAD) {
			CHECK(found.len == lens[n]);
			CHECK(found.len == 0 || (found.payload[0] == (n & 255) &&
						 found.payload[found.len - 1] == (n & 255)));
			at += found.used;
			n++;
		}
		at += found.used;
	}
	CHECK(n == DATAGRAMS && at == len);
	free(stream);
}

int main(void)
{
	RUN(reads_the_numbers_of_rfc_9000);
	RUN(writes_the_numbers_of_rfc_9000_as_short_as_they_go);
	RUN(puts_type_length_and_context_in_front_of_a_payload);
	RUN(finds_payloads_and_skips_what_is_not_known);
	RUN(skips_a_long_value_without_keeping_it);
	RUN(gives_back_what_was_written_however_it_is_cut);
	return DONE();
}
