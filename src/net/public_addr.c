/* SPDX-License-Identifier: Apache-2.0 */
#include "net/public_addr.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* struct range - @bits leading bits of @b count */
struct range {
	uint8_t b[16];
	uint8_t bits;
};

static const struct range reserved4[] = {
	{ { 0 }, 8 },		  /* this host */
	{ { 10 }, 8 },		  /* private */
	{ { 100, 64 }, 10 },	  /* shared behind carriers' translators */
	{ { 127 }, 8 },		  /* loopback */
	{ { 169, 254 }, 16 },	  /* link-local */
	{ { 172, 16 }, 12 },	  /* private */
	{ { 192, 0, 0 }, 24 },	  /* IETF protocol assignments */
	{ { 192, 0, 2 }, 24 },	  /* documentation */
	{ { 192, 88, 99 }, 24 },  /* 6to4 relays */
	{ { 192, 168 }, 16 },	  /* private */
	{ { 198, 18 }, 15 },	  /* benchmarks */
	{ { 198, 51, 100 }, 24 }, /* documentation */
	{ { 203, 0, 113 }, 24 },  /* documentation */
	{ { 224 }, 3 },		  /* multicast, reserved, broadcast */
};

/* Within 2000::/3, outside of which nothing is public. */
static const struct range reserved6[] = {
	{ { 0x20, 0x01 }, 23 },		    /* IETF protocol assignments, Teredo */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
	{ { 0x3f, 0xff }, 20 },		    /* documentation */
};

static const struct range never4[] = {
	{ { 0 }, 8 },
	{ { 169, 254 }, 16 },
	{ { 224 }, 3 },
};

static const struct range never6[] = {
	{ { 0 }, 128 },			    /* unspecified */
	{ { 0xfe, 0x80 }, 10 },		    /* link-local */
	{ { 0xff }, 8 },		    /* multicast */
	{ { 0xfd, 0x00, 0x0e, 0xc2 }, 32 }, /* metadata of a cloud */
};

static const struct range global6 = { { 0x20 }, 3 };
static const struct range nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };
static const struct range six_to_four = { { 0x20, 0x02 }, 16 };

static bool is_in(const struct ip_addr *a, const struct range *r)
{
	size_t whole = r->bits / 8;
	unsigned int rest = r->bits % 8;

	if (memcmp(a->b, r->b, whole) != 0)
		return false;
	return rest == 0 || (a->b[whole] ^ r->b[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const struct ip_addr *a, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_in(a, &ranges[i]))
			return true;
	}
	return false;
}

#define IN_ANY(a, ranges) is_in_any((a), (ranges), sizeof(ranges) / sizeof((ranges)[0]))

/* Mapped ones are IPv4 by now (base/addr.h). */
static bool has_inner(const struct ip_addr *a, struct ip_addr *ret)
{
	if (a->family != ADDR_V6)
		return false;
	if (is_in(a, &nat64))
		*ret = ip_addr_v4(a->b + 12);
	else if (is_in(a, &six_to_four))
		*ret = ip_addr_v4(a->b + 2);
	else
		return false;
	return true;
}

bool public_addr_is(const struct ip_addr *a)
{
	struct ip_addr inner;

	if (has_inner(a, &inner))
		return public_addr_is(&inner);
	if (a->family == ADDR_V4)
		return !IN_ANY(a, reserved4);
	return a->family == ADDR_V6 && is_in(a, &global6) && !IN_ANY(a, reserved6);
}

bool public_addr_is_never(const struct ip_addr *a)
{
	struct ip_addr inner;

	if (has_inner(a, &inner))
		return public_addr_is_never(&inner);
	if (a->family == ADDR_V4)
		return IN_ANY(a, never4);
	return a->family != ADDR_V6 || IN_ANY(a, never6);
}

bool public_addr_is_loopback(const struct ip_addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == ADDR_V4 ? a->b[0] == 127
				    : a->family == ADDR_V6 && memcmp(a->b, v6, 16) == 0;
}
