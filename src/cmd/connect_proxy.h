/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_proxy.h - `culvert connect --connect-proxy`: a proxy in the place of a file
 *
 * What a file would say of addresses, name server and where the traffic goes is said here, as the file of a peer
 * that lives where the proxy does; its keys are nobody's and are never used.
 */
#pragma once

#include <limits.h>

#include "base/text.h"
#include "client/proxy_child.h"
#include "client/session.h"
#include "cmd/proxy_settings.h"
#include "conf/wgconf.h"

/** struct connect_proxy - All zeroes at first; connect_proxy_done() wipes
 * @target:	HOST:PORT; NULL: there is no proxy
 * @key_file, @user, @dns: NULL: not said
 */
struct connect_proxy {
	const char *target;
	const char *key_file;
	const char *user;
	const char *dns;
	struct proxy_settings settings;
	struct client_proxy client;
	char key_path[PATH_MAX];
	struct text file;
	struct wgconf conf;
};

/** connect_proxy_make() - Understand what was said, and fill @config. Return: an exit code */
int connect_proxy_make(struct connect_proxy *p, struct client_config *config);
void connect_proxy_done(struct connect_proxy *p);
