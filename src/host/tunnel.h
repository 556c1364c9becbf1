/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tunnel.h - Talking to the tunnel process from the host's side
 *
 * Only what must happen before the gateway gets its own connection: the private key, which
 * the gateway never sees, and the port. Threads: one.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "crypto/secret.h"

/** tunnel_socket_path() - Where the socket of @interface lies. Return: @out */
char *tunnel_socket_path(const char *interface, char out[64]);

/** tunnel_connect() - Return: a connected descriptor; -ENOENT, -ECONNREFUSED: nobody listens yet */
int tunnel_connect(const char *interface);
int tunnel_connect_at(const char *path); /* the same */

/**
 * tunnel_connect_limited() - A connection to hand to the gateway
 *
 * It cannot read or replace the private key, nor take the device over.
 * Return: a connected descriptor; -EBUSY when the tunnel has enough such connections;
 *	   -EPROTO when it does not know them.
 */
int tunnel_connect_limited(const char *interface);
int tunnel_connect_limited_at(const char *path); /* the same */

/** tunnel_limit() - Make a connection such a one. @fd stays open. Return: 0 or as above */
int tunnel_limit(int fd);

/**
 * tunnel_configure() - Set key and port on a connection, and wait for the answer
 *
 * Return: 0; -EADDRINUSE; -ETIMEDOUT after 10 s; -EPROTO for an answer that is none; other
 *	   -errno as the tunnel gave it. With a sentence in @d.
 */
int tunnel_configure(int fd, const struct secret_key *key, uint16_t port, struct diag *d);
