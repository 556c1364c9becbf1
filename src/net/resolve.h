/* SPDX-License-Identifier: Apache-2.0 */
/**
 * resolve.h - Names of hosts to endpoints, and how large a packet may be on the way there
 *
 * Both ask the system, and may wait: for the tools, not for a tunnel's threads.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"

/**
 * resolve_endpoint() - The first address that the resolver has for a name
 * @host:	A name, or an address without brackets, with its zone if it has one
 *
 * Return: 0; -EAGAIN: no answer now, perhaps later; ERR_UNKNOWN: there is no such host; -ENOMEM.
 */
int resolve_endpoint(const char *host, uint16_t port, struct endpoint *ret);

/**
 * resolve_path_mtu() - MTU of the route to @to, as far as the kernel knows
 * @mark:	Of the packets, for routing rules; 0: none. Without the right to set it, the
 *		route of unmarked packets is asked for
 *
 * Return: 0 or -errno (-ENETUNREACH: no route).
 */
int resolve_path_mtu(const struct endpoint *to, uint32_t mark, uint32_t *ret);
