/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages, with octets by hand after RFC 1035 section 4.1 and RFC 6891 section 6.1. */
#include <string.h>

#include "../test.h"
#include "inet/dns_message.h"

/* example.com A; then the same with EDNS, 1232 octets and a cookie of 8. */
static const uint8_t plain[] = { 0x12, 0x34, 0x01, 0x20, 0,   1,   0,	0,   0,	  0,
				 0,    0,    7,	   'e',	 'x', 'a', 'm', 'p', 'l', 'e',
				 3,    'c',  'o',  'm',	 0,   0,   1,	0,   1 };
static const uint8_t edns[] = { 0x12, 0x34, 0x01, 0x20, 0,   1,	  0,   0,   0,	 0,  0,
				1,    7,    'e',  'x',	'a', 'm', 'p', 'l', 'e', 3,  'c',
				'o',  'm',  0,	  0,	1,   0,	  1,   0,   0,	 41, 0x04,
				0xd0, 0,    0,	  0,	0,   0,	  12,  0,   10,	 0,  8,
				1,    2,    3,	  4,	5,   6,	  7,   8 };

static void tells_queries_from_answers(void)
{
	uint8_t answer[sizeof(plain)];

	memcpy(answer, plain, sizeof(plain));
	answer[2] |= 0x80;
	CHECK(dns_message_is_query(plain, sizeof(plain)));
	CHECK(!dns_message_is_query(answer, sizeof(answer)));
	CHECK(!dns_message_is_query(plain, DNS_HEADER - 1));
}

static void knows_how_much_the_asker_takes(void)
{
	uint8_t small[sizeof(edns)];

	CHECK(dns_message_datagram_max(plain, sizeof(plain)) == 512);
	CHECK(dns_message_datagram_max(edns, sizeof(edns)) == 1232);
	memcpy(small, edns, sizeof(edns));
	small[32] = 0;
	small[33] = 100; /* RFC 6891 section 6.2.3: means 512 */
	CHECK(dns_message_datagram_max(small, sizeof(small)) == 512);
	for (size_t len = 0; len < 40; len++) /* the record's fixed part ends there */
		CHECK(dns_message_datagram_max(edns, len) == 512);
}

static void an_option_behind_other_records_is_found(void)
{
	uint8_t m[sizeof(plain) + 2 + 10 + 4 + 11];
	uint8_t *at = m + sizeof(plain);
	static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4 },
			     option[] = { 0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0 };

	memcpy(m, plain, sizeof(plain));
	memcpy(at, record, sizeof(record));
	memcpy(at + sizeof(record), option, sizeof(option));
	m[7] = 1;  /* an answer */
	m[11] = 1; /* an additional record */
	CHECK(dns_message_datagram_max(m, sizeof(m)) == 4096);
	m[11] = 0;
	CHECK(dns_message_datagram_max(m, sizeof(m)) == 512);
}

static void refuses_with_the_question_and_nothing_else(void)
{
	uint8_t out[DNS_QUESTION_MAX];

	CHECK(dns_message_refuse(edns, sizeof(edns), DNS_SERVFAIL, out) == sizeof(plain));
	CHECK(out[0] == 0x12 && out[1] == 0x34);
	CHECK(out[2] == 0x81); /* an answer; recursion was wanted */
	CHECK(out[3] == 0x82);
	CHECK(memcmp(out + 4, "\0\1\0\0\0\0\0\0", 8) == 0);
	CHECK(memcmp(out + 12, plain + 12, sizeof(plain) - 12) == 0);
}

static void cuts_answers_to_their_question(void)
{
	uint8_t answer[600] = { 0 }, out[DNS_QUESTION_MAX];

	memcpy(answer, plain, sizeof(plain));
	answer[2] = 0x85; /* answer, authoritative, recursion was wanted */
	answer[3] = 0x80;
	answer[7] = 30;
	CHECK(dns_message_cut(answer, sizeof(answer), out) == sizeof(plain));
	CHECK(out[2] == 0x87 && out[3] == 0x80);
	CHECK(out[7] == 0);
}

static void leaves_the_question_out_where_there_is_none_to_read(void)
{
	uint8_t m[sizeof(plain)], out[DNS_QUESTION_MAX];

	memcpy(m, plain, sizeof(m));
	m[5] = 2;
	CHECK(dns_message_refuse(m, sizeof(m), DNS_REFUSED, out) == DNS_HEADER);
	CHECK(out[5] == 0);
	m[5] = 1;
	m[12] = 63; /* a label beyond the end */
	CHECK(dns_message_refuse(m, sizeof(m), DNS_REFUSED, out) == DNS_HEADER);
	m[12] = 0x40; /* a kind of label that nobody has */
	CHECK(dns_message_refuse(m, sizeof(m), DNS_REFUSED, out) == DNS_HEADER);
	CHECK(dns_message_refuse(plain, DNS_HEADER - 1, DNS_REFUSED, out) == 0);
}

static void takes_names_of_255_octets_and_no_more(void)
{
	uint8_t m[DNS_HEADER + 300] = { [5] = 1 }, out[DNS_QUESTION_MAX];
	size_t at = DNS_HEADER;

	for (int i = 0; i < 3; i++, at += 64)
		m[at] = 63;
	m[at] = 61; /* 3 * 64 + 62 + 1 = 255 */
	CHECK(dns_message_refuse(m, sizeof(m), 0, out) == DNS_QUESTION_MAX);
	m[at] = 62;
	CHECK(dns_message_refuse(m, sizeof(m), 0, out) == DNS_HEADER);
}

int main(void)
{
	RUN(tells_queries_from_answers);
	RUN(knows_how_much_the_asker_takes);
	RUN(an_option_behind_other_records_is_found);
	RUN(refuses_with_the_question_and_nothing_else);
	RUN(cuts_answers_to_their_question);
	RUN(leaves_the_question_out_where_there_is_none_to_read);
	RUN(takes_names_of_255_octets_and_no_more);
	return DONE();
}
