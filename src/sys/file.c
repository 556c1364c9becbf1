/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "sys/random.h"

/* Read until the end of the file or until @max + 1 octets were seen. */
static int read_up_to(int fd, uint8_t *out, size_t max, size_t *ret_len)
{
	size_t len = 0;
	uint8_t beyond;

	for (;;) {
		bool is_full = len == max;
		ssize_t n = read(fd, is_full ? &beyond : out + len, is_full ? 1 : max - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (is_full)
			return ERR_LIMIT;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

/* Nobody else can have written it, nor write it now. */
static bool is_ours(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && st->st_nlink == 1 &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int read_file(int dir, const char *name, int flags, bool must_be_ours, void *out,
		     size_t max, size_t *ret_len)
{
	struct stat st;
	int err = 0;
	/* O_NONBLOCK: a FIFO somebody put there must not hold us. */
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	else if (must_be_ours && !is_ours(&st))
		err = -EPERM;
	else
		err = read_up_to(fd, out, max, ret_len);
	close(fd);
	return err;
}

int file_read(int dir, const char *name, void *out, size_t max, size_t *ret_len)
{
	return read_file(dir, name, O_NOFOLLOW, false, out, max, ret_len);
}

int file_read_named(const char *path, void *out, size_t max, size_t *ret_len)
{
	return read_file(AT_FDCWD, path, 0, false, out, max, ret_len);
}

int file_read_ours(int dir, const char *name, void *out, size_t max, size_t *ret_len)
{
	return read_file(dir, name, O_NOFOLLOW, true, out, max, ret_len);
}

int file_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Fill and synchronise a new file; it is gone again after a failure. */
static int create(int dir, const char *name, const void *data, size_t len,
		  struct file_owner owner)
{
	int err;
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	err = file_write_all(fd, data, len);
	if (err == 0 && (owner.uid != (uid_t)-1 || owner.gid != (gid_t)-1) &&
	    fchown(fd, owner.uid, owner.gid) < 0)
		err = -errno;
	if (err == 0 && fchmod(fd, owner.mode) < 0)
		err = -errno;
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && err == 0)
		err = -errno;
	if (err < 0)
		unlinkat(dir, name, 0);
	return err;
}

int file_sync_parent(int dir, const char *name)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(name, '/');
	int err = 0;
	int fd;

	if (slash && (size_t)(slash - name) + 2 > sizeof(parent))
		return -ENAMETOOLONG;
	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name + 1), name);
	fd = openat(dir, slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		err = -errno;
	close(fd);
	return err;
}

int file_write(int dir, const char *name, const void *data, size_t len, struct file_owner owner)
{
	char other[PATH_MAX];
	uint64_t suffix;
	int err, n;

	random_fill(&suffix, sizeof(suffix)); /* two writers at once do not meet */
	n = snprintf(other, sizeof(other), "%s.%016" PRIx64, name, suffix);
	if (n < 0 || (size_t)n >= sizeof(other))
		return -ENAMETOOLONG;
	err = create(dir, other, data, len, owner);
	if (err < 0)
		return err;
	if (renameat(dir, other, dir, name) < 0) {
		err = -errno;
		unlinkat(dir, other, 0);
		return err;
	}
	return file_sync_parent(dir, name);
}
