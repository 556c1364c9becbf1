/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert backup verify and restore. Both unpack everything into a directory of their own and look at
 * it; only restore then gives the files their places. Until all of the backup has proved whole,
 * nothing of the state directory is touched.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/backup_file.h"
#include "cmd/command.h"
#include "cmd/local_command.h"
#include "store/kind.h"
#include "sys/file.h"
#include "sys/privileges.h"

#define DATABASE "culvert.db"

enum {
	BUFFER_LEN = 65536,
	DATABASE_AT = BACKUP_NAMES - 1,
	MASTER_AT = 2,
	SERVER_AT = 0,
};

/* --- Unpacking --- */

static int unpack_file(struct backup_reader *r, int dir, const struct backup_file *f)
{
	static uint8_t buffer[BUFFER_LEN];
	int fd = openat(dir, f->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t n = 1;
	int err = fd < 0 ? -errno : 0;

	backup_note("decrypting", f->name, f->size);
	while (err == 0 && n > 0) {
		err = backup_read_data(r, buffer, sizeof(buffer), &n);
		if (err == 0)
			err = file_write_all(fd, buffer, n);
	}
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	secret_wipe(buffer, sizeof(buffer));
	return err;
}

static int unpack_all(struct backup_reader *r, int dir, unsigned int *ret_files)
{
	struct backup_file f;
	bool end = false;
	int err = 0;

	while (err == 0) {
		err = backup_read_next(r, &f, &end);
		if (err != 0 || end)
			break;
		for (unsigned int i = 0; i < BACKUP_NAMES; i++)
			if (strcmp(f.name, backup_names[i]) == 0)
				*ret_files |= 1U << i;
		err = unpack_file(r, dir, &f);
	}
	return err;
}

static int unpack(const struct backup_call *c, int dir, unsigned int *ret_files, struct diag *d)
{
	struct backup_reader *r = NULL;
	int fd = open(c->file, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return diag_set(d, -errno, 0, "%s: %s", c->file, err_text(-errno));
	err = backup_read_begin(fd, &c->secret, &r, d);
	if (err == 0) {
		err = unpack_all(r, dir, ret_files);
		if (err == ERR_AUTH)
			diag_set(d, err, 0,
				 "%s was made with another secret, touched, or cut off",
				 c->file);
		else if (err != 0)
			diag_set(d, err, 0, "%s: %s", c->file, err_text(err));
	}
	backup_reader_free(r);
	close(fd);
	return err;
}

/* --- Looking at it --- */

static int check_audit(const char *dir, const char *database, struct backup_found *f,
		       struct diag *d)
{
	char path[BACKUP_PATH_MAX], text[KEY_BASE64_LEN + 2];
	struct secret_key master;
	size_t len = 0;
	int err;

	snprintf(path, sizeof(path), "%s/master.key", dir);
	err = file_read(AT_FDCWD, path, text, sizeof(text), &len);
	if (err == 0 && len > 0 && text[len - 1] == '\n')
		len--;
	if (err != 0 || key_from_base64(text, len, master.b) != 0)
		err = diag_set(d, ERR_CORRUPT, 0, "the backup's master.key holds no key");
	if (err == 0)
		err = audit_verify(database, &master, &f->audit, d);
	f->has_audit = err == 0;
	if (err == 0 && f->audit.broken > 0)
		err = diag_set(d, ERR_CORRUPT, 0,
			       "the audit trail was touched: row %" PRId64
			       " is the first that does not fit",
			       f->audit.first_broken);
	secret_wipe(text, sizeof(text));
	secret_key_done(&master);
	return err;
}

static int look(const struct backup_call *c, const char *dir, int fd, struct backup_found *f,
		struct diag *d)
{
	char path[BACKUP_PATH_MAX];
	int err = unpack(c, fd, &f->files, d);

	if (err != 0)
		return err;
	if (!(f->files & 1U << DATABASE_AT) || !(f->files & 1U << SERVER_AT))
		return diag_set(d, ERR_CORRUPT, 0,
				"the backup lacks server.key or the database");
	snprintf(path, sizeof(path), "%s/" DATABASE, dir);
	err = backup_database_check(path, &f->counts, d);
	if (err == 0 && (f->files & 1U << MASTER_AT))
		err = check_audit(dir, path, f, d);
	return err;
}

static void remove_unpacked(const char *dir, int fd)
{
	for (unsigned int i = 0; i < BACKUP_NAMES; i++)
		unlinkat(fd, backup_names[i], 0);
	unlinkat(fd, DATABASE "-wal", 0);
	unlinkat(fd, DATABASE "-shm", 0);
	rmdir(dir);
}

/* A directory of our own below @above, mode 0700. Return: its descriptor, or -errno. */
static int make_directory(const char *above, char out[BACKUP_PATH_MAX])
{
	int fd;

	if (snprintf(out, BACKUP_PATH_MAX / 2, "%s/backup-XXXXXX", above) >=
	    BACKUP_PATH_MAX / 2)
		return -ENAMETOOLONG;
	if (!mkdtemp(out))
		return -errno;
	fd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void print_json(const struct backup_found *f)
{
	json_t *names = json_array(), *json;

	for (unsigned int i = 0; i < BACKUP_NAMES; i++)
		if (f->files & 1U << i)
			json_array_append_new(names, json_string(backup_names[i]));
	json = json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:b}", "whole", 1, "files", names,
			 "schema", (json_int_t)f->counts.schema, "peers",
			 (json_int_t)f->counts.peers, "records", (json_int_t)f->counts.records,
			 "audit_rows", (json_int_t)f->counts.audit, "audit_checked",
			 (int)f->has_audit);
	local_command_print(json);
	json_decref(json);
}

static void print(const struct backup_call *c, const struct backup_found *f, const char *what)
{
	if (c->json) {
		print_json(f);
		return;
	}
	printf("%s: %s; %" PRId64 " peers, %" PRId64 " other objects, %" PRId64
	       " rows of the audit trail%s\n",
	       c->file, what, f->counts.peers, f->counts.records, f->counts.audit,
	       f->has_audit ? "" : " (not followed: no master.key)");
}

int backup_verify(const struct backup_call *c)
{
	struct backup_found found = { .files = 0 };
	char dir[BACKUP_PATH_MAX];
	struct diag d = { .text = "" };
	int err, fd = make_directory(c->work, dir);

	if (fd < 0)
		return backup_complain(backup_code(fd), "%s: %s; see --work", c->work,
				       err_text(fd));
	err = look(c, dir, fd, &found, &d);
	remove_unpacked(dir, fd);
	close(fd);
	if (err != 0)
		return backup_complain(backup_code(err), "%s", d.text);
	print(c, &found, "whole");
	return EXIT_DONE;
}

/* --- Restoring --- */

/* What has the name goes aside, with the date behind it. */
static int set_aside(int state, const char *name, const char *date)
{
	char aside[128];

	snprintf(aside, sizeof(aside), "%s.before-%s", name, date);
	return renameat(state, name, state, aside) < 0 && errno != ENOENT ? -errno : 0;
}

static int place(int from, int state, const char *name, const char *date)
{
	uid_t uid;
	gid_t gid;
	int err = set_aside(state, name, date);

	/* The tunnel's key stays root's; see host/state_dir.h. */
	if (err == 0 && geteuid() == 0 && strcmp(name, "server.key") != 0 &&
	    privileges_unprivileged_ids(&uid, &gid) >= 0 &&
	    fchownat(from, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		err = -errno;
	return err == 0 && renameat(from, name, state, name) < 0 ? -errno : err;
}

/* The database is the last: without it a gateway would begin anew, and this can be called again. A log of
 * the old one must not be taken for the new one's. */
static int place_all(int from, int state, const struct backup_found *found)
{
	time_t now = time(NULL);
	char date[32] = "";
	struct tm tm;
	int err = 0;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &tm);
	err = set_aside(state, DATABASE, date);
	if (err == 0 && found->counts.schema < KIND_SEALED_SCHEMA)
		err = kind_forget_sealed_keys(state);
	if (err == 0)
		err = set_aside(state, DATABASE "-wal", date);
	if (err == 0)
		err = set_aside(state, DATABASE "-shm", date);
	for (unsigned int i = 0; i < BACKUP_NAMES && err == 0; i++)
		if (found->files & 1U << i)
			err = place(from, state, backup_names[i], date);
	return err == 0 && fsync(state) < 0 ? -errno : err;
}

/* Made if need be, locked as a gateway locks it. */
static int open_state(const struct backup_call *c, int *ret_lock, struct diag *d)
{
	int fd;

	if (mkdir(c->state, 0700) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, "%s: %s", c->state, err_text(-errno));
	fd = open(c->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return diag_set(d, -errno, 0, "%s: %s", c->state, err_text(-errno));
	*ret_lock = openat(fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*ret_lock >= 0 && flock(*ret_lock, LOCK_EX | LOCK_NB) == 0 &&
	    (c->force || faccessat(fd, DATABASE, F_OK, AT_SYMLINK_NOFOLLOW) < 0))
		return fd;
	close(fd);
	if (*ret_lock < 0)
		return diag_set(d, -errno, 0, "%s/lock: %s", c->state, err_text(-errno));
	close(*ret_lock);
	return diag_set(d, ERR_EXISTS, 0,
			"%s has a database or its gateway runs: stop it, and say --force to "
			"set the database aside",
			c->state);
}

/* Root's while files are placed: nobody else can put another in their way. Afterwards it is the gateway's
 * user's again, as at each start of a gateway. */
static int restore_into(const struct backup_call *c, int state, struct backup_found *found,
			struct diag *d)
{
	char dir[BACKUP_PATH_MAX];
	int err, fd;

	if (fchmod(state, 0700) < 0 || (geteuid() == 0 && fchown(state, 0, 0) < 0))
		return diag_set(d, -errno, 0, "%s: %s", c->state, err_text(-errno));
	fd = make_directory(c->state, dir);
	if (fd < 0)
		return diag_set(d, fd, 0, "%s: %s", c->state, err_text(fd));
	err = look(c, dir, fd, found, d);
	if (err == 0) {
		err = place_all(fd, state, found);
		if (err != 0)
			diag_set(d, err, 0, "%s: %s", c->state, err_text(err));
	}
	remove_unpacked(dir, fd);
	close(fd);
	return err;
}

static void give_back(int state)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() == 0 && privileges_unprivileged_ids(&uid, &gid) >= 0 &&
	    fchown(state, uid, gid) < 0)
		backup_complain(0, "the state directory stays root's: %s", err_text(-errno));
}

int backup_restore(const struct backup_call *c)
{
	struct backup_found found = { .files = 0 };
	struct diag d = { .text = "" };
	int lock = -1, state = open_state(c, &lock, &d), err = state < 0 ? state : 0;

	if (err == 0) {
		err = restore_into(c, state, &found, &d);
		give_back(state);
		close(state);
		close(lock);
	}
	if (err != 0)
		return backup_complain(backup_code(err), "%s", d.text);
	print(c, &found, "restored");
	return EXIT_DONE;
}
