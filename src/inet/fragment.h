/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fragment.h - Packets in pieces: put together, and cut
 *
 * Theory of operation. Pieces are written where they belong in one buffer per packet, and ranges
 * (inet/tcp_ranges.h) know which are there. A piece that is there already is ignored when it
 * says the same; one that overlaps another ends the whole packet, in both families: nobody
 * sends such pieces in good faith.
 *
 * Source:  RFC 791 section 3.2; RFC 8200 section 4.5; RFC 5722 (overlaps); RFC 6946 (a packet that is its own
 *          only fragment); RFC 8900 on why there is a bound.
 * Bounds:  FRAGMENT_PACKETS packets at a time, FRAGMENT_WAIT_NS each; of more the oldest goes. 64 KiB each, allocated
 *          as pieces arrive.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "inet/packet.h"

enum {
	FRAGMENT_PACKETS = 64,
	FRAGMENT_HEADERS_MAX = 128, /* before the part that is cut */
};

#define FRAGMENT_WAIT_NS UINT64_C(30000000000)

struct fragments;

/* struct fragments_count - What became of them */
struct fragments_count {
	uint64_t completed;
	uint64_t expired; /* or gave way to newer ones */
	uint64_t refused; /* overlapping or malformed pieces */
};

int fragments_new(struct fragments **ret);	       /* 0 or -ENOMEM */
struct fragments *fragments_free(struct fragments *f); /* takes NULL, returns NULL */

/**
 * fragment_add() - Take one piece
 * @packet:	A fragment: inet_upper_find() says so. @len octets, by its header
 * @ret, @ret_len: The whole packet, without a trace of fragments; until the next call
 *
 * Return: true when the packet is complete.
 */
bool fragment_add(struct fragments *f, uint64_t now_ns, const uint8_t *packet, uint32_t len,
		  uint8_t **ret, uint32_t *ret_len);

const struct fragments_count *fragments_count(const struct fragments *f);

/**
 * struct fragment_cut - A packet on its way to becoming pieces
 */
struct fragment_cut {
	const uint8_t *packet;
	uint32_t len;
	uint32_t at;   /* payload octets that went */
	uint32_t room; /* payload octets per piece */
	uint32_t id;
};

/**
 * fragment_cut_begin() - Get ready to send @packet in pieces of at most @mtu octets
 * @packet:	Borrowed. An IP header without options or extensions, at least; @mtu is 68 or
 *		1280 or more
 * @id:		Another for each packet of a pair of addresses
 */
void fragment_cut_begin(struct fragment_cut *c, const uint8_t *packet, uint32_t len,
			uint32_t mtu, uint32_t id);

/** fragment_cut_next() - Write the next piece, @mtu octets at most. Return: its length, 0 after the last */
uint32_t fragment_cut_next(struct fragment_cut *c, uint8_t *out);
