/* SPDX-License-Identifier: Apache-2.0 */
#include "client/resolv_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"

enum { CONTENT_MAX = 65536 };

static const char file_name[] = "resolv.conf";

/* struct names - The old file's second name, and ours before it is complete */
struct names {
	char old[64];
	char new[64];
	char saved[64]; /* in the state directory */
};

static struct names names_of(const struct resolv_file *f)
{
	struct names n;

	snprintf(n.old, sizeof(n.old), ".resolv.conf.culvert.%.15s.old", f->interface);
	snprintf(n.new, sizeof(n.new), ".resolv.conf.culvert.%.15s.new", f->interface);
	snprintf(n.saved, sizeof(n.saved), "%.15s.resolv", f->interface);
	return n;
}

static int open_dir(const struct resolv_file *f)
{
	int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int resolv_file_choose(const struct resolv_file *f, enum undo_resolv *ret)
{
	struct statx st;
	int dir = open_dir(f), err = 0;

	if (dir < 0)
		return dir;
	if (statx(dir, file_name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) < 0)
		err = -errno;
	close(dir);
	if (err < 0 && err != -ENOENT)
		return err;
	if (err == -ENOENT)
		*ret = UNDO_RESOLV_CREATED;
	else if (st.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		*ret = UNDO_RESOLV_WRITTEN;
	else if (S_ISREG(st.stx_mode) || S_ISLNK(st.stx_mode))
		*ret = UNDO_RESOLV_LINKED;
	else
		return -EINVAL;
	return 0;
}

/* --- Replacing --- */

static int sync_dir(int dir)
{
	return fsync(dir) < 0 ? -errno : 0;
}

static int write_new(int dir, const struct names *n, const struct undo_step *step)
{
	int fd, err;

	if (unlinkat(dir, n->new, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir, n->new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, step->content, step->content_len);
	if (err == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0)) /* whatever the umask says */
		err = -errno;
	close(fd);
	return err;
}

static int replace_linked(int dir, const struct names *n, const struct undo_step *step)
{
	int err = write_new(dir, n, step);

	if (err < 0)
		return err;
	undo_point();
	if (step->resolv == UNDO_RESOLV_LINKED &&
	    linkat(dir, file_name, dir, n->old, 0) < 0) /* a symbolic link itself, too */
		return -errno;
	undo_point();
	if (renameat(dir, n->new, dir, file_name) < 0)
		return -errno;
	undo_point();
	return sync_dir(dir);
}

/* Nobody who reads it meanwhile finds it empty. */
static int write_in_place(int dir, const char *content, size_t len)
{
	int fd = openat(dir, file_name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int err;

	if (fd < 0)
		return -errno;
	err = file_write_all(fd, content, len);
	undo_point();
	if (err == 0 && (ftruncate(fd, (off_t)len) < 0 || fsync(fd) < 0))
		err = -errno;
	close(fd);
	return err;
}

static int replace_written(const struct resolv_file *f, int dir, const struct names *n,
			   const struct undo_step *step)
{
	char old[CONTENT_MAX];
	size_t len = 0;
	int err = file_read(dir, file_name, old, sizeof(old), &len);

	if (err == 0)
		err = file_write(f->state_fd, n->saved, old, len, FILE_MODE(0600));
	undo_point();
	return err < 0 ? err : write_in_place(dir, step->content, step->content_len);
}

int resolv_file_replace(const struct resolv_file *f, const struct undo_step *step)
{
	struct names n = names_of(f);
	int dir = open_dir(f), err;

	if (dir < 0)
		return dir;
	err = step->resolv == UNDO_RESOLV_WRITTEN ? replace_written(f, dir, &n, step)
						  : replace_linked(dir, &n, step);
	close(dir);
	return err;
}

/* --- Putting back --- */

/* Does the file begin with @content, or, if @whole, consist of it? */
static bool holds(int dir, const char *content, size_t len, bool whole)
{
	char now[CONTENT_MAX];
	size_t now_len = 0;

	if (file_read(dir, file_name, now, sizeof(now), &now_len) < 0)
		return false;
	return now_len >= len && (!whole || now_len == len) && memcmp(now, content, len) == 0;
}

static bool is_same_file(int dir, const char *a, const char *b)
{
	struct stat one, other;

	return fstatat(dir, a, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(dir, b, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
	       one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

static int remove_name(int dir, const char *name)
{
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int restore_linked(int dir, const struct names *n, const struct undo_step *step,
			  bool *left)
{
	bool is_ours = holds(dir, step->content, step->content_len, true);
	bool has_old = faccessat(dir, n->old, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (has_old && is_ours)
		return renameat(dir, n->old, dir, file_name) < 0 ? -errno : 0;
	/* Not replaced yet, or by somebody else since. */
	if (is_ours || (has_old && !is_same_file(dir, n->old, file_name)))
		*left = true;
	return remove_name(dir, n->old);
}

static int restore_created(int dir, const struct undo_step *step, bool *left)
{
	if (holds(dir, step->content, step->content_len, true))
		return remove_name(dir, file_name);
	*left = faccessat(dir, file_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	return 0;
}

/* Killed while the old content was written, the file begins with it and ends with ours. */
static int restore_written(const struct resolv_file *f, int dir, const struct names *n,
			   const struct undo_step *step, bool *left)
{
	char old[CONTENT_MAX];
	size_t len = 0;
	int err = file_read(f->state_fd, n->saved, old, sizeof(old), &len);

	if (err == -ENOENT) { /* not replaced yet */
		*left = holds(dir, step->content, step->content_len, false);
		return 0;
	}
	if (err < 0)
		return err;
	if (!holds(dir, old, len, true)) {
		if (holds(dir, step->content, step->content_len, false) ||
		    holds(dir, old, len, false))
			err = write_in_place(dir, old, len);
		else
			*left = true;
	}
	return err < 0 ? err : remove_name(f->state_fd, n->saved);
}

int resolv_file_restore(const struct resolv_file *f, const struct undo_step *step,
			bool *ret_left)
{
	struct names n = names_of(f);
	int dir = open_dir(f), err;

	*ret_left = false;
	if (dir < 0)
		return dir;
	if (step->resolv == UNDO_RESOLV_WRITTEN)
		err = restore_written(f, dir, &n, step, ret_left);
	else if (step->resolv == UNDO_RESOLV_LINKED)
		err = restore_linked(dir, &n, step, ret_left);
	else
		err = restore_created(dir, step, ret_left);
	undo_point();
	if (err == 0)
		err = remove_name(dir, n.new);
	if (err == 0)
		err = sync_dir(dir);
	close(dir);
	return err;
}

bool resolv_file_is_ours(const struct resolv_file *f, const struct undo_step *step)
{
	int dir = open_dir(f);
	bool is_ours;

	if (dir < 0)
		return false;
	is_ours = holds(dir, step->content, step->content_len, true);
	close(dir);
	return is_ours;
}
