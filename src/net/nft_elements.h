/* SPDX-License-Identifier: Apache-2.0 */
/**
 * nft_elements.h - Elements of nftables maps from an address to a number, many at a time
 *
 * nft(8) takes milliseconds to start; a map that follows every new peer cannot wait for that. So
 * elements, and nothing else, are set over netlink: a transaction of one takes some ten
 * microseconds, of a thousand about a millisecond, however many there are already. Tables, chains,
 * rules and the maps themselves are made with net/nft.h.
 *
 * Source:  linux/netfilter/nf_tables.h; nfnetlink batches as in the kernel's nfnetlink.c.
 * Memory:  a buffer of NFT_ELEMENTS_BUFFER for the call.
 * Threads: any; each call has its own socket.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum { NFT_ELEMENTS_MAX = 1024 }; /* of one call */

/**
 * struct nft_element - An address changes its number
 * @was:	What it has had; 0: it was not in the map
 * @is:		What it gets; 0: it leaves the map
 */
struct nft_element {
	struct ip_addr key;
	uint32_t was;
	uint32_t is;
};

/**
 * nft_elements_set() - Change elements of two maps of one table, all or none
 * @table:	Of the family inet
 * @map4, @map6: Of the types ipv4_addr : mark and ipv6_addr : mark
 *
 * Return: 0; -ENOENT (no such table or map, or an address that is not in it); -EEXIST (an address
 *	   that is in it already, although its @was is 0); -E2BIG; -EINVAL for an address of no
 *	   family; -errno.
 */
int nft_elements_set(const char *table, const char *map4, const char *map6,
		     const struct nft_element *elements, size_t n);

/** nft_has_chain() - 1: the table of the family inet has it; 0: no, or there is no such table; -errno */
int nft_has_chain(const char *table, const char *chain);
