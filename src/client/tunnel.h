/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tunnel.h - The tunnel process of a client: started, configured, started again
 *
 * `culvert device IF` as a child, with the peers of a file, or `culvert proxy-tunnel`, which has none;
 * the addresses, and the routes that end with it.
 *
 * Threads: one.
 */
#pragma once

#include "client/plan.h"
#include "client/proxy_child.h"
#include "conf/wgconf.h"
#include "host/child.h"
#include "iface/iface.h"
#include "iface/snapshot.h"
#include "net/netlink.h"

/**
 * struct client_tunnel - Set the first four, which are borrowed; the rest is zero
 * @endpoints:	Where the file's peers are, in its order
 * @proxy:	What is on the way instead of a peer; NULL: nothing
 * @index:	Of the interface; 0: there is none
 * @log_fd:	What the process says, to be passed on by client_tunnel_listen(); 0: nothing
 * @due_ns:	When one that has ended is to be started again
 */
struct client_tunnel {
	const struct client_plan *plan;
	const struct wgconf *conf;
	const struct endpoint *endpoints;
	struct netlink *nl;
	const struct client_proxy *proxy;
	struct iface *iface;
	struct child child;
	uint32_t index;
	int log_fd;
	uint64_t due_ns;
};

/**
 * client_tunnel_start() - Start the process and wait until it listens
 *
 * Return: 0; -EACCES when the process said that it lacks a privilege, other codes; with a sentence
 *	   in @d.
 */
int client_tunnel_start(struct client_tunnel *t, struct diag *d);

/** client_tunnel_configure() - Keys, peers, mark; addresses, MTU, up; routes. 0 or as above */
int client_tunnel_configure(struct client_tunnel *t, struct diag *d);

/** client_tunnel_look() - All it says of itself; @ret as iface_snapshot_take() has it */
int client_tunnel_look(struct client_tunnel *t, struct iface_snapshot *ret, struct diag *d);

/** client_tunnel_call() - Have the peer at @index of the file called now, at @endpoint
 * @afresh:	Forget the session with it, so that an answer is one to this call */
int client_tunnel_call(struct client_tunnel *t, size_t index, const struct endpoint *endpoint,
		       bool afresh, struct diag *d);

/** client_tunnel_listen() - Pass on to our standard error what the process has said on its own
 *
 * It has none of the descriptors we were started with: whoever waits for them to be closed does not wait
 * for the tunnel.
 */
void client_tunnel_listen(struct client_tunnel *t);

/** client_tunnel_has_ended() - Take note of it. true: start it again at @t->due_ns */
bool client_tunnel_has_ended(struct client_tunnel *t);

/* End it; the interface goes with it. */
void client_tunnel_stop(struct client_tunnel *t);
