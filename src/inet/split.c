/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/split.h"

#include <string.h>

#include "base/err.h"
#include "base/wire.h"
#include "inet/checksum.h"

enum {
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,

	/* Offsets in headers. */
	V4_LENGTH = 2,
	V4_ID = 4,
	V4_CHECK = 10,
	V6_LENGTH = 4,
	TCP_SEQUENCE = 4,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_CHECK = 16,
	UDP_LENGTH = 4,
	UDP_CHECK = 6,
};

/* Does the kind of offload name what is in the packet? */
static bool agrees(enum inet_gso gso, uint8_t family, uint8_t protocol)
{
	switch (gso) {
	case INET_GSO_TCP4:
		return family == ADDR_V4 && protocol == INET_TCP;
	case INET_GSO_TCP6:
		return family == ADDR_V6 && protocol == INET_TCP;
	case INET_GSO_UDP:
		return protocol == INET_UDP;
	case INET_GSO_NONE:
		break;
	}
	return false;
}

/* Length of all headers, 0 when they do not fit. */
static uint32_t measure(const uint8_t *packet, uint32_t len, const struct inet_upper *up)
{
	uint32_t size = 8;

	if (up->protocol == INET_TCP) {
		if (len - up->offset < 20)
			return 0;
		size = (uint32_t)(packet[up->offset + TCP_OFFSET] >> 4) * 4;
		if (size < 20)
			return 0;
	}
	if (len - up->offset < size || up->offset + size > INET_SPLIT_HEADER_MAX)
		return 0;
	return up->offset + size;
}

/* Take out of the header copy what each segment writes anew, and sum the rest. */
static void prepare(struct inet_split *s)
{
	uint8_t *transport = s->header + s->transport;

	if (s->family == ADDR_V4) {
		s->ip_id = get_be16(s->header + V4_ID);
		put_be16(s->header + V4_LENGTH, 0);
		put_be16(s->header + V4_ID, 0);
		put_be16(s->header + V4_CHECK, 0);
		s->ip_sum = inet_sum_words(s->header, s->transport);
	}
	if (s->is_tcp) {
		s->sequence = get_be32(transport + TCP_SEQUENCE);
		s->flags = transport[TCP_FLAGS];
		put_be32(transport + TCP_SEQUENCE, 0);
		transport[TCP_FLAGS] = 0;
		put_be16(transport + TCP_CHECK, 0);
	} else {
		put_be16(transport + UDP_LENGTH, 0);
		put_be16(transport + UDP_CHECK, 0);
	}
	s->transport_sum = inet_sum_pseudo(s->header, s->is_tcp ? INET_TCP : INET_UDP) +
			   inet_sum_words(transport, s->header_len - s->transport);
}

int inet_split_begin(struct inet_split *s, uint8_t *packet, uint32_t len,
		     const struct inet_offload *offload)
{
	struct inet_ip ip;
	struct inet_upper up;
	uint32_t header_len;

	if (len > 65535 || offload->gso_size == 0 || !inet_ip_parse(packet, len, &ip))
		return ERR_FORMAT;
	if (!inet_upper_find(packet, ip.len, &up) || up.is_fragment || up.is_routed)
		return ERR_FORMAT;
	if (!agrees(offload->gso, ip.source.family, up.protocol))
		return ERR_FORMAT;
	if (offload->needs_csum && offload->csum_start != up.offset)
		return ERR_FORMAT;
	header_len = measure(packet, ip.len, &up);
	if (header_len == 0)
		return ERR_FORMAT;

	s->payload = packet + header_len;
	s->payload_len = ip.len - header_len;
	s->header_len = header_len;
	s->next = 0;
	s->gso_size = offload->gso_size;
	s->count = (s->payload_len + s->gso_size - 1) / s->gso_size;
	if (s->count == 0)
		s->count = 1;
	s->transport = (uint16_t)up.offset;
	s->family = ip.source.family;
	s->is_tcp = up.protocol == INET_TCP;
	memcpy(s->header, packet, header_len);
	prepare(s);
	return 0;
}

static void write_ip(struct inet_split *s, uint32_t transport_len)
{
	uint16_t len = (uint16_t)(s->transport + transport_len);
	uint16_t id = (uint16_t)(s->ip_id + s->next);

	if (s->family == ADDR_V6) {
		put_be16(s->header + V6_LENGTH, (uint16_t)(len - 40));
		return;
	}
	put_be16(s->header + V4_LENGTH, len);
	put_be16(s->header + V4_ID, id);
	inet_checksum_put(s->header + V4_CHECK,
			  s->ip_sum + inet_sum_number(len) + inet_sum_number(id));
}

/* @sum: of everything in the segment that does not change, the payload included */
static void write_tcp(struct inet_split *s, uint64_t sum)
{
	uint8_t *tcp = s->header + s->transport;
	uint32_t sequence = s->sequence + s->next * s->gso_size;
	uint8_t flags = s->flags;

	if (s->next > 0)
		flags &= (uint8_t)~TCP_CWR;
	if (s->next + 1 < s->count)
		flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);

	put_be32(tcp + TCP_SEQUENCE, sequence);
	tcp[TCP_FLAGS] = flags;
	inet_checksum_put(tcp + TCP_CHECK,
			  sum + inet_sum_words(tcp + TCP_SEQUENCE, 4) + inet_sum_number(flags));
}

static void write_udp(struct inet_split *s, uint64_t sum, uint16_t len)
{
	uint8_t *udp = s->header + s->transport;

	put_be16(udp + UDP_LENGTH, len);
	inet_checksum_put_nonzero(udp + UDP_CHECK, sum + inet_sum_number(len));
}

uint8_t *inet_split_next(struct inet_split *s, uint32_t *ret_len)
{
	uint32_t at = s->next * s->gso_size;
	uint32_t slice, transport_len;
	uint64_t sum;

	if (s->next >= s->count)
		return NULL;
	slice = s->payload_len - at < s->gso_size ? s->payload_len - at : s->gso_size;
	transport_len = s->header_len - s->transport + slice;

	sum = s->transport_sum + inet_sum_number((uint16_t)transport_len) +
	      inet_sum(s->payload + at, slice);
	write_ip(s, transport_len);
	if (s->is_tcp)
		write_tcp(s, sum);
	else
		write_udp(s, sum, (uint16_t)transport_len);
	memcpy(s->payload + at - s->header_len, s->header, s->header_len);

	s->next++;
	*ret_len = s->header_len + slice;
	return s->payload + at - s->header_len;
}

int inet_checksum_finish(uint8_t *packet, uint32_t len, const struct inet_offload *offload)
{
	uint32_t start = offload->csum_start;
	uint32_t field = start + offload->csum_offset;

	if (field + 2 > len)
		return ERR_FORMAT;
	inet_checksum_put_nonzero(packet + field, inet_sum(packet + start, len - start));
	return 0;
}
