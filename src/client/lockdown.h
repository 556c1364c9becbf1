/* SPDX-License-Identifier: Apache-2.0 */
/**
 * lockdown.h - Nothing leaves unless a full tunnel is connected; also from boot on
 *
 * The file STATE/client/lockdown says that it is on, table "inet culvert_lockdown" does it. The
 * transaction that makes a full tunnel's firewall takes that table away, the one that removes
 * that firewall puts it back: there is no moment between. What still leaves is DHCP and discovery, as in
 * client/firewall.h.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

/* @dir_fd: of STATE/client, as in struct undo_journal */
bool client_lockdown_is_on(int dir_fd);

/** client_lockdown_set() - Switch it on or off, durably
 *
 * While a full tunnel's firewall stands only the file changes. Any other connection is cut off by the
 * table until lockdown ends; @d then says so. On also when it is on: after a restart the table
 * has to be made again.
 *
 * Return: 0; as undo_journal_open(); -errno, ERR_UNKNOWN from nft; with a sentence in @d.
 */
int client_lockdown_set(const char *state, bool on, struct diag *d);

/** client_lockdown_look() - Is it on? Return: 1 or 0; -errno, with a sentence in @d */
int client_lockdown_look(const char *state, struct diag *d);
