/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kind.h - Where a gateway keeps what it must not forget, for who sees its state directory only
 *
 * The file "store" in it says that the gateway's store is PostgreSQL; SQLite's database lies there
 * itself. So whoever forgets an option does not begin anew with an empty store, and tools do not
 * take an old file for the state.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

bool kind_is_postgres(const char *state);

/** kind_set_postgres() - Return: 0; -errno with a sentence in @d */
int kind_set_postgres(const char *state, struct diag *d);
