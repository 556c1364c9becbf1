/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_kind.h - Options of `culvert gateway` about what serves its interface
 *
 * Threads: one.
 */
#pragma once

#include "cmd/options.h"
#include "host/host.h"

/* One row per option, for the table of `culvert gateway`. */
#define GATEWAY_KIND_ROWS                                                                   \
	{ "kind",                                                                           \
	  "KIND",                                                                           \
	  "userspace",                                                                      \
	  NULL,                                                                             \
	  "what serves the interface: userspace, tun, usernet, kernel or auto",             \
	  NULL },                                                                           \
		{ "allow",                                                                  \
		  "NET,...",                                                                \
		  NULL,                                                                     \
		  NULL,                                                                     \
		  "usernet: private networks that peers may reach",                         \
		  NULL },                                                                   \
		{ "resolvers",                                                              \
		  "A,...",                                                                  \
		  NULL,                                                                     \
		  NULL,                                                                     \
		  "usernet: those behind port 53 of the gateway; else of /etc/resolv.conf", \
		  NULL },                                                                   \
		{ "forward",                                                                \
		  "RULE,...",                                                               \
		  NULL,                                                                     \
		  NULL,                                                                     \
		  "usernet: ports of this host that lead to peers",                         \
		  NULL },                                                                   \
	{                                                                                   \
		"serve", "RULE,...", NULL, NULL,                                            \
			"usernet: ports of the gateway that lead to services of this host", \
			NULL                                                                \
	}

enum { GATEWAY_KIND_ARGUMENTS = 2 * 4 + 1 };

/**
 * struct gateway_kind - What @c borrows from gateway_kind_read()
 * @usernet:	Arguments of the tunnel process
 */
struct gateway_kind {
	const char *usernet[GATEWAY_KIND_ARGUMENTS];
	char run_dir[128];
};

/** gateway_kind_read() - Into @c; complains on standard error. @c->obfuscation, @c->state are read before
 * Return: an exit code, EXIT_DONE when it is fine. */
int gateway_kind_read(const struct options *o, struct gateway_kind *k, struct host_config *c);
