/* SPDX-License-Identifier: Apache-2.0 */
/**
 * forward.h - TCP ports of the host that lead to peers
 *
 * Who connects to such a port is continued by a connection from our own address inside the tunnel to the
 * peer. The peer does not see where it comes from.
 *
 * Threads: as usernet.h.
 */
#pragma once

#include "usernet/flow.h"
#include "usernet/usernet.h"

/**
 * forward_open() - Listen on the port of @rule, on every address of the host
 * @ret:	A flow of kind FLOW_FORWARD that is in no table
 *
 * Return: 0 or an error with its sentence in @d.
 */
int forward_open(struct usernet *u, const struct usernet_forward *rule, struct flow **ret,
		 struct diag *d);
struct flow *forward_close(struct flow *flow); /* of UDP as well; takes NULL, returns NULL */

/* Take who is waiting. */
void forward_work(struct usernet *u, struct flow *flow);
