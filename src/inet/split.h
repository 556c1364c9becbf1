/* SPDX-License-Identifier: Apache-2.0 */
/**
 * split.h - Cut a super-frame into packets, without copying its payload
 *
 * Theory of operation. A TUN with offloads hands over one TCP or UDP packet of up
 * to 64 KiB. Segment i is made by writing its headers into the read buffer just
 * before payload slice i: over the tail of slice i - 1, which by then has been
 * encrypted into another buffer. The caller must therefore be done with a segment
 * before it asks for the next one. Nothing but headers is written; checksums are
 * full and correct when a segment is returned.
 *
 * What follows a segment belongs to the segments to come: a caller that pads in place puts
 * the octets back before its next call.
 *
 * TCP: sequence numbers, IPv4 identification and lengths advance; FIN and PSH only
 * on the last segment, CWR only on the first. UDP: lengths. @hdr_len from the
 * kernel is not used: the headers are measured in the packet itself. What the transport
 * checksum field holds is not used either.
 *
 * The part of a checksum that all segments share is summed once; per segment remain
 * the words that change and the payload slice.
 *
 * Source:  virtio 1.2, section 5.1.6.2; RFC 9293; RFC 768; RFC 6864.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "inet/packet.h"

/* IPv6 with extension headers before TCP with options; longer is refused. */
enum { INET_SPLIT_HEADER_MAX = 256 };

struct inet_split {
	uint8_t *payload; /* first octet of slice 0 */
	uint32_t payload_len;
	uint32_t header_len;
	uint32_t next; /* segment to be made by the next call */
	uint32_t count;
	uint16_t gso_size;
	uint16_t transport; /* offset of the TCP or UDP header */
	uint8_t family;	    /* 4 or 6 */
	bool is_tcp;
	uint32_t sequence;
	uint16_t ip_id;
	uint8_t flags;		/* TCP, as read */
	uint64_t ip_sum;	/* IPv4 header without length, identification, checksum */
	uint64_t transport_sum; /* pseudo and transport headers, without what changes */
	uint8_t header[INET_SPLIT_HEADER_MAX]; /* of the last segment made */
};

/**
 * inet_split_begin() - Check a super-frame and get ready
 * @packet:	Starts at the IP header; @len octets
 *
 * Return: 0; ERR_FORMAT when headers and offload do not agree (not TCP/UDP, header
 *	   beyond the packet, gso_size 0, more than 65535 octets, a fragment, a routing
 *	   header that is not used up). Nothing in the packet has changed.
 */
int inet_split_begin(struct inet_split *s, uint8_t *packet, uint32_t len,
		     const struct inet_offload *offload);

/**
 * inet_split_next() - The next segment, or NULL after the last
 *
 * All segments but the last have header_len + gso_size octets. A super-frame without
 * payload is one segment.
 */
uint8_t *inet_split_next(struct inet_split *s, uint32_t *ret_len);

/**
 * inet_checksum_finish() - Store the transport checksum of a packet that needs_csum
 * @len:	Of the packet by its IP header
 *
 * The field holds the folded pseudo-header sum, as the kernel left it. A result of
 * zero is stored as 0xffff, which is the same number and not UDP's "none".
 *
 * Return: 0 or ERR_FORMAT when the offsets lie outside the packet.
 */
int inet_checksum_finish(uint8_t *packet, uint32_t len, const struct inet_offload *offload);
