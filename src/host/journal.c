/* SPDX-License-Identifier: Apache-2.0 */
#include "host/journal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "sys/clock.h"
#include "sys/file.h"

#ifndef SO_NETNS_COOKIE
#	define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

enum {
	FILE_MAX = 4 << 20,
	FIELDS_MAX = 5,
	LOCK_POLL_NS = 10000000,
	STARTED_FIELD = 22, /* of /proc/PID/stat, proc(5) */
};

#define LOCK_PATIENCE_NS (UINT64_C(10) * 1000000000)

/* --- text --- */

struct field {
	const char *at;
	size_t len;
};

/* Split at single spaces. Return: number of fields, FIELDS_MAX + 1 for too many. */
static size_t split(const char *line, size_t len, struct field fields[FIELDS_MAX])
{
	size_t n = 0;

	for (size_t begin = 0; begin <= len; n++) {
		const char *space = memchr(line + begin, ' ', len - begin);
		size_t end = space ? (size_t)(space - line) : len;

		if (n == FIELDS_MAX)
			return FIELDS_MAX + 1;
		fields[n] = (struct field){ line + begin, end - begin };
		begin = end + 1;
	}
	return n;
}

static bool is_word(struct field f, const char *word)
{
	return f.len == strlen(word) && memcmp(f.at, word, f.len) == 0;
}

static bool copy_field(struct field f, char *out, size_t max)
{
	if (f.len == 0 || f.len >= max || memchr(f.at, '\0', f.len))
		return false;
	memcpy(out, f.at, f.len);
	out[f.len] = '\0';
	return true;
}

static bool read_number(struct field f, uint64_t max, uint64_t *ret)
{
	return decimal_parse(f.at, f.len, max, ret) == 0;
}

/* Only network settings, and no way out of their directory: we write there as root. */
static bool is_setting_name(const char *name)
{
	return strncmp(name, "net/", 4) == 0 && !strstr(name, "..") && !strstr(name, "//");
}

static bool read_process(const struct field *f, struct journal_entry *e)
{
	uint64_t pid;

	if (!read_number(f[2], INT32_MAX, &pid) || pid == 0)
		return false;
	e->pid = (pid_t)pid;
	return read_number(f[3], UINT64_MAX, &e->started);
}

static bool read_entry(const struct field *f, size_t n, struct journal_entry *e)
{
	uint64_t holder;

	if (n < 4 || !read_number(f[1], UINT64_MAX, &e->netns))
		return false;
	if (is_word(f[0], "holder") && n == 5) {
		e->kind = JOURNAL_HOLDER;
		return read_process(f, e) && copy_field(f[4], e->name, sizeof(e->name));
	}
	if (is_word(f[0], "child") && n == 5) {
		e->kind = JOURNAL_CHILD;
		if (!read_process(f, e) || !read_number(f[4], INT32_MAX, &holder))
			return false;
		e->holder = (pid_t)holder;
		return true;
	}
	if (is_word(f[0], "setting") && n == 4) {
		e->kind = JOURNAL_SETTING;
		return copy_field(f[2], e->name, sizeof(e->name)) && is_setting_name(e->name) &&
		       copy_field(f[3], e->value, sizeof(e->value));
	}
	return false;
}

/* The first line. */
static bool read_header(const struct field *f, size_t n, struct journal *j)
{
	return n == 3 && is_word(f[0], "culvert-journal") && is_word(f[1], "1") &&
	       copy_field(f[2], j->boot_id, sizeof(j->boot_id));
}

static int parse_line(struct journal *j, const char *line, size_t len, bool is_first)
{
	struct journal_entry e = { 0 };
	struct field fields[FIELDS_MAX];
	size_t n = split(line, len, fields);

	if (n > FIELDS_MAX)
		return ERR_CORRUPT;
	if (is_first)
		return read_header(fields, n, j) ? 0 : ERR_CORRUPT;
	return read_entry(fields, n, &e) ? journal_add(j, &e) : ERR_CORRUPT;
}

int journal_parse(struct journal *j, const char *text, size_t len, struct diag *d)
{
	unsigned int line = 0;

	for (size_t begin = 0; begin < len;) {
		const char *newline = memchr(text + begin, '\n', len - begin);
		size_t end = newline ? (size_t)(newline - text) : len;
		int err = newline ? parse_line(j, text + begin, end - begin, line == 0)
				  : ERR_CORRUPT; /* cut short */

		line++;
		if (err < 0)
			return diag_set(d, err, line, "the journal is damaged in line %u",
					line);
		begin = end + 1;
	}
	return 0;
}

void journal_format(const struct journal *j, struct text *out)
{
	text_printf(out, "culvert-journal 1 %s\n", j->boot_id);
	for (size_t i = 0; i < j->n; i++) {
		const struct journal_entry *e = &j->entries[i];
		unsigned long long netns = e->netns, started = e->started;

		switch (e->kind) {
		case JOURNAL_HOLDER:
			text_printf(out, "holder %llu %d %llu %s\n", netns, e->pid, started,
				    e->name);
			break;
		case JOURNAL_CHILD:
			text_printf(out, "child %llu %d %llu %d\n", netns, e->pid, started,
				    e->holder);
			break;
		case JOURNAL_SETTING:
			text_printf(out, "setting %llu %s %s\n", netns, e->name, e->value);
			break;
		}
	}
}

/* --- entries --- */

int journal_add(struct journal *j, const struct journal_entry *entry)
{
	if (j->n == JOURNAL_ENTRIES_MAX)
		return ERR_LIMIT;
	if (j->n == j->capacity) {
		size_t capacity = j->capacity ? 2 * j->capacity : 16;
		void *more = realloc(j->entries, capacity * sizeof(*j->entries));

		if (!more)
			return -ENOMEM;
		j->entries = more;
		j->capacity = capacity;
	}
	j->entries[j->n++] = *entry;
	return 0;
}

void journal_remove(struct journal *j, size_t index)
{
	assert(index < j->n);
	j->n--;
	memmove(&j->entries[index], &j->entries[index + 1],
		(j->n - index) * sizeof(*j->entries));
}

void journal_remove_holder(struct journal *j, pid_t pid, uint64_t started)
{
	for (size_t i = j->n; i-- > 0;) {
		const struct journal_entry *e = &j->entries[i];

		if ((e->kind == JOURNAL_HOLDER && e->pid == pid && e->started == started) ||
		    (e->kind == JOURNAL_CHILD && e->holder == pid))
			journal_remove(j, i);
	}
}

void journal_remove_settings(struct journal *j, uint64_t netns)
{
	for (size_t i = j->n; i-- > 0;) {
		if (j->entries[i].kind == JOURNAL_SETTING && j->entries[i].netns == netns)
			journal_remove(j, i);
	}
}

bool journal_has_holder(const struct journal *j, uint64_t netns)
{
	for (size_t i = 0; i < j->n; i++) {
		if (j->entries[i].kind == JOURNAL_HOLDER && j->entries[i].netns == netns)
			return true;
	}
	return false;
}

/* --- file --- */

static int take_lock(struct journal *j)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
	uint64_t deadline_ns = clock_boot_ns() + LOCK_PATIENCE_NS;

	j->lock_fd = openat(j->dir_fd, "journal.lock",
			    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lock_fd < 0)
		return -errno;
	while (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_boot_ns() > deadline_ns)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* The text of a small file without its newline. */
static int read_boot_id(char out[JOURNAL_BOOT_ID_MAX])
{
	size_t len;
	int err = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out,
			    JOURNAL_BOOT_ID_MAX - 1, &len);

	if (err < 0)
		return err;
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return out[0] ? 0 : ERR_CORRUPT;
}

/* Forget what was written before the machine was started. */
static int load(struct journal *j, const char *dir, struct diag *d)
{
	struct diag why = { 0 };
	char boot_id[JOURNAL_BOOT_ID_MAX];
	char *bytes = malloc(FILE_MAX);
	size_t len = 0;
	int err;

	if (!bytes)
		return -ENOMEM;
	err = file_read(j->dir_fd, "journal", bytes, FILE_MAX, &len);
	if (err == -ENOENT)
		err = 0;
	if (err == 0)
		err = journal_parse(j, bytes, len, &why);
	if (err == 0)
		err = read_boot_id(boot_id);
	if (err < 0)
		diag_set(d, err, 0, "%s/journal: %s; look at it, then remove it", dir,
			 why.text[0] ? why.text : err_text(err));
	if (err == 0 && strcmp(boot_id, j->boot_id) != 0) {
		j->n = 0;
		memcpy(j->boot_id, boot_id, sizeof(boot_id));
	}
	free(bytes);
	return err;
}

int journal_open(struct journal *j, const char *dir, struct diag *d)
{
	int err;

	*j = (struct journal){ .dir_fd = -1, .lock_fd = -1 };
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, "cannot make %s: %s", dir, err_text(-errno));
	j->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	err = j->dir_fd < 0 ? -errno : take_lock(j);
	if (err < 0)
		diag_set(d, err, 0, "%s: cannot lock the journal: %s", dir, err_text(err));
	else
		err = load(j, dir, d);
	if (err < 0)
		journal_close(j);
	return err;
}

int journal_save(struct journal *j)
{
	struct text t = { .max = FILE_MAX };
	int err;

	if (j->n == 0)
		return unlinkat(j->dir_fd, "journal", 0) < 0 && errno != ENOENT ? -errno : 0;
	journal_format(j, &t);
	err = t.err;
	if (err == 0)
		err = file_write(j->dir_fd, "journal", t.data, t.len, FILE_MODE(0600));
	text_done(&t);
	return err;
}

void journal_close(struct journal *j)
{
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	if (j->dir_fd >= 0)
		close(j->dir_fd);
	free(j->entries);
	*j = (struct journal){ .dir_fd = -1, .lock_fd = -1 };
}

/* --- processes and namespaces --- */

uint64_t journal_process_started(pid_t pid)
{
	char path[40];
	char stat[1024];
	size_t len = 0;
	uint64_t started;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, stat, sizeof(stat) - 1, &len) < 0)
		return 0;
	stat[len] = '\0';
	p = strrchr(stat, ')'); /* the name in front may hold anything */
	if (p && (p[1] == '\0' || p[2] == 'Z' || p[2] == 'X'))
		return 0; /* ended, only not yet buried */
	for (int field = 2; p && field < STARTED_FIELD; field++)
		p = strchr(p + 1, ' ');
	if (!p || decimal_parse(p + 1, strcspn(p + 1, " \n"), UINT64_MAX, &started) < 0)
		return 0;
	return started;
}

uint64_t journal_netns(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	struct stat st;

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		cookie = 0;
	if (fd >= 0)
		close(fd);
	if (cookie == 0 && stat("/proc/self/ns/net", &st) == 0) /* an older kernel */
		cookie = st.st_ino;
	return cookie;
}
