/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/dns_message.h"

#include <string.h>

#include "base/wire.h"

enum {
	IS_ANSWER = 0x80,     /* octet 2 */
	IS_TRUNCATED = 0x02,  /* octet 2 */
	KEPT_OF_QUERY = 0x79, /* octet 2: opcode, and that recursion is wanted */
	CAN_RECURSE = 0x80,   /* octet 3 */
	QUESTIONS_AT = 4,
	NAME_MAX_LEN = 255,
	LABEL_KIND = 0xc0,
	LABEL_POINTER = 0xc0,
	TYPE_OPT = 41,
	RECORD_FIXED = 10, /* type, class, time to live, length */
};

/* Return: where the name at @at ends, 0 when it does not. */
static size_t skip_name(const uint8_t *m, size_t len, size_t at)
{
	size_t begin = at;

	while (at < len && at - begin < NAME_MAX_LEN) {
		uint8_t label = m[at];

		if (label == 0)
			return at + 1;
		if ((label & LABEL_KIND) == LABEL_POINTER)
			return at + 2 <= len ? at + 2 : 0;
		if (label & LABEL_KIND)
			return 0;
		at += 1U + label;
	}
	return 0;
}

/* Return: where the one question ends, 0 when there is not exactly one. */
static size_t question_end(const uint8_t *m, size_t len)
{
	size_t at = 0;

	if (len < DNS_HEADER || get_be16(m + QUESTIONS_AT) != 1)
		return 0;
	at = skip_name(m, len, DNS_HEADER);
	return at && at + 4 <= len ? at + 4 : 0;
}

bool dns_message_is_query(const uint8_t *message, size_t len)
{
	return len >= DNS_HEADER && !(message[2] & IS_ANSWER);
}

uint16_t dns_message_datagram_max(const uint8_t *query, size_t len)
{
	size_t at = question_end(query, len);
	uint32_t records = 0;

	if (!at)
		return DNS_DATAGRAM_LEAST;
	for (int i = 6; i <= 10; i += 2)
		records += get_be16(query + i);
	while (records-- && (at = skip_name(query, len, at)) != 0 && at + RECORD_FIXED <= len) {
		uint16_t size = get_be16(query + at + 2); /* of OPT it is the class */

		if (get_be16(query + at) == TYPE_OPT)
			return size > DNS_DATAGRAM_LEAST ? size : DNS_DATAGRAM_LEAST;
		at += RECORD_FIXED + get_be16(query + at + 8);
	}
	return DNS_DATAGRAM_LEAST;
}

/* Header and question, and no more. */
static size_t copy_question(const uint8_t *m, size_t len, uint8_t *out)
{
	size_t end = question_end(m, len);

	if (len < DNS_HEADER)
		return 0;
	if (end > DNS_QUESTION_MAX)
		end = 0;
	memset(out, 0, DNS_HEADER);
	memcpy(out, m, end ? end : (size_t)DNS_HEADER);
	memset(out + QUESTIONS_AT, 0, DNS_HEADER - QUESTIONS_AT);
	put_be16(out + QUESTIONS_AT, end ? 1 : 0);
	return end ? end : DNS_HEADER;
}

size_t dns_message_refuse(const uint8_t *query, size_t len, unsigned int rcode,
			  uint8_t out[DNS_QUESTION_MAX])
{
	size_t n = copy_question(query, len, out);

	if (n) {
		out[2] = (uint8_t)((out[2] & KEPT_OF_QUERY) | IS_ANSWER);
		out[3] = (uint8_t)(CAN_RECURSE | (rcode & 15));
	}
	return n;
}

size_t dns_message_cut(const uint8_t *answer, size_t len, uint8_t out[DNS_QUESTION_MAX])
{
	size_t n = copy_question(answer, len, out);

	if (n)
		out[2] |= IS_TRUNCATED;
	return n;
}
