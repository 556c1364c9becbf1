/* SPDX-License-Identifier: Apache-2.0 */
/**
 * resolv_file.h - /etc/resolv.conf replaced, and put back as the very same file
 *
 * Where it can be renamed the old one, file or symbolic link, gets a second name beside it and comes back
 * under its own: the same inode with its owner, mode and times. A file that is a mount of its
 * own (containers) is written in place. Whoever has written another one meanwhile is left
 * alone: that one is newer than what we have.
 *
 * Every call may be killed anywhere; resolv_file_restore() then finds its way.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/undo_journal.h"

/**
 * struct resolv_file - Where; borrowed
 * @dir:	"/etc"
 * @state_fd:	Directory for what was in it, where it is written in place
 */
struct resolv_file {
	const char *dir;
	const char *interface;
	int state_fd;
};

/** resolv_file_choose() - How it has to be done. 0 or -errno */
int resolv_file_choose(const struct resolv_file *f, enum undo_resolv *ret);

/** resolv_file_replace() - Put @content there, as @step says. 0 or -errno */
int resolv_file_replace(const struct resolv_file *f, const struct undo_step *step);

/** resolv_file_is_ours() - Is what is there what @step has put there? */
bool resolv_file_is_ours(const struct resolv_file *f, const struct undo_step *step);

/**
 * resolv_file_restore() - Put the old one back; again as often as one likes
 * @ret_left:	Set when somebody else has changed it, and it was left as it is
 *
 * Return: 0 or -errno.
 */
int resolv_file_restore(const struct resolv_file *f, const struct undo_step *step,
			bool *ret_left);
