/* SPDX-License-Identifier: Apache-2.0 */
/**
 * udp.h - UDP headers, and messages of ICMP echo
 *
 * Source:  RFC 768; RFC 8200 section 8.1; RFC 792 and RFC 4443 section 4 (echo).
 * Threads: none here; all functions are pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "inet/packet.h"

enum {
	INET_UDP_HEADER = 8,
	INET_ECHO_HEADER = 8,
	INET_UDP_HEADERS_MAX = 40 + INET_UDP_HEADER,
};

struct inet_udp {
	uint16_t source_port;
	uint16_t destination_port;
	uint16_t len; /* of header and payload */
};

/**
 * inet_udp_parse() - Read the header at @udp, @len octets of datagram
 * @is_run:	Several datagrams in one piece: the length is that of all
 *
 * Return: false when it does not fit.
 */
bool inet_udp_parse(const uint8_t *udp, uint32_t len, bool is_run, struct inet_udp *ret);

/** inet_ip_write() - An IP header without options, in front of @len octets. DF is set on IPv4
 * Return: octets written, 20 or 40. */
uint32_t inet_ip_write(const struct ip_addr *source, const struct ip_addr *destination,
		       uint8_t protocol, uint8_t tos, uint8_t hops, uint32_t len, uint8_t *out);

/**
 * inet_udp_write() - IP and UDP headers in front of @payload_len octets, local to remote
 * @payload:	Where the octets are: for the checksum of a single datagram
 * @gso_size:	Payload per datagram; a super-frame when @payload_len is larger, with its
 *		checksum left to inet/split.h
 *
 * Return: octets of both headers.
 */
uint32_t inet_udp_write(const struct inet_pair *pair, uint8_t tos, uint8_t hops,
			const uint8_t *payload, uint32_t payload_len, uint32_t gso_size,
			uint8_t *out, struct inet_offload *ret_offload);

/** inet_echo_write() - IP header and the checksum of the echo message @icmp of @len octets
 * @out:	20 or 40 octets; the message is to stand behind them. Return: octets written */
uint32_t inet_echo_write(const struct ip_addr *source, const struct ip_addr *destination,
			 uint8_t hops, uint8_t *icmp, uint32_t len, uint8_t *out);
