/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peer.h - What the verbs of `culvert gateway peer` share
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/text.h"
#include "cmd/options.h"

/**
 * struct peer_request - What the command line asks for
 * @name:	NULL where the verb takes none
 * @level:	NULL likewise; of some verbs the name of an access list
 */
struct peer_request {
	const struct options *options;
	const char *name;
	const char *level;
	bool json;
};

/* Each verb returns an enum command_exit. */
int peer_add(const struct peer_request *r);
int peer_conf(const struct peer_request *r);
int peer_link(const struct peer_request *r);
int peer_enroll(const struct peer_request *r);

/** peer_read_ttl() - "90", "90s", "30m", "24h", "7d": a minute to 30 days */
bool peer_read_ttl(const char *text, uint64_t *ret_s);

/** peer_complain() - "culvert gateway peer: @what". Return: @code */
int peer_complain(int code, const char *what);

/** peer_ask() - As local_api_ask(); complains about whatever is not a success */
int peer_ask(const struct peer_request *r, const char *method, const char *path,
	     const json_t *body, json_t **ret);

/** peer_path() - The path of the peer @name. Return: 0 or what is in @out->err */
int peer_path(const char *name, struct text *out);

/** peer_set_access() - Member "access" of @body: the number of the list @name, null for "none" */
int peer_set_access(const struct peer_request *r, json_t *body, const char *name);

int peer_print_json(const json_t *value);
