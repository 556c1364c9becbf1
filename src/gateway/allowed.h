/* SPDX-License-Identifier: Apache-2.0 */
/**
 * allowed.h - The allowed IPs of a peer, told apart: its addresses, and the networks behind it
 *
 * The first host out of each of the gateway's own networks is the peer's address of that family;
 * everything else is a network behind it.
 *
 * Threads: none here.
 */
#pragma once

#include "base/addr.h"
#include "store/store.h"

enum { ALLOWED_MAX = 34 }; /* prefixes of one peer */

/**
 * struct allowed - @v4, @v6: family ADDR_NONE: no address
 * @routes:	As stored (gateway/routes.h), sorted by their text; "" for none
 */
struct allowed {
	struct ip_addr v4;
	struct ip_addr v6;
	char routes[STORE_ROUTES_MAX + 1];
};

/**
 * allowed_sort_out() - Tell @n @prefixes apart
 * @subnet4, @subnet6: The gateway's own networks
 *
 * Return: 0; ERR_LIMIT: more than ALLOWED_MAX, or than a peer's networks may be long.
 */
int allowed_sort_out(const struct ip_prefix *subnet4, const struct ip_prefix *subnet6,
		     const struct ip_prefix *prefixes, size_t n, struct allowed *ret);
