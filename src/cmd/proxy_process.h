/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_process.h - The process of a proxy: what it opens, gives up, and listens to while workers work
 *
 * Threads: one; others begin inside.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "proxy/server.h"

enum { PROXY_ALLOWED_MAX = 64 };

/**
 * struct proxy_options - Texts are borrowed
 * @at:		Where to listen
 * @allowed:	Private networks that may be reached
 * @keys:	Path of a file of keys; NULL: none
 * @watches_keys: It is read again when it changes, and need not be there at first
 * @status:	Path of a socket for metrics; NULL: none
 * @says_json:	That it is ready
 */
struct proxy_options {
	struct server_config server;
	struct endpoint at[SERVER_LISTENERS_MAX];
	size_t n_at;
	struct ip_prefix allowed[PROXY_ALLOWED_MAX];
	size_t n_allowed;
	const char *keys;
	const char *status;
	bool watches_keys;
	bool says_json;
};

/** proxy_process_run() - Serve until SIGTERM or SIGINT. Return: an exit code, with a sentence in @d unless DONE */
int proxy_process_run(struct proxy_options *o, struct diag *d);
