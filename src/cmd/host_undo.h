/* SPDX-License-Identifier: Apache-2.0 */
/**
 * host_undo.h - Rules that go away by themselves unless somebody confirms them
 *
 * Who locks himself out cannot take rules back. So a small process of ours is started before
 * they are set. It has no terminal and no parent, waits, and puts back the table of before;
 * it does so when the command that set them was killed, too. The file RUN_DIR/host-firewall
 * says which process waits, and holds the table of before: whoever removes the file has
 * confirmed. Rules set while others wait go back to what was before all of them.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/**
 * host_undo_arm() - Start the process that waits
 * @table:	"inet TABLE" as nft lists it now is what comes back
 *
 * Return: 0 when it waits; what failed, with a sentence in @d, and nothing is waiting then
 *	   that was not before.
 */
int host_undo_arm(const char *table, unsigned int seconds, struct diag *d);

/** host_undo_confirm() - What was set stays. 0; -ENOENT: nothing waits; -errno */
int host_undo_confirm(struct diag *d);

/* Does anything wait? */
bool host_undo_waits(void);
