/* SPDX-License-Identifier: Apache-2.0 */
/**
 * facts.h - /api/v1/gateway: which gateway this is, and whether it serves
 *
 * What whoever moves peers from or to another server has to know: interface, key, port, networks,
 * where clients find it, and the level of new peers.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void facts_show(struct call *call);
/* PATCH: {"enabled": false} serves nobody, also after a restart, until it is true again */
void facts_change(struct call *call);
