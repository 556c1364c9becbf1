/* SPDX-License-Identifier: Apache-2.0 */
/**
 * adopt.h - What somebody else did to the interface becomes what is stored
 *
 * For operators who go on working with wg(8): a peer that was added is stored, with the first
 * host address of each family as its own and all else as networks behind it; one that was changed
 * gets what the interface has; one that was removed is suspended, so that it can come back. All
 * of it are changes like any other, made by "drift", and what is refused (an address that
 * belongs to another peer, say) is logged and left.
 *
 * Bounds:  ADOPT_PEERS_MAX peers wait; of more at once the rest is left, and said.
 * Threads: adopt_take() in the writer's thread, the others in the main loop's.
 */
#pragma once

#include "gateway/drift.h"
#include "gateway/gateway.h"

enum { ADOPT_PEERS_MAX = 4096 };

struct adopt;

int adopt_new(struct adopt **ret);
struct adopt *adopt_free(struct adopt *a); /* takes NULL, returns NULL */

/** adopt_serve() - Whose peers they become; before the first adopt_tick() */
void adopt_serve(struct adopt *a, struct gateway *g);

/** adopt_take() - A drift_taker: @adopt gets @n differences, which are copied */
void adopt_take(void *adopt, const struct drift_peer *peers, size_t n);

/** adopt_tick() - Decide what waits, as far as that goes now; call it again and again */
void adopt_tick(struct adopt *a, uint64_t wall_ns);
