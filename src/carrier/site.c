/* SPDX-License-Identifier: Apache-2.0 */
/* The files; what is answered is in site_answer.c. */
#include "carrier/site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/file.h"

struct site {
	struct site_file files[SITE_FILES_MAX];
	size_t n;
	size_t octets;
};

static const char own_page[] =
	"<!doctype html>\n"
	"<html lang=\"en\">\n"
	"<head>\n"
	"<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<title>Welcome</title>\n"
	"</head>\n"
	"<body>\n"
	"<h1>Welcome</h1>\n"
	"<p>This site has been set up. Its pages have not been put here yet.</p>\n"
	"</body>\n"
	"</html>\n";

static const struct {
	const char *ending;
	const char *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".htm", "text/html; charset=utf-8" },
	{ ".css", "text/css; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".json", "application/json" },
	{ ".txt", "text/plain; charset=utf-8" },
	{ ".xml", "text/xml; charset=utf-8" },
	{ ".svg", "image/svg+xml" },
	{ ".png", "image/png" },
	{ ".jpg", "image/jpeg" },
	{ ".jpeg", "image/jpeg" },
	{ ".gif", "image/gif" },
	{ ".webp", "image/webp" },
	{ ".ico", "image/x-icon" },
	{ ".woff2", "font/woff2" },
	{ ".pdf", "application/pdf" },
};

static const char *type_of(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t n = strlen(types[i].ending);

		if (len > n && strcmp(path + len - n, types[i].ending) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

struct site *site_free(struct site *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		free(s->files[i].data);
	free(s);
	return NULL;
}

/* Takes @data, which is freed if it is not kept. */
static int add(struct site *s, const char *path, uint64_t changed_s, char *data, size_t len,
	       struct diag *d)
{
	struct site_file *f = &s->files[s->n];

	if (s->n == SITE_FILES_MAX || len > SITE_OCTETS_MAX - s->octets ||
	    strlen(path) >= SITE_PATH_MAX) {
		free(data);
		return diag_set(d, ERR_LIMIT, 0,
				"a site has up to %d files and %d MiB; %.100s is too much",
				SITE_FILES_MAX, SITE_OCTETS_MAX >> 20, path);
	}
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->type = type_of(path);
	f->changed_s = changed_s;
	f->data = data;
	f->len = len;
	s->octets += len;
	s->n++;
	return 0;
}

int site_own_page(struct site **ret)
{
	struct site *s = calloc(1, sizeof(*s));
	char *copy = strdup(own_page);
	int err = s && copy ? add(s, "/index.html", clock_wall_ns() / 1000000000, copy,
				  strlen(copy), NULL)
			    : -ENOMEM;

	if (!s)
		free(copy);
	if (err != 0)
		return site_free(s) ? 0 : err;
	*ret = s;
	return 0;
}

static int read_file(struct site *s, int dir, const char *name, const char *path,
		     const struct stat *st, struct diag *d)
{
	size_t size = (size_t)st->st_size, len = 0;
	char *data = size <= SITE_OCTETS_MAX ? malloc(size + 1) : NULL;
	int err;

	if (!data)
		return diag_set(d, size > SITE_OCTETS_MAX ? ERR_LIMIT : -ENOMEM, 0,
				"%.100s is too large for a site", path);
	err = file_read(dir, name, data, size + 1, &len);
	if (err != 0) {
		free(data);
		return diag_set(d, err, 0, "%.100s: %s", path, err_text(err));
	}
	return add(s, path, (uint64_t)st->st_mtime, data, len, d);
}

/* Everything in @fd, which is closed; @path is how its names begin. */
static int read_directory(struct site *s, int fd, const char *path, int depth, struct diag *d)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int err = 0;

	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (err == 0 && (e = readdir(dir))) {
		char whole[SITE_PATH_MAX];
		struct stat st;
		int below;

		if (e->d_name[0] == '.' ||
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (snprintf(whole, sizeof(whole), "%s/%s", path, e->d_name) >=
		    (int)sizeof(whole)) {
			err = diag_set(d, ERR_LIMIT, 0, "%.100s: too long a path", path);
		} else if (S_ISREG(st.st_mode)) {
			err = read_file(s, fd, e->d_name, whole, &st, d);
		} else if (S_ISDIR(st.st_mode) && depth < SITE_DEPTH_MAX) {
			below = openat(fd, e->d_name,
				       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			err = below >= 0 ? read_directory(s, below, whole, depth + 1, d)
					 : -errno;
		}
	}
	closedir(dir);
	return err;
}

int site_read(const char *directory, struct site **ret, struct diag *d)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct site *s = fd >= 0 ? calloc(1, sizeof(*s)) : NULL;
	int err;

	if (fd < 0)
		return diag_set(d, -errno, 0, "%s: %s", directory, err_text(-errno));
	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	d->text[0] = '\0';
	err = read_directory(s, fd, "", 1, d);
	if (err != 0) {
		site_free(s);
		return d->text[0] ? err
				  : diag_set(d, err, 0, "%s: %s", directory, err_text(err));
	}
	*ret = s;
	return 0;
}

const struct site_file *site_find(const struct site *s, struct http_span target)
{
	const char *query = memchr(target.data, '?', target.len);
	size_t len = query ? (size_t)(query - target.data) : target.len;
	bool is_directory = len > 0 && target.data[len - 1] == '/';

	for (size_t i = 0; i < s->n; i++) {
		const struct site_file *f = &s->files[i];

		if (strncmp(f->path, target.data, len) != 0 || strlen(f->path) < len)
			continue;
		if (strcmp(f->path + len, is_directory ? "index.html" : "") == 0)
			return f;
	}
	return NULL;
}
