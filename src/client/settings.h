/* SPDX-License-Identifier: Apache-2.0 */
/**
 * settings.h - The one switch of the kernel that a client needs, counted among all who need it
 *
 * net.ipv4.conf.all.src_valid_mark: where rp_filter is strict, the answers of an endpoint are judged by
 * the route that marked packets take. The value before the first client is in the journal of
 * this host (host/journal.h) and comes back with the last one, unless somebody else has changed
 * it meanwhile.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/err.h"

/**
 * settings_hold() - Enter (@pid, @started) and switch it on
 *
 * Return: 0; as journal_open(); -errno when it cannot be switched. With a sentence in @d.
 */
int settings_hold(const char *interface, pid_t pid, uint64_t started, struct diag *d);

/** settings_release() - Leave; also who has never entered, or has left. As above */
int settings_release(pid_t pid, uint64_t started, struct diag *d);
