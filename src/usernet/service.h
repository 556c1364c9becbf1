/* SPDX-License-Identifier: Apache-2.0 */
/**
 * service.h - Ports of our own address that lead to services of the host
 *
 * Whoever runs the tunnel has named them one by one: what is refused otherwise, the host's loopback
 * among it, is reached there, and nothing beside it. Threads: as usernet.h.
 */
#pragma once

#include "usernet/usernet.h"

struct inet_pair;

/** service_find() - Does @pair's local end lead to one? Into @ret_to and @ret_port, else they stay */
bool service_find(const struct usernet *u, bool is_udp, const struct inet_pair *pair,
		  struct ip_addr *ret_to, uint16_t *ret_port);
