/* SPDX-License-Identifier: Apache-2.0 */
/**
 * checksum.h - The Internet checksum: whole, in parts, and adjusted
 *
 * Theory of operation. A checksum in the making is a plain uint64_t: words of 16 or 32
 * bits, as they stand in memory, added up without looking at carries. 2^32 words fit,
 * so no packet can overflow it. The sum does not depend on byte order as long as it is stored
 * the way it was read (RFC 1071, section 2 (B)); so nothing here is swapped but the
 * numbers that are not in memory. Parts may be summed in any order and added with
 * "+"; each but the last begins and ends at an even offset of what is summed. A word
 * is taken out of a sum by adding its complement.
 *
 * "Folded" is the sum brought to 16 bits, in memory order, not inverted.
 *
 * Source:  RFC 1071; RFC 1624 (incremental update, equation 3); RFC 768; RFC 9293
 *          section 3.1; RFC 8200 section 8.1 (pseudo-headers).
 * Threads: none here; all functions are pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/wire.h"

enum { INET_SUM_MAX = 1 << 20 };

/**
 * inet_sum() - Sum @len octets, at most INET_SUM_MAX; an odd last one is followed by a zero
 *
 * Made for payloads: 20 ns for 1400 octets in the first cache.
 */
uint64_t inet_sum(const uint8_t *data, size_t len);

/* The same on any processor; inet_sum() takes wider registers where there are some. */
uint64_t inet_sum_portable(const uint8_t *data, size_t len);

/** inet_sum_words() - The same for headers: a multiple of four octets, few of them, inline */
static inline uint64_t inet_sum_words(const uint8_t *data, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 4 <= len; i += 4) {
		uint32_t word;

		memcpy(&word, data + i, 4);
		sum += word;
	}
	return sum;
}

/** inet_sum_number() - A 16-bit number in host order, as a word of the packet */
static inline uint16_t inet_sum_number(uint16_t v)
{
	uint8_t b[2];
	uint16_t word;

	put_be16(b, v);
	memcpy(&word, b, 2);
	return word;
}

static inline uint16_t inet_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Write a folded sum, or its complement, where the packet keeps it. */
static inline void inet_sum_put(uint8_t *at, uint16_t folded)
{
	memcpy(at, &folded, 2);
}

/** inet_checksum_put() - Finish @sum (taken with zero in the field @at) and store it */
static inline void inet_checksum_put(uint8_t *at, uint64_t sum)
{
	inet_sum_put(at, (uint16_t)~inet_sum_fold(sum));
}

/* UDP: zero means "none", so a checksum of zero is sent as its other form. */
static inline void inet_checksum_put_nonzero(uint8_t *at, uint64_t sum)
{
	uint16_t check = (uint16_t)~inet_sum_fold(sum);

	inet_sum_put(at, check ? check : 0xffff);
}

/* A sum taken over everything, the checksum included: is it right? */
static inline bool inet_sum_is_valid(uint64_t sum)
{
	return inet_sum_fold(sum) == 0xffff;
}

/**
 * inet_checksum_update() - A word under checksum @at changed from @from to @to
 *
 * Both in host order. A checksum that was wrong stays wrong.
 */
static inline void inet_checksum_update(uint8_t *at, uint16_t from, uint16_t to)
{
	uint16_t check;

	memcpy(&check, at, 2);
	inet_checksum_put(at, (uint64_t)(uint16_t)~check + (uint16_t)~inet_sum_number(from) +
				      inet_sum_number(to));
}

/**
 * inet_sum_pseudo() - The addresses of the IP header at @ip, and @protocol
 *
 * The length, the third part of a pseudo-header, is added with inet_sum_number(): it is
 * what changes from segment to segment.
 */
static inline uint64_t inet_sum_pseudo(const uint8_t *ip, uint8_t protocol)
{
	if (ip[0] >> 4 == 4)
		return inet_sum_words(ip + 12, 8) + inet_sum_number(protocol);
	return inet_sum_words(ip + 8, 32) + inet_sum_number(protocol);
}
