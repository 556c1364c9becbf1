/* SPDX-License-Identifier: Apache-2.0 */
/**
 * facts.h - GET /api/v1/gateway: which gateway this is
 *
 * What whoever moves peers from or to another server has to know: interface, key, port, networks,
 * where clients find it, and the level of new peers.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void facts_show(struct call *call);
