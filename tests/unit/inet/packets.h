/* SPDX-License-Identifier: Apache-2.0 */
/**
 * packets.h - Packets for the tests of inet/, made and cut up the slow way
 *
 * Nothing here uses src/inet: these are the models the fast code is compared with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/wire.h"

enum { PACKET_MAX = 65536 };

/* A fixed seed: every run is the same run. */
static uint64_t random_state = 1;

static inline uint32_t next_random(void)
{
	random_state =
		random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33);
}

static inline void fill_random(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(next_random() >> 7);
}

/* RFC 1071 word for word: 16 bits at a time, most significant octet first. */
static inline uint32_t slow_sum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Addresses, protocol and length as they enter a transport checksum. */
static inline uint16_t slow_pseudo_sum(const uint8_t *ip, uint32_t len, uint8_t protocol)
{
	uint32_t sum = protocol + len;

	sum += ip[0] >> 4 == 4 ? slow_sum(ip + 12, 8) : slow_sum(ip + 8, 32);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Checksum of a transport header and payload of @len octets at @offset behind @ip. */
static inline uint16_t slow_transport_checksum(const uint8_t *ip, uint32_t offset, uint32_t len,
					       uint8_t protocol)
{
	uint32_t sum = slow_sum(ip + offset, len) + slow_pseudo_sum(ip, len, protocol);

	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/**
 * struct recipe - What build() makes
 * @extension:	Octets of an IPv6 destination options header in between, or 0
 * @options:	Octets of TCP options, a multiple of four
 */
struct recipe {
	uint8_t family;
	uint8_t protocol;
	uint8_t host; /* last octet of the source */
	uint8_t tos;
	uint8_t ttl;
	uint8_t flags;
	bool df;
	uint16_t id;
	uint16_t source_port;
	uint16_t window;
	uint32_t sequence;
	uint32_t ack;
	uint32_t extension;
	uint32_t options;
	uint32_t payload;
};

static inline uint32_t transport_offset(const struct recipe *r)
{
	return r->family == 4 ? 20 : 40 + r->extension;
}

static inline uint32_t header_length(const struct recipe *r)
{
	return transport_offset(r) + (r->protocol == 6 ? 20 + r->options : 8);
}

static inline void build_ip(const struct recipe *r, uint8_t *out, uint32_t len)
{
	static const uint8_t net6[15] = { 0xfd, 0x42, 0x42, 0x42, 0, 1 };

	if (r->family == 4) {
		out[0] = 0x45;
		out[1] = r->tos;
		put_be16(out + 2, (uint16_t)len);
		put_be16(out + 4, r->id);
		put_be16(out + 6, r->df ? 0x4000 : 0);
		out[8] = r->ttl;
		out[9] = r->protocol;
		put_be16(out + 10, 0);
		put_be32(out + 12, 0x0a000100U + r->host);
		put_be32(out + 16, 0xc0a80207U);
		put_be16(out + 10, (uint16_t)~slow_sum(out, 20));
		return;
	}
	put_be32(out, 0x60000000U | (uint32_t)r->tos << 20 | 0x12345);
	put_be16(out + 4, (uint16_t)(len - 40));
	out[6] = r->extension ? 60 : r->protocol;
	out[7] = r->ttl;
	memcpy(out + 8, net6, 15);
	out[23] = r->host;
	memcpy(out + 24, net6, 15);
	out[39] = 0xfe;
	if (r->extension) {
		memset(out + 40, 1, r->extension); /* PadN of nonsense; nobody reads it */
		out[40] = r->protocol;
		out[41] = (uint8_t)(r->extension / 8 - 1);
	}
}

/* Write the transport checksum of the packet @ip; UDP turns zero into 0xffff. */
static inline void seal(uint8_t *ip, uint32_t offset, uint32_t len, uint8_t protocol)
{
	uint32_t field = offset + (protocol == 6 ? 16 : 6);
	uint16_t check;

	put_be16(ip + field, 0);
	check = slow_transport_checksum(ip, offset, len - offset, protocol);
	put_be16(ip + field, protocol == 17 && check == 0 ? 0xffff : check);
}

/* A whole packet with right checksums; the payload is random. Returns its length. */
static inline uint32_t build(const struct recipe *r, uint8_t *out)
{
	uint32_t at = transport_offset(r), header = header_length(r), len = header + r->payload;
	uint8_t *t = out + at;

	build_ip(r, out, len);
	put_be16(t, r->source_port);
	put_be16(t + 2, 443);
	if (r->protocol == 6) {
		put_be32(t + 4, r->sequence);
		put_be32(t + 8, r->ack);
		t[12] = (uint8_t)((20 + r->options) / 4 << 4);
		t[13] = r->flags;
		put_be16(t + 14, r->window);
		put_be16(t + 18, 0);
		memset(t + 20, 1, r->options); /* NOP */
	} else {
		put_be16(t + 4, (uint16_t)(8 + r->payload));
	}
	fill_random(out + header, r->payload);
	seal(out, at, len, r->protocol);
	return len;
}

/**
 * slow_segment() - Segment @i of a super-frame, copied and patched field by field
 *
 * @packet is as the TUN gave it, @at and @header the offsets of its transport header
 * and payload. Returns the segment's length, 0 behind the last.
 */
static inline uint32_t slow_segment(const uint8_t *packet, uint32_t len, uint32_t at,
				    uint32_t header, uint32_t gso_size, uint32_t i,
				    uint8_t *out)
{
	uint8_t protocol = header - at == 8 ? 17 : 6;
	uint32_t from = header + i * gso_size;
	uint32_t slice = len - from < gso_size ? len - from : gso_size;
	bool is_last = from + slice == len;

	if (from >= len && i > 0)
		return 0;
	memcpy(out, packet, header);
	memcpy(out + header, packet + from, slice);

	if (out[0] >> 4 == 4) {
		put_be16(out + 2, (uint16_t)(header + slice));
		put_be16(out + 4, (uint16_t)(get_be16(packet + 4) + i));
		put_be16(out + 10, 0);
		put_be16(out + 10, (uint16_t)~slow_sum(out, at));
	} else {
		put_be16(out + 4, (uint16_t)(header + slice - 40));
	}
	if (protocol == 6) {
		put_be32(out + at + 4, get_be32(packet + at + 4) + i * gso_size);
		if (!is_last)
			out[at + 13] &= 0xf6; /* FIN, PSH */
		if (i > 0)
			out[at + 13] &= 0x7f; /* CWR */
	} else {
		put_be16(out + at + 4, (uint16_t)(8 + slice));
	}
	seal(out, at, header + slice, protocol);
	return header + slice;
}
