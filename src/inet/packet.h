/* SPDX-License-Identifier: Apache-2.0 */
/**
 * packet.h - What the tunnel needs to know about an IP packet
 *
 * Source:  RFC 791, RFC 8200; RFC 4302 (length of AH); RFC 6040 (ECN in tunnels).
 * Threads: none here; all functions are pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/offload.h"

/**
 * struct inet_ip - The IP header, read and checked
 * @source, @destination: As they stand: an IPv4-mapped IPv6 address stays IPv6, or a
 *		peer could speak for an IPv4 address with a packet that is routed as IPv6
 * @len:	Octets of the packet by its header; at least the header, at most
 *		what is there
 * @tos:	Type of service or traffic class
 */
struct inet_ip {
	struct ip_addr source;
	struct ip_addr destination;
	uint32_t len;
	uint8_t tos;
};

/**
 * inet_ip_parse() - Read the header
 *
 * The IPv4 header checksum is not looked at: that is for the stack that consumes the packet.
 *
 * Return: false when this is not IPv4 or IPv6, or its lengths do not fit; @ret is
 *	   then not written.
 */
bool inet_ip_parse(const uint8_t *packet, uint32_t available, struct inet_ip *ret);

enum {
	INET_TCP = 6,
	INET_UDP = 17,
	INET_ICMP4 = 1,
	INET_ICMP6 = 58,
};

/**
 * struct inet_upper - What follows the IP header and its extensions
 * @offset:	Where it begins, at most the length of the packet
 * @protocol:	IANA number; for a fragment other than the first what its first one has
 * @is_fragment: Any fragment, the first included
 * @is_later_fragment: Not the first: there is no transport header at @offset
 * @is_routed:	A routing header is not used up: the packet's destination is not the one
 *		that transport checksums are made for
 */
struct inet_upper {
	uint32_t offset;
	uint8_t protocol;
	bool is_fragment;
	bool is_later_fragment;
	bool is_routed;
};

enum { INET_EXTENSIONS_MAX = 8 };

/**
 * inet_upper_find() - Walk over IPv4 options or IPv6 extension headers
 * @len:	From inet_ip_parse()
 *
 * Return: false when a header lies beyond @len or there are more than
 *	   INET_EXTENSIONS_MAX of them.
 */
bool inet_upper_find(const uint8_t *packet, uint32_t len, struct inet_upper *ret);

/**
 * struct inet_pair - Two ends of a conversation, seen from ours
 */
struct inet_pair {
	struct ip_addr local;
	struct ip_addr remote;
	uint16_t local_port;
	uint16_t remote_port;
};

/* --- ECN, RFC 6040 (normal mode) --- */

/* The ECN bits of the outer header for an inner @tos; DSCP is zero. */
static inline uint8_t inet_ecn_encap(uint8_t inner_tos)
{
	return inner_tos & 3;
}

/**
 * inet_ecn_decap() - Carry a congestion mark of the outer header into the packet
 * @outer_tos:	Type of service or traffic class of the datagram; only its ECN bits count
 * @packet:	Passed inet_ip_parse()
 *
 * Rewrites the inner header (and the IPv4 header checksum) where RFC 6040 section
 * 4.2 says so.
 *
 * Return: false when the packet must be dropped (CE outside, not-ECT inside).
 */
bool inet_ecn_decap(uint8_t outer_tos, uint8_t *packet);
