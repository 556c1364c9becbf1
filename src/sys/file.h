/* SPDX-License-Identifier: Apache-2.0 */
/**
 * file.h - Small files: read whole, or replaced so that a power cut leaves old or new
 *
 * @dir is a descriptor of a directory, or AT_FDCWD; @name a path relative to it. Symbolic
 * links are not followed in the last component: whoever may write the directory cannot
 * aim us at another file. Threads: any.
 */
#pragma once

#include <stddef.h>

#include <sys/types.h>

/**
 * struct file_owner - Who may use a file that is written
 * @mode:	Permission bits, not touched by the umask; 0600 for secrets
 * @uid, @gid:	(uid_t)-1, (gid_t)-1: the process's own
 */
struct file_owner {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

#define FILE_MODE(mode_) \
	((struct file_owner){ .mode = (mode_), .uid = (uid_t)-1, .gid = (gid_t)-1 })

/**
 * file_read() - Read a regular file of at most @max octets; a symbolic link is -ELOOP
 *
 * Return: 0; ERR_LIMIT if there is more; -EINVAL if it is not a regular file; -errno.
 *	   @out may be overwritten in any case, @ret_len is set on success only.
 */
int file_read(int dir, const char *name, void *out, size_t max, size_t *ret_len);

/**
 * file_read_named() - The same of a file that an operator named
 *
 * Links are followed: certificates that are renewed and secrets that are mounted are links.
 */
int file_read_named(const char *path, void *out, size_t max, size_t *ret_len);

/**
 * file_read_ours() - The same of a file that is going to be obeyed
 *
 * Return: also -EPERM unless it belongs to root or to us, group and others cannot write it, and it has
 *	   one name only.
 */
int file_read_ours(int dir, const char *name, void *out, size_t max, size_t *ret_len);

/**
 * file_write() - Replace or create a file, durably
 *
 * Written under another name in the same directory, synchronised, renamed, and the
 * directory synchronised. When it returns 0 the content survives a power cut. After a
 * failure before the rename the old content stands and the other name is gone.
 *
 * Return: 0 or -errno.
 */
int file_write(int dir, const char *name, const void *data, size_t len,
	       struct file_owner owner);

/* A directory entry is durable only once the directory itself was synchronised. 0 or -errno. */
int file_sync_parent(int dir, const char *name);

/* Write all of @data, through short writes and signals. 0 or -errno. */
int file_write_all(int fd, const void *data, size_t len);
