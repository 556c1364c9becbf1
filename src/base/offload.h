/* SPDX-License-Identifier: Apache-2.0 */
/**
 * offload.h - What the kernel left for us to do with a packet, or we leave to it
 *
 * The neutral form of struct virtio_net_hdr. Its hdr_len is not here: on the forward
 * path it lies.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum inet_gso {
	INET_GSO_NONE,
	INET_GSO_TCP4,
	INET_GSO_TCP6,
	INET_GSO_UDP, /* USO: UDP over either family */
};

/**
 * struct inet_offload - How to cut a packet, and which checksum is missing
 * @gso_size:	Payload octets per segment; meaningful unless INET_GSO_NONE
 * @csum_start:	Where the transport checksum begins, from the IP header
 * @csum_offset: Where it is stored, from @csum_start
 */
struct inet_offload {
	enum inet_gso gso;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	bool needs_csum;
};
