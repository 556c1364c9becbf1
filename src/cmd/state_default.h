/* SPDX-License-Identifier: Apache-2.0 */
/**
 * state_default.h - Where the state lies when nobody says
 *
 * Root's: /var/lib/culvert. A user's: $XDG_STATE_HOME/culvert, or ~/.local/state/culvert where
 * that variable is not an absolute path.
 *
 * Source: XDG Base Directory Specification 0.8.
 */
#pragma once

#include <sys/types.h>

enum { STATE_DEFAULT_MAX = 256 };

/** state_default() - Return: @out; root's place where a user has none that fits into it */
const char *state_default(uid_t uid, char out[STATE_DEFAULT_MAX]);

/* Make what is missing above a user's default @path, with mode 0700; root's exists. */
void state_default_prepare(const char *path);
