/* SPDX-License-Identifier: Apache-2.0 */
/**
 * addr.h - IP addresses, prefixes and UDP endpoints as plain values
 *
 * Addresses are octets in network order. All of these compare with memcmp()
 * once made by the functions here: unused octets are zero. An IPv4-mapped IPv6
 * address (::ffff:a.b.c.d) is turned into IPv4 wherever bytes become an address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum addr_family {
	ADDR_NONE = 0,
	ADDR_V4 = 4,
	ADDR_V6 = 6,
};

/* struct ip_addr - @family is an enum addr_family; IPv4 uses the first four octets */
struct ip_addr {
	uint8_t family;
	uint8_t b[16];
};

/* struct ip_prefix - @bits leading bits of @ip count; the rest are zero */
struct ip_prefix {
	struct ip_addr ip;
	uint8_t bits; /* 0..32 or 0..128 */
};

/**
 * struct endpoint - Where a peer is, and which way we answer it
 * @ip, @port:	Remote address; @port in host order. ip.family ADDR_NONE: unknown
 * @scope:	IPv6 interface index of a link-local @ip, else 0
 * @local:	Sticky source: the local address the peer last sent to; ADDR_NONE
 *		lets the kernel choose
 * @local_if:	Interface index that belongs to @local, else 0
 */
struct endpoint {
	struct ip_addr ip;
	struct ip_addr local;
	uint16_t port;
	uint32_t scope;
	uint32_t local_if;
};

/* Longest texts including the NUL: "[ffff:...%4294967295]:65535", "…/128". */
enum { ADDR_TEXT_MAX = 72 };

struct ip_addr ip_addr_v4(const uint8_t b[4]);
struct ip_addr ip_addr_v6(const uint8_t b[16]); /* unmaps ::ffff:0:0/96 */

static inline unsigned int ip_addr_bits(const struct ip_addr *a)
{
	return a->family == ADDR_V4 ? 32 : 128;
}

/** ip_addr_source_len() - Octets that tell one source from another: of IPv6 the /64 */
static inline size_t ip_addr_source_len(const struct ip_addr *a)
{
	return a->family == ADDR_V4 ? 4 : 8;
}

bool ip_addr_is_loopback(const struct ip_addr *a); /* 127.0.0.0/8, ::1 */
bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b);
bool endpoint_same_remote(const struct endpoint *a, const struct endpoint *b);
bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a);

/** ip_prefix_mask() - Clear the host bits */
void ip_prefix_mask(struct ip_prefix *p);

/* Text. Parsers take exactly the whole string (numeric only, no names) and return
 * 0 or ERR_FORMAT; outputs are written on success only. Formatters return @out. */
int ip_addr_parse(const char *text, struct ip_addr *ret);
int ip_prefix_parse(const char *text, bool need_length, struct ip_prefix *ret); /* masks */
int endpoint_parse(const char *text,
		   struct endpoint *ret); /* 1.2.3.4:p, [v6]:p, [v6%ifindex]:p */
char *ip_addr_format(const struct ip_addr *a, char out[ADDR_TEXT_MAX]);
char *ip_prefix_format(const struct ip_prefix *p, char out[ADDR_TEXT_MAX]);
char *endpoint_format(const struct endpoint *e, char out[ADDR_TEXT_MAX]); /* remote part */
