/* SPDX-License-Identifier: Apache-2.0 */
/**
 * objects.h - /api/v1/accounts and /api/v1/keys: small objects beside peers
 *
 * An account owns peers; switched off, none of them is served. A key is what a caller shows instead
 * of a signature: it has a role, may belong to an account, may expire, and is told once, when it is
 * made. Both are named in a path by their number.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void accounts_list(struct call *call);
void accounts_create(struct call *call);
void accounts_show(struct call *call);
void accounts_change(struct call *call);
void accounts_delete(struct call *call);

void keys_list(struct call *call);
void keys_create(struct call *call);
void keys_show(struct call *call);
void keys_delete(struct call *call);

/** account_is_enabled() - By the body of its record */
bool account_is_enabled(const struct record *account);
