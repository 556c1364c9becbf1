/* SPDX-License-Identifier: Apache-2.0 */
/**
 * public_addr.h - May somebody else make us connect there?
 *
 * Who names a host that we shall call must not reach through us what only we can reach: our own
 * loopback, the network around us, an address where a cloud hands out credentials. Judge the address
 * that is connected to, not the name it came from: a name may mean another address a moment later.
 *
 * Source:  the IANA registries of special-purpose addresses (RFC 6890) and of global unicast.
 * Threads: any.
 */
#pragma once

#include <stdbool.h>

#include "base/addr.h"

/** public_addr_is() - Is it one that the Internet at large can reach? Of an IPv6 address that has an
 *  IPv4 one inside (mapped, 6to4, NAT64) that one counts too */
bool public_addr_is(const struct ip_addr *a);

/** public_addr_is_never() - Nobody's server, whatever an operator allows: "this host", link-local
 *  with the metadata services of clouds, multicast, broadcast */
bool public_addr_is_never(const struct ip_addr *a);

bool public_addr_is_loopback(const struct ip_addr *a);
