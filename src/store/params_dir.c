/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parameter is a file, the parts before its last one are directories. Each is opened from the one
 * above without following links, so nobody who may write into one leads us out of the tree.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "store/params.h"
#include "sys/file.h"
#include "sys/random.h"

enum { UNFINISHED_LEN = 17 }; /* file_write() adds '.' and 16 digits until it is done */

struct params_dir {
	struct params base;
	int root;
};

/* struct walk - A list under way; @name is the directory it is in, "" or ending in '/' */
struct walk {
	params_visitor visit;
	void *context;
	size_t n;
	char name[PARAMS_NAME_MAX + 1];
};

static int fail(struct diag *d, int err, const char *name)
{
	return diag_set(d, err, 0, "parameter %s: %s", name,
			err == -ELOOP ? "a symbolic link is not followed" : err_text(err));
}

/* What a power cut may leave of file_write() must not be taken for a parameter. */
static bool looks_unfinished(const char *leaf)
{
	size_t len = strlen(leaf);

	return len > UNFINISHED_LEN && leaf[len - UNFINISHED_LEN] == '.' &&
	       strspn(leaf + len - UNFINISHED_LEN + 1, "0123456789abcdef") ==
		       UNFINISHED_LEN - 1;
}

static int open_part(int dir, const char *part, bool make)
{
	if (make && mkdirat(dir, part, 0700) == 0) {
		if (fsync(dir) < 0)
			return -errno;
	} else if (make && errno != EEXIST) {
		return -errno;
	}
	int fd = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The directory @name lies in; @ret_leaf is its last part. Return: a descriptor or -errno. */
static int open_parent(const struct params_dir *p, const char *name, bool make,
		       const char **ret_leaf)
{
	int dir = fcntl(p->root, F_DUPFD_CLOEXEC, 0);
	char part[PARAMS_NAME_MAX + 1];
	const char *slash;

	*ret_leaf = name;
	if (dir < 0)
		return -errno;
	for (; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
		int next;

		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		next = open_part(dir, part, make);
		close(dir);
		if (next < 0)
			return next;
		dir = next;
	}
	*ret_leaf = name;
	return dir;
}

static int read_private(int dir, const char *leaf, struct text *ret)
{
	char value[PARAMS_VALUE_MAX];
	size_t len = 0;
	struct stat st;
	int err;

	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 077) != 0)
		return -EPERM;
	err = file_read(dir, leaf, value, sizeof(value), &len);
	if (err == 0 && memchr(value, '\0', len))
		err = ERR_CORRUPT;
	if (err == 0) {
		text_add(ret, value, len);
		err = ret->err;
	}
	secret_wipe(value, sizeof(value));
	return err;
}

static int get(struct params *base, const char *name, struct text *ret, struct diag *d)
{
	struct params_dir *p = (struct params_dir *)base;
	const char *leaf;
	int dir = open_parent(p, name, false, &leaf);
	int err = dir < 0 ? dir : read_private(dir, leaf, ret);

	if (dir >= 0)
		close(dir);
	if (err == -ENOENT)
		return diag_set(d, ERR_UNKNOWN, 0, "there is no parameter %s", name);
	if (err == -EPERM)
		return diag_set(d, err, 0, "parameter %s may be read by others: chmod 600 it",
				name);
	return err ? fail(d, err, name) : 0;
}

/* A name that begins with '.' is no parameter's: the value appears whole or not at all. */
static int write_new(int dir, const char *leaf, const char *value, size_t len)
{
	char other[32];
	uint64_t suffix;
	int err;

	random_fill(&suffix, sizeof(suffix));
	snprintf(other, sizeof(other), ".new-%016" PRIx64, suffix);
	err = file_write(dir, other, value, len, FILE_MODE(0600));
	if (err)
		return err;
	if (renameat2(dir, other, dir, leaf, RENAME_NOREPLACE) < 0) {
		err = errno == EEXIST ? ERR_EXISTS : -errno;
		unlinkat(dir, other, 0);
		return err;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

static int put(struct params *base, const char *name, const char *value, enum params_type type,
	       bool overwrite, struct diag *d)
{
	struct params_dir *p = (struct params_dir *)base;
	size_t len = strlen(value);
	const char *leaf;
	int dir = open_parent(p, name, true, &leaf);
	int err = dir < 0 ? dir : 0;

	(void)type; /* every file is private */
	if (!err && looks_unfinished(leaf))
		err = ERR_RANGE;
	if (!err && overwrite)
		err = file_write(dir, leaf, value, len, FILE_MODE(0600));
	else if (!err)
		err = write_new(dir, leaf, value, len);
	if (dir >= 0)
		close(dir);
	return err ? fail(d, err, name) : 0;
}

static int walk(struct walk *w, int dir);

/* A value is never written in place: each has a file of its own. */
static uint64_t version_of(const struct stat *st)
{
	uint64_t v = (uint64_t)st->st_mtim.tv_sec * UINT64_C(1000000000) +
		     (uint64_t)st->st_mtim.tv_nsec;

	v = (v ^ (uint64_t)st->st_ino * UINT64_C(0x9e3779b97f4a7c15)) + (uint64_t)st->st_size;
	return v ? v : 1;
}

/* What lies at @entry, whose name was added to @w->name. */
static int visit_entry(struct walk *w, int dir, const char *entry)
{
	struct stat st;

	if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno; /* removed while we looked */
	if (S_ISREG(st.st_mode)) {
		if (looks_unfinished(entry))
			return 0;
		return ++w->n > PARAMS_LIST_MAX
			       ? ERR_LIMIT
			       : w->visit(w->context, w->name, version_of(&st));
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	int below = open_part(dir, entry, false);
	size_t len = strlen(w->name);

	if (below < 0)
		return below == -ENOENT ? 0 : below;
	if (len + 1 > PARAMS_NAME_MAX) {
		close(below);
		return 0;
	}
	memcpy(w->name + len, "/", 2);
	return walk(w, below);
}

/* Owns @dir. Deeper than a name may be there is nothing: params_name_ok() ends the descent. */
static int walk(struct walk *w, int dir)
{
	size_t len = strlen(w->name);
	DIR *entries = fdopendir(dir);
	const struct dirent *entry;
	int err = 0;

	if (!entries) {
		err = -errno;
		close(dir);
		return err;
	}
	while (!err && (entry = readdir(entries)) != NULL) {
		w->name[len] = '\0';
		if (entry->d_name[0] == '.' || len + strlen(entry->d_name) > PARAMS_NAME_MAX)
			continue;
		memcpy(w->name + len, entry->d_name, strlen(entry->d_name) + 1);
		if (params_name_ok(w->name))
			err = visit_entry(w, dir, entry->d_name);
	}
	closedir(entries);
	return err;
}

static int list(struct params *base, const char *prefix, params_visitor visit, void *context,
		struct diag *d)
{
	struct params_dir *p = (struct params_dir *)base;
	struct walk w = { .visit = visit, .context = context };
	const char *leaf;
	int dir = open_parent(p, prefix, false, &leaf);
	int own;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return fail(d, dir, prefix);
	/* A description of our own: the root's is read from its beginning each time. */
	own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(dir);
	if (own < 0)
		return fail(d, -errno, prefix);
	snprintf(w.name, sizeof(w.name), "%s", prefix);
	int err = walk(&w, own);

	return err ? fail(d, err, prefix) : 0;
}

/* Directories that became empty go too, as the Parameter Store has none. */
static void prune(const struct params_dir *p, const char *name)
{
	char path[PARAMS_NAME_MAX + 1];
	char *slash;

	snprintf(path, sizeof(path), "%s", name);
	while ((slash = strrchr(path, '/')) != NULL) {
		const char *leaf;
		int dir;

		*slash = '\0';
		dir = open_parent(p, path, false, &leaf);
		if (dir < 0)
			return;
		int err = unlinkat(dir, leaf, AT_REMOVEDIR);

		close(dir);
		if (err < 0)
			return;
	}
}

static int remove_one(struct params *base, const char *name, struct diag *d)
{
	struct params_dir *p = (struct params_dir *)base;
	const char *leaf;
	int dir = open_parent(p, name, false, &leaf);
	int err = dir < 0 ? dir : 0;

	if (!err && (unlinkat(dir, leaf, 0) < 0 || fsync(dir) < 0))
		err = -errno;
	if (dir >= 0)
		close(dir);
	if (err == -ENOENT)
		return diag_set(d, ERR_UNKNOWN, 0, "there is no parameter %s", name);
	if (err)
		return fail(d, err, name);
	prune(p, name);
	return 0;
}

static void free_dir(struct params *base)
{
	struct params_dir *p = (struct params_dir *)base;

	close(p->root);
	free(p);
}

static const struct params_ops ops = { get, put, list, remove_one, free_dir };

int params_open_dir(const char *path, struct params **ret, struct diag *d)
{
	struct params_dir *p;
	struct stat st;
	int root;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, "%s: %s", path, err_text(-errno));
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fstat(root, &st) < 0) {
		int err = -errno;

		if (root >= 0)
			close(root);
		return diag_set(d, err, 0, "%s: %s", path, err_text(err));
	}
	if ((st.st_mode & 022) != 0) {
		close(root);
		return diag_set(d, -EPERM, 0, "%s may be written by others: chmod 700 it",
				path);
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		close(root);
		return -ENOMEM;
	}
	*p = (struct params_dir){ .base = { &ops }, .root = root };
	*ret = &p->base;
	return 0;
}
