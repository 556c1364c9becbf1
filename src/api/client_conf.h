/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client_conf.h - What a client needs to know of this gateway, as values and as a file
 *
 * Part of it is drawn for each client, so it is made once and then written in either form.
 *
 * Threads: the main loop's.
 */
#pragma once

#include <jansson.h>

#include "api/call.h"

/**
 * struct client_conf - Of one client
 * @framing:	Its own: what both ends need in common, and the rest drawn
 * @keepalive:	Seconds
 * @mtu:	Of its tunnel, where the path takes 1500 octets
 */
struct client_conf {
	struct frame_parameters framing;
	struct frame_range keepalive;
	uint16_t mtu;
};

/**
 * client_conf_init() - Draw what a client of @level gets
 *
 * Return: 0; ERR_UNKNOWN when the gateway has no parameters for that level; -ENOMEM. @ret is
 *	   initialised in any case.
 */
int client_conf_init(const struct api *api, enum frame_level level, struct client_conf *ret);
void client_conf_done(struct client_conf *c);

/** client_conf_has() - Would client_conf_init() know that level? */
bool client_conf_has(const struct api *api, enum frame_level level);

/** client_conf_endpoint() - "host:port" or "[v6]:port" where clients find us; "" if unknown */
void client_conf_endpoint(const struct api *api, char out[API_HOST_MAX + 16]);

/** client_conf_parameters() - What is not at its default: {"Jc":"5", …}, spelled as in files */
json_t *client_conf_parameters(const struct frame_parameters *p);

/**
 * client_conf_values() - Member "client" of a reply: what goes into the client's file
 *
 * {"server_public_key","endpoint","dns":[],"allowed_ips":[],"mtu","persistent_keepalive"}, the
 * last one an integer or, where it is a range, its text; and "amneziawg", the parameters, unless
 * they are those of plain WireGuard.
 */
json_t *client_conf_values(const struct api *api, const struct peer *peer,
			   const struct client_conf *c);

/**
 * client_conf_text() - The file, for wg-quick, awg-quick and for apps
 * @preshared_key: NULL: none, or not known here any more
 * @private_key: NULL: the client has its own
 *
 * Return: 0, or what is in @out->err.
 */
int client_conf_text(const struct api *api, const struct peer *peer,
		     const struct client_conf *conf, const struct secret_key *private_key,
		     const struct secret_key *preshared_key, struct text *out);
