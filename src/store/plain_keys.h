/* SPDX-License-Identifier: Apache-2.0 */
/**
 * plain_keys.h - API keys as databases before version 4 have them: sealed, once
 *
 * A row that is sealed cannot be made up by somebody who has no master key. A plain one can, and
 * nothing in a file tells an old row from one that was made to look so: whether there may be plain
 * rows is remembered elsewhere (store/kind.h).
 *
 * Threads: that of store_apply().
 */
#pragma once

#include <stdbool.h>

#include "store/sqlite.h"

/**
 * plain_keys_seal() - Seal those that are plain, all or none
 * @may_be:	There may be some. Otherwise one is somebody else's
 *
 * Return: 0; ERR_CORRUPT: there is one that may not be; as store_apply(); with the reason in @d.
 */
int plain_keys_seal(struct sqlite *s, bool may_be, struct diag *d);
