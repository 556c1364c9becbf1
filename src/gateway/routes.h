/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.h - The networks behind a peer, as they are stored: "192.168.7.0/24,fd77::/64"
 *
 * Threads: none here.
 */
#pragma once

#include "base/addr.h"

/* Return 0 to go on, or a code that ends the walk and is returned. */
typedef int (*routes_visitor)(void *context, const struct ip_prefix *prefix);

/** routes_each() - @routes may be NULL: none. Return: 0; ERR_CORRUPT for what is no prefix; @visit's */
int routes_each(const char *routes, routes_visitor visit, void *context);
