/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/hub_backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/json_write.h"
#include "cmd/command.h"
#include "cmd/input.h"
#include "conf/archive.h"
#include "crypto/suite.h"
#include "sys/file.h"

#define FIRST_LINE "culvert-backup 1\n"
#define LAST_WORD  "blake2s "
#define SUFFIX	   ".backup"
#define PREFIX	   "culvert-hub-"

enum {
	BACKUPS_A_SECOND = 100,
	DEPTH_MAX = 2, /* config/node-a/wg0.conf */
	LAST_LINE_LEN = sizeof(LAST_WORD) - 1 + 2 * HASH_LEN + 1,
};

/** struct packing - An archive being made */
struct packing {
	struct text *out;
	unsigned int n;
};

static int digest(const char *data, size_t len, char hex[2 * HASH_LEN + 1])
{
	struct suite *suite = NULL;
	struct hash_part part = { data, len };
	uint8_t out[HASH_LEN];
	int err = suite_new(SUITE_OPENSSL, &suite);

	if (err)
		return err;
	hash_parts(suite, out, &part, 1);
	suite_free(suite);
	hex_encode(out, sizeof(out), hex);
	return 0;
}

/* --- Packing --- */

static int pack_file(struct packing *p, const char *dir, const char *path,
		     const struct stat *st)
{
	struct archive_file f = { .is_secret = !(st->st_mode & 0044) };
	char whole[2 * HUB_PATH_MAX];
	struct text in = { 0 };
	int err;

	if (++p->n > BACKUP_FILES_MAX)
		return ERR_LIMIT;
	snprintf(whole, sizeof(whole), "%s/%s", dir, path);
	snprintf(f.path, sizeof(f.path), "%s", path);
	err = input_read(whole, BACKUP_SIZE_MAX, &in);
	f.data = in.data ? in.data : "";
	f.len = in.len;
	if (!err)
		err = archive_put(p->out, &f);
	text_done(&in);
	return err;
}

static int pack_dir(struct packing *p, const char *dir, const char *below, unsigned int depth);

/* Regular files and directories; a link could lead anywhere and is left out. */
static int pack_entry(struct packing *p, const char *dir, const char *path, unsigned int depth)
{
	char whole[2 * HUB_PATH_MAX];
	struct stat st;

	snprintf(whole, sizeof(whole), "%s/%s", dir, path);
	if (lstat(whole, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		return pack_dir(p, dir, path, depth + 1);
	return S_ISREG(st.st_mode) ? pack_file(p, dir, path, &st) : 0;
}

static int pack_dir(struct packing *p, const char *dir, const char *below, unsigned int depth)
{
	char whole[2 * HUB_PATH_MAX], path[HUB_PATH_MAX];
	const struct dirent *entry;
	int err = 0;
	DIR *d;

	snprintf(whole, sizeof(whole), "%s/%s", dir, below);
	d = opendir(whole);
	if (!d)
		return -errno;
	while (!err && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || strchr(entry->d_name, '\n'))
			continue;
		if (snprintf(path, sizeof(path), "%s%s%s", below, *below ? "/" : "",
			     entry->d_name) >= (int)sizeof(path))
			err = -ENAMETOOLONG;
		else
			err = pack_entry(p, dir, path, depth);
	}
	closedir(d);
	return err;
}

static int pack(const struct hub_request *r, struct text *out)
{
	struct packing p = { .out = out };
	char hex[2 * HASH_LEN + 1];
	int err;

	text_puts(out, FIRST_LINE);
	err = pack_dir(&p, r->dir, "", 0);
	if (!err && !p.n)
		err = -ENOENT;
	if (!err)
		err = digest(out->data, out->len, hex);
	if (!err)
		text_printf(out, LAST_WORD "%s\n", hex);
	return err ? err : out->err;
}

/* --- The directory of archives --- */

static const char *archive_dir(const struct hub_request *r, char out[HUB_PATH_MAX])
{
	snprintf(out, HUB_PATH_MAX, "%s/../backups", r->dir);
	return r->archive ? r->archive : out;
}

static int is_archive(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > sizeof(PREFIX SUFFIX) - 1 &&
	       strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 &&
	       strcmp(entry->d_name + len - (sizeof(SUFFIX) - 1), SUFFIX) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Names sort by time, so the first ones are the oldest. */
static void remove_old(const char *dir, uint64_t keep)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_archive, by_name);

	for (int i = 0; i < n; i++) {
		char path[2 * HUB_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		if ((uint64_t)(n - i) > keep && unlink(path) < 0)
			hub_complain(EXIT_FAILED, "%s: %s", path, err_text(-errno));
		free(entries[i]);
	}
	free(entries);
}

/* A second call within a second gets the name after the first, so that names sort by time. */
static int choose_name(const char *dir, char out[2 * HUB_PATH_MAX])
{
	time_t now = time(NULL);
	char date[32];
	struct tm tm;
	unsigned int i = BACKUPS_A_SECOND;

	if (!gmtime_r(&now, &tm) || !strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm))
		return -ERANGE;
	for (; i > 0; i--) {
		snprintf(out, 2 * (size_t)HUB_PATH_MAX, "%s/" PREFIX "%s-%02u" SUFFIX, dir,
			 date, i - 1);
		if (access(out, F_OK) == 0)
			break;
	}
	if (i == BACKUPS_A_SECOND)
		return -EEXIST;
	snprintf(out, 2 * (size_t)HUB_PATH_MAX, "%s/" PREFIX "%s-%02u" SUFFIX, dir, date, i);
	return 0;
}

/* What is on the disk is what was meant. */
static int verify(const char *path, const struct text *meant)
{
	struct text in = { 0 };
	int err = input_read(path, BACKUP_SIZE_MAX, &in);

	if (!err && (in.len != meant->len || memcmp(in.data, meant->data, in.len) != 0))
		err = ERR_CORRUPT;
	text_done(&in);
	return err;
}

static int store(const struct hub_request *r, const struct text *archive)
{
	char beside[HUB_PATH_MAX], path[2 * HUB_PATH_MAX];
	const char *dir = archive_dir(r, beside);
	int err = choose_name(dir, path);
	int code;

	if (err)
		return hub_complain(EXIT_FAILED, "%s: %s", dir, err_text(err));
	code = hub_write(r, path, archive, true);
	if (code != EXIT_DONE || r->dry_run)
		return code;
	err = verify(path, archive);
	if (err) /* the older ones stay */
		return hub_complain(EXIT_FAILED, "%s: %s", path, err_text(err));
	remove_old(dir, r->keep);
	puts(path);
	return EXIT_DONE;
}

int hub_backup(const struct hub_request *r)
{
	struct text archive = { .max = BACKUP_SIZE_MAX };
	int err = pack(r, &archive);
	int code = err ? hub_complain(EXIT_FAILED, "%s: %s", r->dir, err_text(err))
		       : store(r, &archive);

	text_done(&archive);
	return code;
}

/* --- Restoring --- */

static int write_member(const struct hub_request *r, const struct archive_file *m)
{
	char path[2 * HUB_PATH_MAX];
	struct text out = { 0 };
	int code = EXIT_DONE;

	if (snprintf(path, sizeof(path), "%s/%s", r->dir, m->path) >= HUB_PATH_MAX)
		return hub_complain(EXIT_REFUSED, "%s: the path is too long", m->path);
	if (access(path, F_OK) == 0 && !r->force) {
		fprintf(stderr, "culvert hub: %s stays as it is (--force replaces it)\n", path);
		return EXIT_DONE;
	}
	text_add(&out, m->data, m->len);
	text_add(&out, "", 0);
	code = hub_write(r, path, &out, m->is_secret);
	text_done(&out);
	return code;
}

/* Call for every file; the first pass only looks, so that a broken archive changes nothing. */
static int each_member(const struct hub_request *r, const char *at, const char *end, bool write)
{
	int code = EXIT_DONE;

	for (unsigned int n = 0; code == EXIT_DONE && at < end; n++) {
		struct archive_file m;

		if (n == BACKUP_FILES_MAX || archive_next(&at, end, &m) < 0)
			return hub_complain(EXIT_REFUSED, "%s is damaged", r->name);
		if (write)
			code = write_member(r, &m);
	}
	return code;
}

static int unpack(const struct hub_request *r, const struct text *in)
{
	const size_t first = sizeof(FIRST_LINE) - 1;
	char hex[2 * HASH_LEN + 1];
	size_t body;
	int code;

	if (in->len < first + LAST_LINE_LEN || memcmp(in->data, FIRST_LINE, first) != 0)
		return hub_complain(EXIT_REFUSED, "%s is no backup", r->name);
	body = in->len - LAST_LINE_LEN;
	if (digest(in->data, body, hex) < 0 ||
	    memcmp(in->data + body, LAST_WORD, sizeof(LAST_WORD) - 1) != 0 ||
	    memcmp(in->data + body + sizeof(LAST_WORD) - 1, hex, 2 * HASH_LEN) != 0)
		return hub_complain(EXIT_REFUSED, "%s is damaged", r->name);
	code = each_member(r, in->data + first, in->data + body, false);
	if (code == EXIT_DONE)
		code = each_member(r, in->data + first, in->data + body, true);
	return code;
}

int hub_restore(const struct hub_request *r)
{
	struct text in = { 0 };
	int code, err;

	if (!r->name)
		return hub_complain(EXIT_USAGE, "restore: say which FILE");
	err = input_read(r->name, BACKUP_SIZE_MAX, &in);
	if (err)
		code = hub_complain(EXIT_FAILED, "%s: %s", r->name, err_text(err));
	else
		code = unpack(r, &in);
	text_done(&in);
	return code;
}
