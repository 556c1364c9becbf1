/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_child.h - The command line of a tunnel process that goes through an HTTP proxy
 *
 * `culvert proxy-tunnel`, which is told the address, never the name: with the tunnel standing names are found through
 * it alone. It reads its key itself, from the file or from the variable VPN_API_KEY.
 */
#pragma once

#include "client/plan.h"
#include "usernet/usernet.h"

enum { PROXY_CHILD_WORDS = 20, PROXY_CHILD_MTU = 1500 };

/**
 * struct client_proxy - Borrowed, for as long as the connection lasts
 * @usernet:	For client/proxy_probe.h; its @proxy and @mark are filled in
 * @dns:	Resolvers behind it, as on a command line
 * @key_file:	An absolute path, or NULL
 * @user:	For Basic, or NULL
 */
struct client_proxy {
	struct usernet_options *usernet;
	const char *dns;
	const char *key_file;
	const char *user;
};

/** struct proxy_child - The words, and room for those that are made */
struct proxy_child {
	const char *argv[PROXY_CHILD_WORDS];
	char endpoint[ADDR_TEXT_MAX];
	char mark[12];
	char mtu[12];
};

/** proxy_child_make() - @plan has the proxy as its first endpoint */
void proxy_child_make(const struct client_proxy *proxy, const struct client_plan *plan,
		      struct proxy_child *ret);
