/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages of strangers: what is made of them is short, an answer, and asks the same. */
#include <string.h>

#include "fuzz.h"
#include "inet/dns_message.h"

static void check_short(const uint8_t *data, size_t size, const uint8_t *out, size_t n)
{
	HOLDS(n == (size < DNS_HEADER ? 0 : n) && n <= DNS_QUESTION_MAX && n <= size);
	if (n == 0)
		return;
	HOLDS(n >= DNS_HEADER && memcmp(out, data, 2) == 0);
	HOLDS(out[5] == (n > DNS_HEADER) && memcmp(out + 6, "\0\0\0\0\0", 6) == 0);
	HOLDS(memcmp(out + DNS_HEADER, data + DNS_HEADER, n - DNS_HEADER) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[DNS_QUESTION_MAX], again[DNS_QUESTION_MAX];
	size_t n;

	HOLDS(dns_message_datagram_max(data, size) >= DNS_DATAGRAM_LEAST);
	n = dns_message_refuse(data, size, DNS_SERVFAIL, out);
	check_short(data, size, out, n);
	HOLDS(n == 0 || (!dns_message_is_query(out, n) && (out[3] & 15) == DNS_SERVFAIL));
	n = dns_message_cut(data, size, out);
	check_short(data, size, out, n);
	HOLDS(n == 0 || dns_message_is_query(out, n) == dns_message_is_query(data, size));
	HOLDS(dns_message_cut(out, n, again) == n && memcmp(again, out, n) == 0);
	return 0;
}
