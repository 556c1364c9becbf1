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

#include "api/peer_fields.h"

void peers_list(struct call *call);
void peers_create(struct call *call);
void peers_show(struct call *call);
void peers_configuration(struct call *call);
void peers_change(struct call *call);
void peers_delete(struct call *call);

/* --- For batches (api/batch.c) --- */

/** peers_prepare_add() - A new peer out of what was read, with this gateway's defaults */
void peers_prepare_add(const struct call *call, const struct peer_fields *f,
		       struct gateway_add *ret);

/** peers_read_fields() - The members of a peer, as far as the caller may set them */
void peers_read_fields(const struct call *call, struct json_reader *r, struct peer_fields *f);

/** peers_read_change() - What becomes of a peer. Return: false: it is wrong, see @r's errors */
bool peers_read_change(struct call *call, struct json_reader *r, struct peer_fields *f);
