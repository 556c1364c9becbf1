/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kind.h - Where a gateway keeps what it must not forget, for who sees its state directory only
 *
 * The file "sealed" says that all API keys in the database were sealed once, so that a plain one is not
 * of ours. Whoever can write the database alone cannot take that back.
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

enum { KIND_SEALED_SCHEMA = 4 }; /* databases before that have plain ones */

bool kind_has_sealed_keys(const char *state);

/** kind_set_sealed_keys() - The same */
int kind_set_sealed_keys(const char *state, struct diag *d);

/** kind_forget_sealed_keys() - A database of before takes the place of the one there. Return: 0 or -errno */
int kind_forget_sealed_keys(int state);
