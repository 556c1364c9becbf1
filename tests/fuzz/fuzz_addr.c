/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, prefixes and endpoints: what is taken has one canonical text, which libc reads as
 * the same octets; what is refused leaves the output alone. */
#include <string.h>

#include <arpa/inet.h>

#include "base/addr.h"
#include "base/err.h"
#include "fuzz.h"

static void check_address(const char *text)
{
	struct ip_addr a = { .family = 9 }, again;
	char out[ADDR_TEXT_MAX];
	uint8_t octets[16] = { 0 };

	if (ip_addr_parse(text, &a)) {
		HOLDS(a.family == 9);
		return;
	}
	HOLDS(strlen(ip_addr_format(&a, out)) < ADDR_TEXT_MAX);
	HOLDS(inet_pton(a.family == ADDR_V4 ? AF_INET : AF_INET6, out, octets) == 1);
	HOLDS(memcmp(octets, a.b, sizeof(octets)) == 0);
	HOLDS(ip_addr_parse(out, &again) == 0 && ip_addr_equal(&a, &again));
}

static void check_prefix(const char *text)
{
	struct ip_prefix p = { .bits = 200 }, again;
	char out[ADDR_TEXT_MAX];

	if (ip_prefix_parse(text, false, &p)) {
		HOLDS(p.bits == 200);
		return;
	}
	HOLDS(p.bits <= ip_addr_bits(&p.ip));
	HOLDS(ip_prefix_contains(&p, &p.ip));
	again = p;
	ip_prefix_mask(&again);
	HOLDS(memcmp(&p, &again, sizeof(p)) == 0); /* host bits are gone already */
	HOLDS(p.ip.family == ADDR_V4 || p.bits < 96 || ip_addr_v6(p.ip.b).family == ADDR_V6);
	HOLDS((ip_prefix_parse(text, true, &again) == 0) == (strchr(text, '/') != NULL));
	HOLDS(ip_prefix_parse(ip_prefix_format(&p, out), true, &again) == 0);
	HOLDS(memcmp(&p, &again, sizeof(p)) == 0);
}

static void check_endpoint(const char *text)
{
	struct endpoint e = { .port = 9 }, again;
	char out[ADDR_TEXT_MAX];

	if (endpoint_parse(text, &e)) {
		HOLDS(e.port == 9 && e.ip.family == ADDR_NONE);
		return;
	}
	HOLDS(e.local.family == ADDR_NONE && e.local_if == 0);
	HOLDS(endpoint_parse(endpoint_format(&e, out), &again) == 0);
	HOLDS(memcmp(&e, &again, sizeof(e)) == 0);
}

/* The input as octets: every address has a text that reads back. */
static void check_octets(const uint8_t octets[16])
{
	struct ip_addr a = ip_addr_v6(octets), again;
	char out[ADDR_TEXT_MAX];

	HOLDS(ip_addr_parse(ip_addr_format(&a, out), &again) == 0 && ip_addr_equal(&a, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	HOLDS(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_address(text);
	check_prefix(text);
	check_endpoint(text);
	if (size >= 16)
		check_octets(data);
	free(text);
	return 0;
}
