/* SPDX-License-Identifier: Apache-2.0 */
/**
 * icmp.h - Errors for packets the tunnel cannot carry
 *
 * Source:  RFC 792, RFC 1812 section 4.3.2, RFC 1191, RFC 4443 section 2.4, RFC 8201.
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"

enum inet_icmp_error {
	INET_ICMP_HOST_UNREACHABLE, /* v4: 3/1; v6: address unreachable 1/3 */
	INET_ICMP_TOO_BIG,	    /* v4: 3/4 with the MTU; v6: 2/0 */
	INET_ICMP_NO_ROUTE,	    /* v4: 3/0; v6: 1/0 */
	INET_ICMP_PORT_UNREACHABLE, /* v4: 3/3; v6: 1/4 */
	INET_ICMP_PROHIBITED,	    /* v4: 3/13; v6: 1/1 */
	INET_ICMP_TIME_EXCEEDED,    /* v4: 11/0; v6: 3/0 */
};

/**
 * struct inet_icmp_kind - Any error message, by its numbers
 * @info:	Second word of the message: the MTU of "too big"
 */
struct inet_icmp_kind {
	uint8_t type;
	uint8_t code;
	uint32_t info;
};

enum { INET_ICMP_MAX = 1280 };

/**
 * inet_icmp_error() - Build the ICMP message that answers @packet
 * @packet:	The packet that cannot be sent; @len octets, any octets. Padding behind
 *		the length in its header is left out
 * @mtu:	For INET_ICMP_TOO_BIG; over 65535 it is told as 65535 where the field is short
 * @out:	Receives a whole IP packet. Its source is the destination of @packet
 *		(an address that is routed to the tunnel), so reverse path filters pass
 *
 * As much of @packet is quoted as keeps the message within 576 octets (IPv4) or 1280.
 *
 * Return: length of the message, 0 where RFC 1812 and RFC 4443 forbid one: for an
 *	   ICMP error, a redirect or an ICMP message of unknown type, a fragment other than the
 *	   first, multicast, broadcast or loopback destinations, a source that is not one
 *	   host (unspecified, multicast, loopback), IPv4 TOO_BIG without DF; and for
 *	   what is no IP packet. @out is then untouched.
 */
uint32_t inet_icmp_error(enum inet_icmp_error error, uint32_t mtu, const uint8_t *packet,
			 uint32_t len, uint8_t out[INET_ICMP_MAX]);

/**
 * inet_icmp_error_from() - The same, from @source: a router on the way that is known
 * @source:	Of the family of @packet
 */
uint32_t inet_icmp_error_from(const struct inet_icmp_kind *kind, const struct ip_addr *source,
			      const uint8_t *packet, uint32_t len, uint8_t out[INET_ICMP_MAX]);

/** inet_icmp_kind() - The numbers of @error for a family, an enum addr_family */
struct inet_icmp_kind inet_icmp_kind(enum inet_icmp_error error, uint8_t family, uint32_t mtu);
