/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dns_message.h - DNS messages, as far as one must know them who passes them on
 *
 * A query that came as a datagram leaves by TCP, and its answer may be longer than the datagram that
 * the asker takes: then it gets the question back with the bit that means "ask by TCP". Names are
 * walked over, never compared or followed.
 *
 * Source:  RFC 1035 section 4.1; RFC 6891 section 6.1 (size of datagrams); RFC 2181 section 9 (TC).
 * Threads: none here; all functions are pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_HEADER = 12,
	DNS_DATAGRAM_LEAST = 512, /* what everybody takes */
	DNS_QUESTION_MAX = DNS_HEADER + 255 + 4,
	DNS_SERVFAIL = 2,
	DNS_REFUSED = 5,
};

/** dns_message_is_query() - A header, and it asks */
bool dns_message_is_query(const uint8_t *message, size_t len);

/** dns_message_datagram_max() - How long an answer the asker takes as a datagram
 * Return: at least DNS_DATAGRAM_LEAST, which also stands for a message that cannot be read. */
uint16_t dns_message_datagram_max(const uint8_t *query, size_t len);

/**
 * dns_message_refuse() - An answer that says @rcode and nothing else
 * Return: octets at @out: header and question, or the header alone where there is not exactly one
 *	   question that can be read. 0 when @query is shorter than a header.
 */
size_t dns_message_refuse(const uint8_t *query, size_t len, unsigned int rcode,
			  uint8_t out[DNS_QUESTION_MAX]);

/** dns_message_cut() - An answer without its records, marked as truncated. As above */
size_t dns_message_cut(const uint8_t *answer, size_t len, uint8_t out[DNS_QUESTION_MAX]);
