/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_segment.h - A TCP header with its options, read and written
 *
 * Source:  RFC 9293 section 3.1; RFC 7323 (window scale, timestamps); RFC 2018 (SACK);
 *          RFC 2883 (D-SACK); RFC 6691 (what MSS counts).
 * Threads: none here; all functions are pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "inet/packet.h"

enum {
	TCP_FLAG_FIN = 0x01,
	TCP_FLAG_SYN = 0x02,
	TCP_FLAG_RST = 0x04,
	TCP_FLAG_PSH = 0x08,
	TCP_FLAG_ACK = 0x10,
	TCP_FLAG_URG = 0x20,
	TCP_FLAG_ECE = 0x40,
	TCP_FLAG_CWR = 0x80,
};

enum {
	TCP_SACKS_MAX = 4,   /* that fit into 40 octets of options; 3 beside timestamps */
	TCP_SCALE_MAX = 14,  /* RFC 7323 section 2.3 */
	TCP_HEADER_MAX = 60, /* with options */
	TCP_NO_SCALE = 0xff, /* the option is not there */
	TCP_PACKET_HEADERS_MAX = 40 + TCP_HEADER_MAX,
};

/* struct tcp_sack - Octets [@start, @end) have arrived, as sequence numbers */
struct tcp_sack {
	uint32_t start;
	uint32_t end;
};

/**
 * struct tcp_segment - One header
 * @flags:	TCP_FLAG_...
 * @window:	As on the wire, not scaled
 * @mss:	0: the option is not there
 * @scale:	Window scale; TCP_NO_SCALE: not there; larger than 14 is read as 14
 * @header_len:	Octets of header and options; behind them is the payload
 */
struct tcp_segment {
	uint16_t source_port;
	uint16_t destination_port;
	uint32_t sequence;
	uint32_t acknowledgement;
	uint16_t window;
	uint16_t mss;
	uint8_t flags;
	uint8_t scale;
	bool sack_permitted;
	bool has_timestamps;
	uint32_t ts_value;
	uint32_t ts_echo;
	uint8_t n_sacks;
	uint8_t header_len;
	struct tcp_sack sacks[TCP_SACKS_MAX];
};

/**
 * tcp_segment_parse() - Read the header at @tcp, @len octets of segment
 *
 * Options that do not parse end the list; what was read before them counts. The checksum is
 * not looked at.
 *
 * Return: false when the header does not fit; @ret is then not written.
 */
bool tcp_segment_parse(const uint8_t *tcp, uint32_t len, struct tcp_segment *ret);

/**
 * tcp_segment_write() - Write header and options; the checksum field is left zero
 * @s:		header_len is not looked at. More SACK blocks than fit are left out
 *
 * Return: octets written, a multiple of four, at most TCP_HEADER_MAX.
 */
uint32_t tcp_segment_write(const struct tcp_segment *s, uint8_t out[TCP_HEADER_MAX]);

/** tcp_segment_options_len() - Octets of options that tcp_segment_write() would write */
uint32_t tcp_segment_options_len(const struct tcp_segment *s);

/**
 * tcp_packet_write() - IP and TCP headers in front of @payload_len octets
 * @pair:	Addresses; both of one family. The ports are in @s
 * @tos:	Type of service or traffic class
 * @out:	Room for the headers and the payload, which is at *@ret_payload already or
 *		will be before the packet is used
 * @gso_size:	Payload per packet; the result is a super-frame when @payload_len is larger
 * @ret_offload: What is left to do: inet_split_begin() or inet_checksum_finish()
 *
 * Return: octets of both headers.
 */
uint32_t tcp_packet_write(const struct inet_pair *pair, const struct tcp_segment *s,
			  uint8_t tos, uint32_t payload_len, uint32_t gso_size, uint8_t *out,
			  struct inet_offload *ret_offload);

/**
 * tcp_refuse() - The reset that answers a segment nobody waits for
 * @s, @payload_len: The segment; with RST set there is no answer
 * @pair:	Seen from us: local is where the segment went to
 *
 * Source: RFC 9293 section 3.5.2, group 1. Return: octets at @out, 0 for none. The
 * checksum is complete.
 */
uint32_t tcp_refuse(const struct inet_pair *pair, const struct tcp_segment *s,
		    uint32_t payload_len, uint8_t out[TCP_PACKET_HEADERS_MAX]);
