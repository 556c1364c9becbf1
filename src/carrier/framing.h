/* SPDX-License-Identifier: Apache-2.0 */
/**
 * framing.h - Where one datagram ends and the next begins in a stream
 *
 * Two ways: two octets of length in network order, where a length of nothing says only that the
 * sender is there; or capsules (capsule.h). Memory: held by the caller. Threads: none here.
 */
#pragma once

#include "carrier/capsule.h"

enum framing_kind {
	FRAMING_LENGTH,
	FRAMING_CAPSULE,
};

enum {
	FRAMING_HEADER_MAX = CAPSULE_HEADER_MAX,
	FRAMING_PAYLOAD_MAX = 65507, /* what IPv4 can carry in UDP */
	FRAMING_READ_MAX = CAPSULE_READ_MAX,
};

/* struct framing - All zeroes but @kind is the beginning of a stream */
struct framing {
	enum framing_kind kind;
	struct capsule_reader reader;
};

/** framing_header() - What stands in front of @len octets. Return: octets written */
size_t framing_header(enum framing_kind kind, uint8_t out[FRAMING_HEADER_MAX], size_t len);

/** framing_read() - One step, as capsule_read() makes it; a payload may have no octets */
enum capsule_step framing_read(struct framing *f, const uint8_t *data, size_t len,
			       struct capsule_found *ret);
