/* SPDX-License-Identifier: Apache-2.0 */
/**
 * group.h - What becomes of the changes of one group, whatever the store that makes them
 *
 * A group is a list of runs; a run is a change and those that are joined to it. A refusal ends its run
 * alone; anything else ends the group.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/** group_is_refusal() - Of one change, which contradicts what is stored; else of the whole group */
bool group_is_refusal(int err);

/** group_run_end() - The first change that is not joined to @first any more; NULL at the end */
struct store_change *group_run_end(struct store_change *first);

/** group_cancel_run() - The one that was refused says why; the others, that it was not they */
void group_cancel_run(struct store_change *first, const struct store_change *end);

/** group_fail() - Nothing of it was done */
void group_fail(struct store_change *first, int err);

/**
 * group_keep_ids() - The numbers of the records before anything is done
 * @ret:	To be freed with free()
 *
 * Return: 0 or -ENOMEM.
 */
int group_keep_ids(const struct store_change *first, int64_t **ret);

/** group_put_back_ids() - A record that was not made is new still. @is_all: nothing was made */
void group_put_back_ids(struct store_change *first, const int64_t *ids, bool is_all);
