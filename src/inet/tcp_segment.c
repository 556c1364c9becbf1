/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/tcp_segment.h"

#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "inet/packet.h"
#include "inet/split.h"
#include "inet/udp.h"

enum {
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_MSS = 2,
	OPTION_SCALE = 3,
	OPTION_SACK_PERMITTED = 4,
	OPTION_SACK = 5,
	OPTION_TIMESTAMPS = 8,

	OPTIONS_MAX = 40,
	BASE_LEN = 20,
	CHECK_AT = 16,
	HOPS = 64,
};

static void read_sacks(const uint8_t *at, uint32_t len, struct tcp_segment *s)
{
	for (; len >= 8 && s->n_sacks < TCP_SACKS_MAX; len -= 8, at += 8)
		s->sacks[s->n_sacks++] = (struct tcp_sack){ get_be32(at), get_be32(at + 4) };
}

/* @at: the option's value, @len octets of it. One of the wrong length is not there. */
static void read_option(uint8_t kind, const uint8_t *at, uint32_t len, struct tcp_segment *s)
{
	if (kind == OPTION_MSS && len == 2) {
		s->mss = get_be16(at);
	} else if (kind == OPTION_SCALE && len == 1) {
		s->scale = at[0] > TCP_SCALE_MAX ? TCP_SCALE_MAX : at[0];
	} else if (kind == OPTION_SACK_PERMITTED && len == 0) {
		s->sack_permitted = true;
	} else if (kind == OPTION_SACK && len % 8 == 0) {
		read_sacks(at, len, s);
	} else if (kind == OPTION_TIMESTAMPS && len == 8) {
		s->has_timestamps = true;
		s->ts_value = get_be32(at);
		s->ts_echo = get_be32(at + 4);
	}
}

static void read_options(const uint8_t *at, uint32_t len, struct tcp_segment *s)
{
	while (len > 0 && at[0] != OPTION_END) {
		uint32_t size = 1;

		if (at[0] != OPTION_NOP) {
			if (len < 2 || at[1] < 2 || at[1] > len)
				return;
			size = at[1];
			read_option(at[0], at + 2, size - 2, s);
		}
		at += size;
		len -= size;
	}
}

bool tcp_segment_parse(const uint8_t *tcp, uint32_t len, struct tcp_segment *ret)
{
	uint32_t header_len;

	if (len < BASE_LEN)
		return false;
	header_len = (uint32_t)(tcp[12] >> 4) * 4;
	if (header_len < BASE_LEN || header_len > len)
		return false;
	*ret = (struct tcp_segment){
		.source_port = get_be16(tcp),
		.destination_port = get_be16(tcp + 2),
		.sequence = get_be32(tcp + 4),
		.acknowledgement = get_be32(tcp + 8),
		.flags = tcp[13],
		.window = get_be16(tcp + 14),
		.scale = TCP_NO_SCALE,
		.header_len = (uint8_t)header_len,
	};
	read_options(tcp + BASE_LEN, header_len - BASE_LEN, ret);
	return true;
}

/* Each option is padded in front to four octets, as is custom: some readers are faster so. */
static uint32_t fixed_options_len(const struct tcp_segment *s)
{
	return (s->mss ? 4U : 0U) + (s->scale != TCP_NO_SCALE ? 4U : 0U) +
	       (s->sack_permitted ? 4U : 0U) + (s->has_timestamps ? 12U : 0U);
}

static uint32_t sacks_that_fit(const struct tcp_segment *s)
{
	uint32_t room = OPTIONS_MAX - fixed_options_len(s);
	uint32_t n = room < 12 ? 0 : (room - 4) / 8;

	return n < s->n_sacks ? n : s->n_sacks;
}

uint32_t tcp_segment_options_len(const struct tcp_segment *s)
{
	uint32_t sacks = sacks_that_fit(s);

	return fixed_options_len(s) + (sacks ? 4 + 8 * sacks : 0);
}

static uint8_t *put_head(uint8_t *at, uint32_t nops, uint8_t kind, uint8_t len)
{
	memset(at, OPTION_NOP, nops);
	at[nops] = kind;
	at[nops + 1] = len;
	return at + nops + 2;
}

static uint8_t *put_sacks(uint8_t *at, const struct tcp_segment *s)
{
	uint32_t n = sacks_that_fit(s);

	if (n == 0)
		return at;
	at = put_head(at, 2, OPTION_SACK, (uint8_t)(2 + 8 * n));
	for (uint32_t i = 0; i < n; i++, at += 8) {
		put_be32(at, s->sacks[i].start);
		put_be32(at + 4, s->sacks[i].end);
	}
	return at;
}

static uint8_t *put_options(uint8_t *at, const struct tcp_segment *s)
{
	if (s->mss) {
		at = put_head(at, 0, OPTION_MSS, 4);
		put_be16(at, s->mss);
		at += 2;
	}
	if (s->scale != TCP_NO_SCALE) {
		at = put_head(at, 1, OPTION_SCALE, 3);
		*at++ = s->scale;
	}
	if (s->sack_permitted)
		at = put_head(at, 2, OPTION_SACK_PERMITTED, 2);
	if (s->has_timestamps) {
		at = put_head(at, 2, OPTION_TIMESTAMPS, 10);
		put_be32(at, s->ts_value);
		put_be32(at + 4, s->ts_echo);
		at += 8;
	}
	return put_sacks(at, s);
}

uint32_t tcp_segment_write(const struct tcp_segment *s, uint8_t out[TCP_HEADER_MAX])
{
	uint32_t len = (uint32_t)(put_options(out + BASE_LEN, s) - out);

	put_be16(out, s->source_port);
	put_be16(out + 2, s->destination_port);
	put_be32(out + 4, s->sequence);
	put_be32(out + 8, s->acknowledgement);
	out[12] = (uint8_t)(len / 4 << 4);
	out[13] = s->flags;
	put_be16(out + 14, s->window);
	put_be32(out + CHECK_AT, 0);
	return len;
}

uint32_t tcp_packet_write(const struct inet_pair *pair, const struct tcp_segment *s,
			  uint8_t tos, uint32_t payload_len, uint32_t gso_size, uint8_t *out,
			  struct inet_offload *ret_offload)
{
	uint32_t ip_len = pair->local.family == ADDR_V4 ? 20 : 40;
	uint32_t tcp_len = tcp_segment_write(s, out + ip_len);
	bool is_many = payload_len > gso_size;

	inet_ip_write(&pair->local, &pair->remote, INET_TCP, tos, HOPS, tcp_len + payload_len,
		      out);
	inet_sum_put(out + ip_len + CHECK_AT,
		     inet_sum_fold(inet_sum_pseudo(out, INET_TCP) +
				   inet_sum_number((uint16_t)(tcp_len + payload_len))));
	*ret_offload = (struct inet_offload){
		.gso = !is_many	      ? INET_GSO_NONE
		       : ip_len == 20 ? INET_GSO_TCP4
				      : INET_GSO_TCP6,
		.gso_size = is_many ? (uint16_t)gso_size : 0,
		.csum_start = (uint16_t)ip_len,
		.csum_offset = CHECK_AT,
		.needs_csum = true,
	};
	return ip_len + tcp_len;
}

uint32_t tcp_refuse(const struct inet_pair *pair, const struct tcp_segment *s,
		    uint32_t payload_len, uint8_t out[TCP_PACKET_HEADERS_MAX])
{
	struct tcp_segment reset = { .source_port = s->destination_port,
				     .destination_port = s->source_port,
				     .flags = TCP_FLAG_RST,
				     .scale = TCP_NO_SCALE };
	struct inet_offload offload;
	uint32_t len;

	if (s->flags & TCP_FLAG_RST)
		return 0;
	if (s->flags & TCP_FLAG_ACK) {
		reset.sequence = s->acknowledgement;
	} else {
		reset.flags |= TCP_FLAG_ACK;
		reset.acknowledgement = s->sequence + payload_len +
					((s->flags & TCP_FLAG_SYN) != 0) +
					((s->flags & TCP_FLAG_FIN) != 0);
	}
	len = tcp_packet_write(pair, &reset, 0, 0, 1, out, &offload);
	inet_checksum_finish(out, len, &offload);
	return len;
}
