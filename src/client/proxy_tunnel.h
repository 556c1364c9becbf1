/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_tunnel.h - A TUN interface whose traffic leaves through an HTTP proxy
 *
 * Theory of operation. What this host sends into the interface is taken apart by a usernet, as packets
 * of a peer are on a gateway: each TCP connection ends here and continues as a CONNECT of its own
 * (usernet/way.h). Super-frames of the interface go in and come out whole, so bulk data costs one
 * pass of one process. The sockets carry a mark, by which routing must send them elsewhere than into the
 * interface; that, addresses and routes are the caller's.
 *
 * Threads: one, which runs it.
 */
#pragma once

#include "base/err.h"
#include "usernet/usernet.h"

/**
 * struct proxy_tunnel_options - Copied
 * @name:	Of the interface, which must not belong to anybody else
 * @usernet:	With @proxy; what a tunnel has to say itself (@send and the like) is filled in
 */
struct proxy_tunnel_options {
	const char *name;
	struct usernet_options usernet;
};

struct proxy_tunnel;

/**
 * proxy_tunnel_open() - Make the interface, with the MTU of @options, and set it up
 *
 * Return: 0, or an error with its sentence in @d (-EPERM: no right to make interfaces).
 */
int proxy_tunnel_open(const struct proxy_tunnel_options *options, struct proxy_tunnel **ret,
		      struct diag *d);

/* The interface and all connections end. Takes NULL, returns NULL. */
struct proxy_tunnel *proxy_tunnel_free(struct proxy_tunnel *t);

/**
 * proxy_tunnel_run() - Carry packets until @stop can be read
 * Return: 0; -EBADFD when the interface was deleted; another -errno.
 */
int proxy_tunnel_run(struct proxy_tunnel *t, int stop);
