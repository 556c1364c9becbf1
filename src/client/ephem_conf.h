/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ephem_conf.h - A configuration that a gateway sent, before it becomes a file of ours
 *
 * wg-quick runs what PostUp and its like say, as root: a gateway has no business there. Where the key
 * pair was made here, the gateway sends values instead, each of which is read before it is written.
 *
 * Threads: none here.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"
#include "crypto/secret.h"

/**
 * ephem_conf_check() - Is it a client's configuration, without commands?
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE (it names programs to run, or wants to be written over), ERR_LIMIT,
 *	   -ENOMEM; with a sentence in @d.
 */
int ephem_conf_check(const char *text, size_t len, struct diag *d);

/**
 * ephem_conf_make() - The file of @id from what POST /enroll answered
 * @values:	{"address", "dns", "server_public_key", "endpoint", "allowed_ips", "persistent_keepalive"}
 * @key:	The private key that was made here
 * @out:	Empty; text_done() in any case
 *
 * Return: 0; ERR_FORMAT, -ENOMEM; with a sentence in @d.
 */
int ephem_conf_make(const char *id, const json_t *values, const struct secret_key *key,
		    struct text *out, struct diag *d);
