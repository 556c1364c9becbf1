/* SPDX-License-Identifier: Apache-2.0 */
/* culvert backup create: the files of a state directory into one, and which older ones go. */
#include "cmd/backup_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/local_command.h"
#include "sys/privileges.h"

#define COPY	 "culvert.db.copy"
#define DATABASE "culvert.db"
#define PREFIX	 "culvert-"
#define SUFFIX	 ".backup"
#define DATE	 "00000000-000000"

enum { NAME_LEN = sizeof(PREFIX DATE SUFFIX) - 1 };

/* --- The database --- */

/* Return: 0 or 1, for exit(). */
static int copy_here(const char *state)
{
	char from[BACKUP_PATH_MAX], to[BACKUP_PATH_MAX], journal[BACKUP_PATH_MAX];
	struct diag d = { .text = "" };
	struct stat st;
	int fd, err;

	snprintf(from, sizeof(from), "%s/" DATABASE, state);
	snprintf(to, sizeof(to), "%s/" COPY, state);
	snprintf(journal, sizeof(journal), "%s/" COPY "-journal", state);
	unlink(to); /* of a call that was killed */
	unlink(journal);
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return backup_complain(1, "%s: %s", to, err_text(-errno));
	close(fd);
	if (stat(from, &st) == 0)
		backup_note("copying", from, (uint64_t)st.st_size);
	err = backup_database_copy(from, to, &d);
	if (err != 0) {
		unlink(to);
		return backup_complain(1, "%s", d.text);
	}
	return 0;
}

/* As the user whose directory it is: what he puts in the place of a name leads him, not root, there. */
static int copy_as_owner(const struct backup_call *c, int state_fd)
{
	struct stat st;
	int status = 1;
	pid_t pid;

	if (fstat(state_fd, &st) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (st.st_uid != geteuid() &&
		    privileges_become(st.st_uid, st.st_gid, false) < 0)
			_exit(backup_complain(1, "cannot become user %u", st.st_uid));
		_exit(copy_here(c->state));
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECANCELED;
}

/* One copy at a time. Return: a descriptor that holds the lock, or -errno. */
static int lock(int state_fd)
{
	int fd = openat(state_fd, "backup.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			0600);

	if (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		close(fd);
		return -EBUSY;
	}
	return fd >= 0 ? fd : -errno;
}

/* The copy has no name any more when this returns. Return: its descriptor, or -errno. */
static int open_copy(const struct backup_call *c, int state_fd)
{
	int err, fd = -1, lock_fd = lock(state_fd);

	if (lock_fd < 0)
		return lock_fd;
	err = copy_as_owner(c, state_fd);
	if (err == 0) {
		fd = openat(state_fd, COPY, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		err = fd < 0 ? -errno : 0;
		unlinkat(state_fd, COPY, 0);
	}
	close(lock_fd);
	return err == 0 ? fd : err;
}

/* --- The files --- */

static int add_open(struct backup_writer *w, const char *name, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* Another name may lie where its owner could not read. */
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		return -EINVAL;
	backup_note("encrypting", name, (uint64_t)st.st_size);
	return backup_write_file(w, name, fd, (uint64_t)st.st_size);
}

static int add_file(struct backup_writer *w, const struct backup_call *c, int state_fd,
		    const char *name, bool *ret_there)
{
	int fd, err;

	if (strcmp(name, DATABASE) == 0)
		fd = open_copy(c, state_fd);
	else if ((fd = openat(state_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) <
		 0)
		fd = -errno;
	*ret_there = fd >= 0;
	if (fd == -ENOENT)
		return 0;
	err = fd < 0 ? fd : add_open(w, name, fd);
	if (fd >= 0)
		close(fd);
	if (err != 0 && err != -ECANCELED)
		backup_complain(0, "%s/%s: %s", c->state, name, err_text(err));
	return err;
}

static int add_all(struct backup_writer *w, const struct backup_call *c, int state_fd)
{
	int err = 0;

	for (unsigned int i = 0; i < BACKUP_NAMES && err == 0; i++) {
		bool there = false;

		err = add_file(w, c, state_fd, backup_names[i], &there);
		if (err == 0 && !there && strcmp(backup_names[i], "master.key") == 0)
			backup_complain(0,
					"there is no master.key in %s: keep the one from the "
					"environment or the credentials with the backup",
					c->state);
	}
	return err;
}

static int fill(const struct backup_call *c, int fd)
{
	struct backup_writer *w = NULL;
	int state_fd = open(c->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (state_fd < 0)
		return -errno;
	/* Without either there is nothing to come back to. */
	if (faccessat(state_fd, DATABASE, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
	    faccessat(state_fd, "server.key", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		err = -errno;
	else
		err = backup_write_begin(fd, &c->secret, &w);
	if (err == 0)
		err = add_all(w, c, state_fd);
	if (err == 0)
		err = backup_write_end(w);
	backup_writer_free(w);
	close(state_fd);
	return err == 0 && fsync(fd) < 0 ? -errno : err;
}

/* --- Its name --- */

static int sync_directory_of(const char *path)
{
	char dir[BACKUP_PATH_MAX];
	char *slash;
	int fd, err;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Not over what is there, unless that was said. Some file systems cannot promise it. */
static int give_name(const struct backup_call *c, const char *from, const char *to)
{
	unsigned int flags = c->force ? 0 : RENAME_NOREPLACE;

	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) == 0)
		return 0;
	return errno == EINVAL && rename(from, to) == 0 ? 0 : -errno;
}

/* Under another name until all of it is on the disk. */
static int write_to(const struct backup_call *c, const char *path)
{
	char beside[BACKUP_PATH_MAX];
	int fd, err;

	if (!c->force && access(path, F_OK) == 0)
		return -EEXIST;

	if (snprintf(beside, sizeof(beside), "%s.XXXXXX", path) >= (int)sizeof(beside))
		return -ENAMETOOLONG;
	fd = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return -errno;
	err = fill(c, fd);
	close(fd);
	if (err == 0)
		err = give_name(c, beside, path);
	if (err != 0)
		unlink(beside);
	return err == 0 ? sync_directory_of(path) : err;
}

static int is_ours(const struct dirent *e)
{
	static const char digits[] = "0123456789";
	const char *at = e->d_name + sizeof(PREFIX) - 1;

	return strlen(e->d_name) == NAME_LEN &&
	       strncmp(e->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 && strspn(at, digits) == 8 &&
	       at[8] == '-' && strspn(at + 9, digits) == 6 && strcmp(at + 15, SUFFIX) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Names sort by time; @made stays although a clock that was set back may call it the oldest.
 * Return: 0, or what the last removal said. */
static int remove_old(const char *dir, uint64_t keep, const char *made)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_ours, by_name), err = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++) {
		char path[BACKUP_PATH_MAX + NAME_LEN + 2];

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		if ((uint64_t)(n - i) > keep && strcmp(path, made) != 0 && unlink(path) < 0)
			err = -errno;
		free(entries[i]);
	}
	free(entries);
	return err;
}

/* A name that is taken is of this second: the next one is free. */
static int choose_name(const char *dir, char out[BACKUP_PATH_MAX])
{
	for (int tries = 0; tries < 5; tries++) {
		time_t now = time(NULL);
		char date[sizeof(DATE)];
		struct tm tm;

		if (!gmtime_r(&now, &tm) || !strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &tm))
			return -ERANGE;
		if (snprintf(out, BACKUP_PATH_MAX, "%s/" PREFIX "%s" SUFFIX, dir, date) >=
		    BACKUP_PATH_MAX)
			return -ENAMETOOLONG;
		if (access(out, F_OK) < 0)
			return 0;
		sleep(1);
	}
	return -EEXIST;
}

static int report(const struct backup_call *c, const char *path)
{
	struct stat st = { 0 };
	json_t *json;

	stat(path, &st);
	if (!c->json) {
		printf("%s: %" PRId64 " octets\n", path, (int64_t)st.st_size);
		return EXIT_DONE;
	}
	json = json_pack("{s:s, s:I}", "file", path, "size", (json_int_t)st.st_size);
	local_command_print(json);
	json_decref(json);
	return EXIT_DONE;
}

int backup_create(const struct backup_call *c)
{
	char path[BACKUP_PATH_MAX];
	struct stat st;
	bool is_dir = stat(c->file, &st) == 0 && S_ISDIR(st.st_mode);
	int err = 0;

	if (!is_dir && c->keep > 0)
		return backup_complain(EXIT_USAGE, "--keep is for a directory, and %s is none",
				       c->file);
	if (is_dir)
		err = choose_name(c->file, path);
	else if (snprintf(path, sizeof(path), "%s", c->file) >= (int)sizeof(path))
		err = -ENAMETOOLONG;
	if (err == 0)
		err = write_to(c, path);
	if (err == -ECANCELED) /* the reason was told */
		return EXIT_FAILED;
	if (err == -EEXIST)
		return backup_complain(EXIT_REFUSED,
				       "%s is there already; --force writes over it, and a"
				       " directory gets one beside the others",
				       path);
	if (err != 0)
		return backup_complain(
			err == -EACCES || err == -EPERM ? EXIT_PRIVILEGE : EXIT_FAILED,
			"no backup of %s in %s: %s", c->state, c->file, err_text(err));
	if (c->keep > 0 && (err = remove_old(c->file, c->keep, path)) != 0)
		return backup_complain(EXIT_FAILED, "%s: older ones are still there: %s",
				       c->file, err_text(err));
	return report(c, path);
}
