/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <assert.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/wire.h"

/* memcmp() compares these values only while the compiler has nothing to pad. */
static_assert(sizeof(struct ip_addr) == 17, "no padding");
static_assert(sizeof(struct ip_prefix) == 18, "no padding");
static_assert(sizeof(struct endpoint) == 44, "no padding");

enum { GROUPS = 8 }; /* 16-bit groups of an IPv6 address */

static const uint8_t mapped_v4[12] = { [10] = 0xff, [11] = 0xff }; /* RFC 4291, 2.5.5.2 */

struct ip_addr ip_addr_v4(const uint8_t b[4])
{
	struct ip_addr a = { .family = ADDR_V4 };

	memcpy(a.b, b, 4);
	return a;
}

struct ip_addr ip_addr_v6(const uint8_t b[16])
{
	struct ip_addr a = { .family = ADDR_V6 };

	if (memcmp(b, mapped_v4, sizeof(mapped_v4)) == 0)
		return ip_addr_v4(b + sizeof(mapped_v4));
	memcpy(a.b, b, sizeof(a.b));
	return a;
}

bool ip_addr_is_loopback(const struct ip_addr *a)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	return (a->family == ADDR_V4 && a->b[0] == 127) ||
	       (a->family == ADDR_V6 && memcmp(a->b, loopback, sizeof(loopback)) == 0);
}

bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool endpoint_same_remote(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && a->scope == b->scope && ip_addr_equal(&a->ip, &b->ip);
}

/* The bits of octet @i that belong to the first @bits bits. */
static uint8_t mask_octet(unsigned int bits, unsigned int i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	if (bits <= 8 * i)
		return 0;
	return (uint8_t)(0xff << (8 * (i + 1) - bits));
}

bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
	uint8_t differ = 0;

	if (p->ip.family != a->family)
		return false;
	for (unsigned int i = 0; i < sizeof(a->b); i++)
		differ |= (uint8_t)((p->ip.b[i] ^ a->b[i]) & mask_octet(p->bits, i));
	return !differ;
}

void ip_prefix_mask(struct ip_prefix *p)
{
	for (unsigned int i = 0; i < sizeof(p->ip.b); i++)
		p->ip.b[i] &= mask_octet(p->bits, i);
}

/* --- Parsers. They work on a piece of text, so that nothing is copied twice. --- */

/* inet_pton() is as strict as we want to be: the tests pin down what it must refuse. */
static int parse_octets(const char *text, size_t len, uint8_t *ret_family, uint8_t b[16])
{
	char copy[ADDR_TEXT_MAX];

	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return ERR_FORMAT;
	memcpy(copy, text, len);
	copy[len] = '\0';
	*ret_family = memchr(text, ':', len) ? ADDR_V6 : ADDR_V4;
	if (inet_pton(*ret_family == ADDR_V6 ? AF_INET6 : AF_INET, copy, b) != 1)
		return ERR_FORMAT;
	return 0;
}

static int parse_address(const char *text, size_t len, struct ip_addr *ret)
{
	uint8_t b[16], family;

	if (parse_octets(text, len, &family, b))
		return ERR_FORMAT;
	*ret = family == ADDR_V4 ? ip_addr_v4(b) : ip_addr_v6(b);
	return 0;
}

/* A number as people write it: no zero in front, so nobody can read it as octal. */
static int parse_number(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
	if (len > 1 && text[0] == '0')
		return ERR_FORMAT;
	return decimal_parse(text, len, max, ret) ? ERR_FORMAT : 0;
}

int ip_addr_parse(const char *text, struct ip_addr *ret)
{
	return parse_address(text, strlen(text), ret);
}

int ip_prefix_parse(const char *text, bool need_length, struct ip_prefix *ret)
{
	const char *slash = strchr(text, '/');
	struct ip_prefix p = { 0 };
	uint8_t b[16], family;
	uint64_t bits;

	if (!slash && need_length)
		return ERR_FORMAT;
	if (parse_octets(text, slash ? (size_t)(slash - text) : strlen(text), &family, b))
		return ERR_FORMAT;
	bits = family == ADDR_V4 ? 32 : 128;
	if (slash && parse_number(slash + 1, strlen(slash + 1), bits, &bits))
		return ERR_FORMAT;

	p.ip = family == ADDR_V4 ? ip_addr_v4(b) : ip_addr_v6(b);
	if (family == ADDR_V6 && p.ip.family == ADDR_V4) {
		if (bits >= 96) {
			bits -= 96;
		} else { /* wider than the mapped range: an IPv6 prefix after all */
			p.ip = (struct ip_addr){ .family = ADDR_V6 };
			memcpy(p.ip.b, b, sizeof(b));
		}
	}
	p.bits = (uint8_t)bits;
	ip_prefix_mask(&p);
	*ret = p;
	return 0;
}

/* "v6" or "v6%ifindex", what stands between the brackets. */
static int parse_scoped(const char *text, size_t len, struct endpoint *e)
{
	const char *percent = memchr(text, '%', len);
	size_t ip_len = percent ? (size_t)(percent - text) : len;
	uint64_t scope = 0;

	if (!memchr(text, ':', ip_len) || parse_address(text, ip_len, &e->ip))
		return ERR_FORMAT;
	if (percent && e->ip.family != ADDR_V6)
		return ERR_FORMAT;
	if (percent && parse_number(percent + 1, len - ip_len - 1, UINT32_MAX, &scope))
		return ERR_FORMAT;
	e->scope = (uint32_t)scope;
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *ret)
{
	const char *colon = strrchr(text, ':');
	struct endpoint e = { 0 };
	uint64_t port;
	size_t len;

	if (!colon || parse_number(colon + 1, strlen(colon + 1), UINT16_MAX, &port))
		return ERR_FORMAT;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		if (parse_scoped(text + 1, len - 2, &e))
			return ERR_FORMAT;
	} else if (memchr(text, ':', len) || parse_address(text, len, &e.ip)) {
		return ERR_FORMAT;
	}
	e.port = (uint16_t)port;
	*ret = e;
	return 0;
}

/* --- Formatters. Each static one writes at @to and returns where it stopped. --- */

static char *put_decimal(char *to, uint32_t v)
{
	char digits[10];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n)
		*to++ = digits[--n];
	return to;
}

static char *put_v4(char *to, const uint8_t b[4])
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*to++ = '.';
		to = put_decimal(to, b[i]);
	}
	return to;
}

static char *put_group(char *to, uint16_t group)
{
	static const char digits[] = "0123456789abcdef";
	bool started = false;

	for (int shift = 12; shift >= 0; shift -= 4) {
		unsigned int digit = group >> shift & 15;

		started = started || digit || shift == 0;
		if (started)
			*to++ = digits[digit];
	}
	return to;
}

/* RFC 5952, 4.2: the longest run of at least two zero groups, the first among equals. */
static int zero_run(const uint16_t groups[GROUPS], int *ret_len)
{
	int best = -1, best_len = 1;

	for (int i = 0; i < GROUPS; i++) {
		int len = 0;

		while (i + len < GROUPS && groups[i + len] == 0)
			len++;
		if (len > best_len) {
			best = i;
			best_len = len;
		}
		i += len;
	}
	*ret_len = best_len;
	return best;
}

static char *put_v6(char *to, const uint8_t b[16])
{
	uint16_t groups[GROUPS];
	int run, run_len;

	for (int i = 0; i < GROUPS; i++)
		groups[i] = get_be16(b + 2 * i);
	run = zero_run(groups, &run_len);
	for (int i = 0; i < GROUPS; i++) {
		if (i == run) {
			*to++ = ':';
			i += run_len - 1;
			if (i == GROUPS - 1)
				*to++ = ':';
			continue;
		}
		if (i)
			*to++ = ':';
		to = put_group(to, groups[i]);
	}
	return to;
}

static char *put_address(char *to, const struct ip_addr *a)
{
	if (a->family == ADDR_V4)
		return put_v4(to, a->b);
	return a->family == ADDR_V6 ? put_v6(to, a->b) : to;
}

char *ip_addr_format(const struct ip_addr *a, char out[ADDR_TEXT_MAX])
{
	*put_address(out, a) = '\0';
	return out;
}

char *ip_prefix_format(const struct ip_prefix *p, char out[ADDR_TEXT_MAX])
{
	char *to = put_address(out, &p->ip);

	*to++ = '/';
	*put_decimal(to, p->bits) = '\0';
	return out;
}

char *endpoint_format(const struct endpoint *e, char out[ADDR_TEXT_MAX])
{
	bool v6 = e->ip.family == ADDR_V6;
	char *to = out;

	if (v6)
		*to++ = '[';
	to = put_address(to, &e->ip);
	if (v6 && e->scope) {
		*to++ = '%';
		to = put_decimal(to, e->scope);
	}
	if (v6)
		*to++ = ']';
	*to++ = ':';
	*put_decimal(to, e->port) = '\0';
	return out;
}
