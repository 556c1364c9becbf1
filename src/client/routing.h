/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routing.h - The routes of this host, noted before a tunnel comes up and brought back afterwards
 *
 * The note is a text for people: the default routes first, then the packet filter's rules and the
 * resolvers as they were. What is brought back are the default routes, field by field
 * (route_line.h); nothing of the file is ever evaluated. It belongs to root, and only root may write it.
 *
 * Source:  the routing tool of the ephemeral client: its commands and the form of its file.
 * Threads: none here.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "client/route_line.h"

/* Of the tunnel of that client. */
#define ROUTING_DEVICE	"tun0"
#define ROUTING_NETWORK "10.0.0.0/24"

#define ROUTING_STATE	  "/var/lib/culvert"
#define ROUTING_FILE	  ROUTING_STATE "/vpn-routing-backup.txt"
#define ROUTING_FILE_ONCE "/tmp/vpn-routing-backup.txt" /* where the tool of others had it */
#define ROUTING_SESSION	  ROUTING_STATE "/vpn-routing-session.txt"

/** routing_backup() - Write ROUTING_FILE. Return: 0; -errno; with a sentence in @d */
int routing_backup(struct diag *d);

/**
 * routing_restore() - Bring the default routes back that the note has, and end what the session left
 * @ret_path:	Of the note that was used
 *
 * A route that leads nowhere any more is not installed: what is there stays then.
 *
 * Return: 0; -ENOENT: there is no note; -EPERM: it is not root's alone; ERR_FORMAT: a line of it is no
 *	   route; ERR_UNABLE: the kernel takes a route no more; -errno; with a sentence in @d.
 */
int routing_restore(char ret_path[PATH_MAX], struct diag *d);

/** routing_has_device() - Is there ROUTING_DEVICE? */
bool routing_has_device(void);

/** routing_setup() - ROUTING_NETWORK through ROUTING_DEVICE, and nothing else. Return: 0; -errno; with a
 *  sentence in @d */
int routing_setup(struct diag *d);

/**
 * routing_begin() - A session begins: note that, and the way to @server, which is not to lie in the tunnel
 *
 * Return: 0; -EBUSY: the last one did not end, routing_restore() comes first; -errno; with a sentence in @d.
 */
int routing_begin(const struct ip_addr *server, struct diag *d);

/** routing_is_open() - Has a session begun that was not ended? */
bool routing_is_open(void);
