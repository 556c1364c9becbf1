/* SPDX-License-Identifier: Apache-2.0 */
#include "client/undo_journal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "host/journal.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
	FILE_MAX = 1 << 20,
	FIELDS_MAX = 10,
	LOCK_POLL_NS = 10000000,
};

static const char suffix[] = ".journal";

static const char *const dns_words[] = { "resolved", "resolvconf" };
static const char *const resolv_words[] = { "linked", "created", "written" };
static const char *const scope_words[] = { "full", "split", "user", "cgroup" };

void undo_point(void)
{
#ifdef __SANITIZE_ADDRESS__ /* a build for tests */
	static uint64_t passed;
	const char *text = getenv("CULVERT_CLIENT_DIE_AT");
	uint64_t at = 0;

	passed++;
	if (text && decimal_parse(text, strlen(text), UINT64_MAX, &at) == 0 && at == passed)
		raise(SIGKILL);
#endif
}

/* --- Reading --- */

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

static bool read_u32(struct field f, uint32_t *ret)
{
	uint64_t n;

	if (!read_number(f, UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool read_flag(struct field f, bool *ret)
{
	*ret = is_word(f, "1");
	return *ret || is_word(f, "0");
}

static bool read_process(struct field pid, struct field started, pid_t *ret_pid,
			 uint64_t *ret_started)
{
	uint64_t n;

	if (!read_number(pid, INT32_MAX, &n))
		return false;
	*ret_pid = (pid_t)n;
	return read_number(started, UINT64_MAX, ret_started);
}

static bool read_word(struct field f, const char *const *words, size_t n, size_t *ret)
{
	for (*ret = 0; *ret < n; (*ret)++) {
		if (is_word(f, words[*ret]))
			return true;
	}
	return false;
}

static bool read_prefix(struct field f, struct ip_prefix *ret)
{
	char text[ADDR_TEXT_MAX];

	return copy_field(f, text, sizeof(text)) && ip_prefix_parse(text, true, ret) == 0;
}

/* rule FAMILY PRIORITY TABLE MARK MASK INVERT SUPPRESS UID TO; "-": none of it */
static bool read_rule(const struct field *f, struct netlink_rule *r)
{
	uint32_t suppress = 0;

	r->family = is_word(f[1], "4") ? ADDR_V4 : ADDR_V6;
	r->suppress_bits = -1;
	if ((r->family == ADDR_V6 && !is_word(f[1], "6")) || !read_u32(f[2], &r->priority) ||
	    !read_u32(f[3], &r->table) || !read_u32(f[4], &r->mark) ||
	    !read_u32(f[5], &r->mask) || !read_flag(f[6], &r->invert))
		return false;
	if (!is_word(f[7], "-")) {
		if (!read_u32(f[7], &suppress) || suppress > 128)
			return false;
		r->suppress_bits = (int32_t)suppress;
	}
	r->has_uid = !is_word(f[8], "-");
	if (r->has_uid && !read_u32(f[8], &r->uid))
		return false;
	if (is_word(f[9], "-"))
		return true;
	return read_prefix(f[9], &r->to) && r->to.ip.family == r->family;
}

static bool read_route(const struct field *f, struct netlink_route *r)
{
	return read_u32(f[1], &r->table) && read_u32(f[2], &r->metric) &&
	       read_flag(f[3], &r->is_unreachable) && read_prefix(f[4], &r->destination);
}

static bool read_resolv(const struct field *f, struct undo_step *s)
{
	size_t word;
	long len;

	if (!read_word(f[1], resolv_words, 3, &word))
		return false;
	s->resolv = (enum undo_resolv)word;
	len = hex_decode(f[2].at, f[2].len, s->content, sizeof(s->content));
	if (len < 0)
		return false;
	s->content_len = (size_t)len;
	return true;
}

static bool read_step(const struct field *f, size_t n, struct undo_step *s)
{
	size_t word;

	if (is_word(f[0], "table") && n == 1) {
		s->kind = UNDO_TABLE;
		return true;
	}
	if ((is_word(f[0], "device") || is_word(f[0], "setting")) && n == 3) {
		s->kind = is_word(f[0], "device") ? UNDO_DEVICE : UNDO_SETTING;
		return read_process(f[1], f[2], &s->pid, &s->started);
	}
	if (is_word(f[0], "rule") && n == 10) {
		s->kind = UNDO_RULE;
		return read_rule(f, &s->rule);
	}
	if (is_word(f[0], "route") && n == 5) {
		s->kind = UNDO_ROUTE;
		return read_route(f, &s->route);
	}
	if (is_word(f[0], "dns") && n == 2) {
		s->kind = UNDO_DNS;
		if (!read_word(f[1], dns_words, 2, &word))
			return false;
		s->dns = (enum undo_dns)word;
		return true;
	}
	s->kind = UNDO_RESOLV;
	return is_word(f[0], "resolv") && n == 3 && read_resolv(f, s);
}

static int read_pin(struct undo_journal *j, const struct field *f)
{
	char host[UNDO_HOST_MAX], text[ADDR_TEXT_MAX];
	struct endpoint at;

	if (!copy_field(f[1], host, sizeof(host)) || !copy_field(f[2], text, sizeof(text)) ||
	    endpoint_parse(text, &at) < 0)
		return ERR_CORRUPT;
	return undo_journal_pin(j, host, &at);
}

static bool read_plan(struct undo_journal *j, const struct field *f, size_t n)
{
	size_t word = 0;

	j->has_scope = n == 5;
	if (j->has_scope && !read_word(f[4], scope_words, 4, &word))
		return false;
	j->scope = (enum client_scope)word;
	return read_u32(f[1], &j->number) && read_flag(f[2], &j->has_kill_switch) &&
	       copy_field(f[3], j->name, sizeof(j->name));
}

static int read_line(struct undo_journal *j, const struct field *f, size_t n)
{
	struct undo_step step = { .kind = UNDO_TABLE };

	if (is_word(f[0], "keeper") && n == 3)
		return read_process(f[1], f[2], &j->keeper, &j->keeper_started) ? 0
										: ERR_CORRUPT;
	if (is_word(f[0], "plan") && (n == 4 || n == 5))
		return read_plan(j, f, n) ? 0 : ERR_CORRUPT;
	if (is_word(f[0], "endpoint") && n == 3)
		return read_pin(j, f);
	return read_step(f, n, &step) ? undo_journal_add(j, &step) : ERR_CORRUPT;
}

static int parse_line(struct undo_journal *j, const char *line, size_t len, bool is_first)
{
	struct field f[FIELDS_MAX];
	size_t n = split(line, len, f);

	if (n > FIELDS_MAX)
		return ERR_CORRUPT;
	if (!is_first)
		return read_line(j, f, n);
	return n == 4 && is_word(f[0], "culvert-client") && is_word(f[1], "1") &&
			       copy_field(f[2], j->boot_id, sizeof(j->boot_id)) &&
			       read_number(f[3], UINT64_MAX, &j->netns)
		       ? 0
		       : ERR_CORRUPT;
}

int undo_journal_parse(struct undo_journal *j, const char *text, size_t len, struct diag *d)
{
	unsigned int line = 0;

	for (size_t begin = 0; begin < len;) {
		const char *newline = memchr(text + begin, '\n', len - begin);
		size_t end = newline ? (size_t)(newline - text) : len;
		int err = newline ? parse_line(j, text + begin, end - begin, line == 0)
				  : ERR_CORRUPT; /* cut short */

		line++;
		if (err < 0)
			return diag_set(d, err, line, "damaged in line %u", line);
		begin = end + 1;
	}
	return 0;
}

/* --- Writing --- */

static void put_optional(struct text *out, bool is_there, uint32_t value)
{
	if (is_there)
		text_printf(out, " %u", value);
	else
		text_puts(out, " -");
}

static void put_rule(struct text *out, const struct netlink_rule *r)
{
	char text[ADDR_TEXT_MAX];

	text_printf(out, "rule %d %u %u %u %u %d", r->family == ADDR_V4 ? 4 : 6, r->priority,
		    r->table, r->mark, r->mask, r->invert);
	put_optional(out, r->suppress_bits >= 0, (uint32_t)r->suppress_bits);
	put_optional(out, r->has_uid, r->uid);
	text_printf(out, " %s\n", r->to.ip.family ? ip_prefix_format(&r->to, text) : "-");
}

static void put_step(struct text *out, const struct undo_step *s)
{
	unsigned long long started = s->started;
	char text[ADDR_TEXT_MAX];

	switch (s->kind) {
	case UNDO_TABLE:
		text_puts(out, "table\n");
		break;
	case UNDO_DEVICE:
		text_printf(out, "device %d %llu\n", s->pid, started);
		break;
	case UNDO_SETTING:
		text_printf(out, "setting %d %llu\n", s->pid, started);
		break;
	case UNDO_RULE:
		put_rule(out, &s->rule);
		break;
	case UNDO_ROUTE:
		text_printf(out, "route %u %u %d %s\n", s->route.table, s->route.metric,
			    s->route.is_unreachable,
			    ip_prefix_format(&s->route.destination, text));
		break;
	case UNDO_DNS:
		text_printf(out, "dns %s\n", dns_words[s->dns]);
		break;
	case UNDO_RESOLV:
		text_printf(out, "resolv %s ", resolv_words[s->resolv]);
		text_put_hex(out, s->content, s->content_len);
		text_puts(out, "\n");
		break;
	}
}

void undo_journal_format(const struct undo_journal *j, struct text *out)
{
	char text[ADDR_TEXT_MAX];

	text_printf(out, "culvert-client 1 %s %llu\n", j->boot_id,
		    (unsigned long long)j->netns);
	text_printf(out, "keeper %d %llu\n", j->keeper, (unsigned long long)j->keeper_started);
	text_printf(out, "plan %u %d %s%s%s\n", j->number, j->has_kill_switch,
		    j->name[0] ? j->name : "-", j->has_scope ? " " : "",
		    j->has_scope ? scope_words[j->scope] : "");
	for (size_t i = 0; i < j->n_pins; i++)
		text_printf(out, "endpoint %s %s\n", j->pins[i].host,
			    endpoint_format(&j->pins[i].at, text));
	for (size_t i = 0; i < j->n_steps; i++)
		put_step(out, &j->steps[i]);
}

void undo_step_put(struct text *out, const struct undo_step *s)
{
	char text[ADDR_TEXT_MAX];

	switch (s->kind) {
	case UNDO_TABLE:
		text_puts(out, "firewall table");
		break;
	case UNDO_DEVICE:
		text_puts(out, "tunnel interface");
		break;
	case UNDO_SETTING:
		text_puts(out, "setting net.ipv4.conf.all.src_valid_mark");
		break;
	case UNDO_RULE:
		text_printf(out, "routing rule %u (IPv%d)", s->rule.priority,
			    s->rule.family == ADDR_V4 ? 4 : 6);
		break;
	case UNDO_ROUTE:
		text_printf(out, "%sroute %s in table %u",
			    s->route.is_unreachable ? "unreachable " : "",
			    ip_prefix_format(&s->route.destination, text), s->route.table);
		break;
	case UNDO_DNS:
		text_printf(out, "name servers in %s",
			    s->dns == UNDO_DNS_RESOLVED ? "systemd-resolved" : "resolvconf");
		break;
	case UNDO_RESOLV:
		text_puts(out, "/etc/resolv.conf");
		break;
	}
}

/* --- Entries --- */

int undo_journal_add(struct undo_journal *j, const struct undo_step *step)
{
	if (j->n_steps == UNDO_STEPS_MAX)
		return ERR_LIMIT;
	if (j->n_steps == j->capacity) {
		size_t capacity = j->capacity ? 2 * j->capacity : 16;
		void *more = realloc(j->steps, capacity * sizeof(*j->steps));

		if (!more)
			return -ENOMEM;
		j->steps = more;
		j->capacity = capacity;
	}
	j->steps[j->n_steps++] = *step;
	return 0;
}

void undo_journal_remove(struct undo_journal *j, size_t index)
{
	j->n_steps--;
	memmove(&j->steps[index], &j->steps[index + 1],
		(j->n_steps - index) * sizeof(*j->steps));
}

struct undo_step *undo_journal_find(struct undo_journal *j, enum undo_kind kind)
{
	for (size_t i = j->n_steps; i-- > 0;) {
		if (j->steps[i].kind == kind)
			return &j->steps[i];
	}
	return NULL;
}

int undo_journal_pin(struct undo_journal *j, const char *host, const struct endpoint *at)
{
	if (j->n_pins == UNDO_PINS_MAX)
		return ERR_LIMIT;
	if (!j->pins)
		j->pins = calloc(UNDO_PINS_MAX, sizeof(*j->pins));
	if (!j->pins)
		return -ENOMEM;
	snprintf(j->pins[j->n_pins].host, UNDO_HOST_MAX, "%s", host);
	j->pins[j->n_pins++].at = *at;
	return 0;
}

const struct endpoint *undo_journal_pinned(const struct undo_journal *j, const char *host,
					   uint16_t port)
{
	for (size_t i = 0; i < j->n_pins; i++) {
		if (strcmp(j->pins[i].host, host) == 0 && j->pins[i].at.port == port)
			return &j->pins[i].at;
	}
	return NULL;
}

/* The text of a small file without its newline. */
static int read_boot_id(char out[UNDO_BOOT_ID_MAX])
{
	size_t len;
	int err = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out,
			    UNDO_BOOT_ID_MAX - 1, &len);

	if (err < 0)
		return err;
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return out[0] ? 0 : ERR_CORRUPT;
}

int undo_journal_begin(struct undo_journal *j)
{
	int err = read_boot_id(j->boot_id);

	j->netns = journal_netns();
	j->keeper = getpid();
	j->keeper_started = journal_process_started(getpid());
	return err;
}

bool undo_journal_is_of_this_boot(const struct undo_journal *j)
{
	char now[UNDO_BOOT_ID_MAX];

	return read_boot_id(now) == 0 && strcmp(now, j->boot_id) == 0;
}

bool undo_journal_is_elsewhere(const struct undo_journal *j)
{
	return undo_journal_is_of_this_boot(j) && j->netns != journal_netns();
}

bool undo_journal_is_kept(const struct undo_journal *j)
{
	return j->keeper > 0 && undo_journal_is_of_this_boot(j) &&
	       journal_process_started(j->keeper) == j->keeper_started;
}

/* --- The file --- */

static void file_name(const char *interface, char out[64])
{
	snprintf(out, 64, "%.15s%s", interface, suffix);
}

/* What was just made is lasting once its parent is. */
static int make_directory(const char *path)
{
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	return file_sync_parent(AT_FDCWD, path);
}

static int open_directory(const char *state, bool make, int *ret)
{
	char path[4096];
	int fd, err = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/client", state) >= sizeof(path))
		return -ENAMETOOLONG;
	if (make)
		err = make_directory(state);
	if (make && err == 0)
		err = make_directory(path);
	if (err < 0)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* Whoever could put a file there could have anything undone as root. */
static int check_directory(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) ? 0 : -EPERM;
}

void undo_journal_unlock(struct undo_journal *j)
{
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	j->lock_fd = -1;
}

int undo_journal_lock(struct undo_journal *j, uint64_t patience_ns)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
	uint64_t deadline_ns = clock_boot_ns() + patience_ns;

	j->lock_fd = openat(j->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lock_fd < 0)
		return -errno;
	while (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		int err = errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;

		if (err == 0 && clock_boot_ns() >= deadline_ns)
			err = -EBUSY;
		if (err < 0) {
			undo_journal_unlock(j);
			return err;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* -ENOENT: there is none. */
static int load(struct undo_journal *j, struct diag *d)
{
	char name[64], *bytes = malloc(FILE_MAX);
	size_t len = 0;
	int err;

	if (!bytes)
		return -ENOMEM;
	file_name(j->interface, name);
	err = file_read_ours(j->dir_fd, name, bytes, FILE_MAX, &len);
	if (err == 0)
		err = undo_journal_parse(j, bytes, len, d);
	free(bytes);
	return err;
}

static int prepare(struct undo_journal *j, const char *state, const char *interface, bool make)
{
	int err;

	*j = (struct undo_journal){ .dir_fd = -1, .lock_fd = -1 };
	if (!client_interface_is_valid(interface))
		return -EINVAL;
	memcpy(j->interface, interface, strlen(interface) + 1);
	err = open_directory(state, make, &j->dir_fd);
	return err < 0 ? err : check_directory(j->dir_fd);
}

static int explain(const struct undo_journal *j, const char *state, int err, struct diag *d)
{
	char why[DIAG_TEXT_MAX];

	if (err == -EBUSY)
		return diag_set(d, err, 0, "another connect or disconnect is at work");
	snprintf(why, sizeof(why), "%.100s", d && d->text[0] ? d->text : err_text(err));
	return diag_set(d, err, 0, "%.80s/client/%s%s: %s", state, j->interface, suffix, why);
}

int undo_journal_open(struct undo_journal *j, const char *state, const char *interface,
		      uint64_t patience_ns, struct diag *d)
{
	int err = prepare(j, state, interface, true);

	if (err == 0)
		err = undo_journal_lock(j, patience_ns);
	if (err == 0)
		err = load(j, d);
	if (err == -ENOENT)
		return 0;
	if (err == 0)
		return 0;
	explain(j, state, err, d);
	undo_journal_close(j);
	return err;
}

int undo_journal_peek(struct undo_journal *j, const char *state, const char *interface,
		      struct diag *d)
{
	int err = prepare(j, state, interface, false);

	if (err == 0)
		err = load(j, d);
	if (err == 0)
		return 0;
	explain(j, state, err, d);
	undo_journal_close(j);
	return err;
}

int undo_journal_save(struct undo_journal *j)
{
	struct text t = { .max = FILE_MAX };
	char name[64];
	int err;

	file_name(j->interface, name);
	undo_point();
	if (j->n_steps == 0)
		return unlinkat(j->dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	undo_journal_format(j, &t);
	err = t.err;
	if (err == 0)
		err = file_write(j->dir_fd, name, t.data, t.len, FILE_MODE(0600));
	text_done(&t);
	undo_point();
	return err;
}

void undo_journal_close(struct undo_journal *j)
{
	undo_journal_unlock(j);
	if (j->dir_fd >= 0)
		close(j->dir_fd);
	free(j->steps);
	free(j->pins);
	*j = (struct undo_journal){ .dir_fd = -1, .lock_fd = -1 };
}

int undo_journal_interfaces(const char *state,
			    void (*each)(void *context, const char *interface), void *context)
{
	const struct dirent *entry;
	int fd = -1, err = open_directory(state, false, &fd);
	DIR *dir;

	if (err < 0)
		return err == -ENOENT ? 0 : err;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while ((entry = readdir(dir))) {
		char name[LINK_NAME_MAX];
		size_t len = strlen(entry->d_name), tail = sizeof(suffix) - 1;

		if (len <= tail || len - tail >= sizeof(name) ||
		    strcmp(entry->d_name + len - tail, suffix) != 0)
			continue;
		memcpy(name, entry->d_name, len - tail);
		name[len - tail] = '\0';
		if (client_interface_is_valid(name))
			each(context, name);
	}
	closedir(dir);
	return 0;
}
