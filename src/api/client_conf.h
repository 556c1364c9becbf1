/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client_conf.h - What a client needs to know of this gateway, as values and as a file
 *
 * Threads: the main loop's.
 */
#pragma once

#include <jansson.h>

#include "api/call.h"

/** client_conf_endpoint() - "host:port" or "[v6]:port" where clients find us; "" if unknown */
void client_conf_endpoint(const struct api *api, char out[API_HOST_MAX + 16]);

/**
 * client_conf_values() - Member "client" of a reply: what goes into the client's file
 *
 * {"server_public_key","endpoint","dns":[],"allowed_ips":[],"mtu","persistent_keepalive"}
 */
json_t *client_conf_values(const struct api *api, const struct peer *peer);

/**
 * client_conf_text() - The file, for wg-quick and for apps
 * @private_key: NULL: the client has its own
 *
 * Return: 0, or what is in @out->err.
 */
int client_conf_text(const struct api *api, const struct peer *peer,
		     const struct secret_key *private_key, struct text *out);
