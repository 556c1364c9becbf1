/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pool.h - Which hosts of a prefix are free, held, or resting after use
 *
 * Theory of operation. A tree of bitmaps with 64 children per node and a fixed
 * depth of four covers 2^24 hosts; a bit is set where everything below is taken, so
 * the lowest free host is four "find the first zero" away, whatever the number of
 * peers. Nodes appear when a host below them is first taken: an unused /8 costs one
 * node. Host n is the n-th address of the prefix; a prefix with more hosts than the
 * tree (an IPv6 /64) uses its first 2^24.
 *
 * A released host rests in quarantine until the time the caller names: packets and
 * address translations of the former holder must not reach the next one. A resting
 * host is neither free nor held; a heap ordered by time brings it back.
 *
 * Never given: the network address, the first host (the gateway itself) and the
 * broadcast address of IPv4.
 *
 * Memory:  at most 1 KiB per 4096 hosts in use, and 16 octets per held or resting host.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	POOL_HOSTS_MAX = 1 << 24,
	POOL_V4_BITS_MAX = 30, /* longest prefix with a host beside the gateway */
	POOL_V6_BITS_MAX = 126,
};

struct pool;

/**
 * pool_new() - An empty pool for @prefix
 *
 * Return: 0; ERR_RANGE when @prefix is too long to hold the gateway and one peer;
 *	   -ENOMEM.
 */
int pool_new(const struct ip_prefix *prefix, struct pool **ret);
struct pool *pool_free(struct pool *p); /* takes NULL, returns NULL */

/**
 * pool_take_lowest() - Take the lowest host that is neither held nor resting at @now_ns
 *
 * Return: 0 with the address in @ret; ERR_EXHAUSTED; -ENOMEM.
 */
int pool_take_lowest(struct pool *p, uint64_t now_ns, struct ip_addr *ret);

/**
 * pool_take() - Take this very address
 *
 * Return: 0; ERR_RANGE when it is not a host this pool gives; ERR_EXISTS when it is held;
 *	   ERR_EXPIRED when it still rests at @now_ns; -ENOMEM.
 */
int pool_take(struct pool *p, uint64_t now_ns, const struct ip_addr *a);

/**
 * pool_release() - Give a held address back; it rests until @until_ns (0: free at once)
 *
 * Return: 0, or ERR_UNKNOWN when it is not held (the pool is then unchanged).
 */
int pool_release(struct pool *p, const struct ip_addr *a, uint64_t until_ns);

/** pool_held() - Is this address held by somebody (not free, not resting)? */
bool pool_held(const struct pool *p, const struct ip_addr *a);

struct ip_addr pool_gateway(const struct pool *p);
const struct ip_prefix *pool_prefix(const struct pool *p);
uint64_t pool_total(const struct pool *p); /* hosts that can be given at all */
uint64_t pool_used(const struct pool *p);  /* held */
uint64_t pool_resting(
	const struct pool *p); /* in quarantine, as of the last call with a time */
