/* SPDX-License-Identifier: Apache-2.0 */
/**
 * agent_peers.h - Peers in the dialect of the node agent
 *
 * It knows a peer by its key and its allowed IPs. A host out of the gateway's own networks is the peer's
 * address here; everything else is a network behind it.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void agent_peers_dump(struct call *call);
void agent_peers_add(struct call *call);
void agent_peers_change(struct call *call); /* @call->key; so the next */
void agent_peers_remove(struct call *call);
void agent_peers_sync(struct call *call);
