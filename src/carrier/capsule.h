/* SPDX-License-Identifier: Apache-2.0 */
/**
 * capsule.h - Datagrams in a stream of capsules
 *
 * A capsule is type, length, value; a type that is not known is skipped, however long it is
 * said to be, and nothing of it is kept. The value of a DATAGRAM capsule is a context and what
 * is carried; context 0 is the payload of a UDP datagram, any other is dropped.
 *
 * Source:  RFC 9297 section 3.2 and 3.5, RFC 9298 sections 4 and 5, RFC 9000 section 16.
 * Memory:  held by the caller. Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	VARINT_MAX_LEN = 8,
	CAPSULE_DATAGRAM_TYPE = 0,
	CAPSULE_PAYLOAD_MAX = 65527, /* RFC 9298 section 5: what fits into UDP */
	/* In front of a payload: one octet of type, up to four of length, one of context. */
	CAPSULE_HEADER_MAX = 6,
	/* What a reader must be able to hold: the same, each number written as long as it can be. */
	CAPSULE_READ_MAX = 3 * VARINT_MAX_LEN + CAPSULE_PAYLOAD_MAX,
};

#define VARINT_LIMIT (UINT64_C(1) << 62) /* the first number that has no form */

/** varint_put() - Write @v, below VARINT_LIMIT, as short as it goes. Return: octets, 1..8 */
size_t varint_put(uint8_t out[VARINT_MAX_LEN], uint64_t v);

/** varint_get() - Longer forms than needed are right, too. Return: octets used; 0: more are needed */
size_t varint_get(const uint8_t *data, size_t len, uint64_t *ret);

/**
 * capsule_header() - What stands in front of a payload of @payload_len, at most CAPSULE_PAYLOAD_MAX
 *
 * Return: octets written.
 */
size_t capsule_header(uint8_t out[CAPSULE_HEADER_MAX], size_t payload_len);

enum capsule_step {
	CAPSULE_MORE,	 /* nothing whole is there; drop what was used and read on */
	CAPSULE_PAYLOAD, /* one payload, which may have no octets */
	CAPSULE_BROKEN,	 /* the stream must be aborted */
};

/**
 * struct capsule_reader - All zeroes is the beginning of a stream
 * @skip:	Octets of an unwanted value that are still to come
 */
struct capsule_reader {
	uint64_t skip;
};

/**
 * struct capsule_found - What one step made of the input
 * @used:	Octets to drop from the front
 * @payload, @len: With CAPSULE_PAYLOAD: inside the input, among the octets that were used
 */
struct capsule_found {
	size_t used;
	const uint8_t *payload;
	size_t len;
};

/**
 * capsule_read() - One step through what has come in so far
 * @data:	Whatever was not used by the step before, and what came since
 *
 * Call it until it wants more. When it wants more of CAPSULE_READ_MAX octets that it did not
 * use, it is at fault; so a buffer of that size is enough.
 */
enum capsule_step capsule_read(struct capsule_reader *r, const uint8_t *data, size_t len,
			       struct capsule_found *ret);
