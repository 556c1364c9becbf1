/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_environment.h - What the contracts of the REST API and the node agent read from the environment
 *
 * Threads: one, before there is another.
 */
#pragma once

#include "base/err.h"

struct api;
struct hmac_key;

/**
 * gateway_environment_read() - Window of timestamps, resolvers, names, the ECDH key, into @api
 *
 * ECDH_PRIVATE_KEY is wiped and removed from the environment.
 *
 * Return: 0; ERR_RANGE with a sentence in @d.
 */
int gateway_environment_read(struct api *api, struct diag *d);

/** gateway_environment_read_agent() - What the node agent needs. It has no default secret. Return: as above */
int gateway_environment_read_agent(struct api *api, struct diag *d);

/**
 * gateway_environment_read_api_key() - GATEWAY_API_KEY, else the file api.key in @state
 *
 * The text is the key, in the file without its newline.
 *
 * Return: 0; ERR_RANGE for one that is empty or too long; -errno. With a sentence in @d.
 */
int gateway_environment_read_api_key(const char *state, struct hmac_key *k, struct diag *d);
