/* SPDX-License-Identifier: Apache-2.0 */
/**
 * batch.h - /api/v1/batch: up to BATCH_MAX peers made, changed and removed in one transaction
 *
 * {"create": [peer, …], "update": [{"peer": NAME or KEY, …}, …], "delete": [NAME or KEY, …]}: all of it
 * happens, or nothing does. What is wrong is named by its place. With "dry_run": true it is decided, and
 * nothing happens in any case.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

enum { BATCH_MAX = 1000 };

void batch_run(struct call *call);
