/* SPDX-License-Identifier: Apache-2.0 */
/**
 * view.h - Let the gateway's user reach what lies below directories closed to it
 *
 * The state directory or the program itself may lie below a directory of mode 0700, such
 * as root's home or a temporary directory. The gateway, which is nobody, could not open
 * its database or load its modules. Then the host takes a mount namespace of its own and
 * shows both under RUN_DIR/view-IF, which anybody may pass through; the permissions of
 * what is shown stay.
 *
 * Threads: one, before others start.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"

enum {
	VIEW_PATH_MAX = 128,
	VIEW_NAME_MAX = 64,
};

/**
 * struct view - Paths as the gateway's user can use them
 * @program:	Empty: /proc/self/exe will do
 */
struct view {
	char state[VIEW_PATH_MAX];
	char program[VIEW_PATH_MAX + VIEW_NAME_MAX];
};

/**
 * view_open() - Find out what the user can reach, and show the rest
 *
 * Return: 0; -errno with a sentence in @d where the namespace cannot be had.
 */
int view_open(struct view *v, const char *run_dir, const char *interface,
	      const char *state_path, uid_t uid, gid_t gid, struct diag *d);
