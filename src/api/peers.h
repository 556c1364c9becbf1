/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peers.h - /api/v1/peers: our own routes, for the command line and for whoever signs
 *
 * A peer is named in a path by its name or its key. A private key appears once, in the
 * reply to the request that had it generated, and is stored nowhere.
 *
 * Threads: the main loop's.
 */
#pragma once

struct call;

void peers_list(struct call *call);
void peers_create(struct call *call);
void peers_show(struct call *call);
void peers_configuration(struct call *call);
void peers_change(struct call *call);
void peers_delete(struct call *call);
