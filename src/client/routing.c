/* SPDX-License-Identifier: Apache-2.0 */
#include "client/routing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "client/ip_tool.h"
#include "sys/file.h"

enum { NOTE_MAX = 65536, ROUTES_MAX = 16, RESOLV_MAX = 16384 };

static const char rules_head[] = "# Original iptables rules:";

/* --- Asking ip(8) --- */

struct routes {
	struct route_line one[ROUTES_MAX];
	size_t n;
};

/* Return: the number of octets of the line at @at, without its newline. */
static size_t line_len(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return (size_t)((newline ? newline : end) - at);
}

/* Those that are understood; one of several ways, for instance, is left alone. */
static int read_defaults(struct routes *ret, char text[PROGRAM_TEXT_MAX], struct diag *d)
{
	static const char *const argv[] = { "ip", "-4", "route", "show", "default", NULL };
	struct program_result result;
	int err = ip_tool_run(argv, &result, d);
	const char *end;

	ret->n = 0;
	if (err)
		return err;
	end = result.out + strlen(result.out);
	for (const char *at = result.out; at < end && ret->n < ROUTES_MAX;) {
		size_t len = line_len(at, end);

		if (route_line_read(at, len, &ret->one[ret->n], NULL) == 0)
			ret->n++;
		at += len + (at + len < end);
	}
	if (text)
		memcpy(text, result.out, sizeof(result.out));
	return 0;
}

/* ip route VERB and the fields. */
static int change(const char *verb, const struct route_line *r, struct diag *d)
{
	struct route_arguments a = { .n = 0 };
	const char *argv[ROUTE_LINE_ARGUMENTS_MAX + 4] = { "ip", "-4", "route", verb };
	struct program_result result;

	route_line_put(r, &a);
	memcpy(argv + 4, a.words, a.n * sizeof(a.words[0]));
	argv[4 + a.n] = NULL;
	return ip_tool_run(argv, &result, d);
}

bool routing_has_device(void)
{
	return if_nametoindex(ROUTING_DEVICE) != 0;
}

/* --- The note --- */

static int make_state(struct diag *d)
{
	struct stat st;

	if (mkdir(ROUTING_STATE, 0700) < 0 && errno != EEXIST)
		return diag_set(d, -errno, 0, ROUTING_STATE ": %s", err_text(-errno));
	if (lstat(ROUTING_STATE, &st) < 0)
		return diag_set(d, -errno, 0, ROUTING_STATE ": %s", err_text(-errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return diag_set(d, -EPERM, 0,
				ROUTING_STATE " is not a directory of root's alone");
	return 0;
}

static void put_rules(struct text *out)
{
	static const char *const saves[] = { "iptables-save", NULL };
	static const char *const lists[] = { "nft", "list", "ruleset", NULL };
	struct program_result result = { .status = 0 };

	if (ip_tool_run(saves, &result, NULL) != 0 && ip_tool_run(lists, &result, NULL) != 0)
		text_puts(out, "# (neither iptables-save nor nft can tell)\n");
	text_puts(out, result.out);
	if (strlen(result.out) + 1 == sizeof(result.out))
		text_puts(out, "\n# (and more)\n");
}

static void put_resolvers(struct text *out)
{
	char text[RESOLV_MAX];
	int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

	if (fd >= 0)
		close(fd);
	if (n > 0)
		text_add(out, text, (size_t)n);
}

static void put_date(struct text *out)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64];

	localtime_r(&now, &tm);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Z %Y", &tm);
	text_printf(out, "# VPN Routing Backup - %s\n", text);
}

int routing_backup(struct diag *d)
{
	struct text note = { .max = NOTE_MAX };
	char defaults[PROGRAM_TEXT_MAX] = "";
	struct routes now = { .n = 0 };
	int err = make_state(d);

	if (!err)
		err = read_defaults(&now, defaults, d);
	if (err)
		return err;
	put_date(&note);
	text_printf(&note, "# Original default route:\n%s\n%s\n", defaults, rules_head);
	put_rules(&note);
	text_puts(&note, "\n# DNS configuration:\n");
	put_resolvers(&note);
	err = note.err ? note.err
		       : file_write(AT_FDCWD, ROUTING_FILE, note.data, note.len,
				    FILE_MODE(0600));
	text_done(&note);
	return err ? diag_set(d, err, 0, ROUTING_FILE ": %s", err_text(err)) : 0;
}

/* The default routes of a note: until its rules, whose lines may begin with anything. */
static int understand(const char *note, size_t len, struct routes *ret, struct diag *d)
{
	static const char word[] = "default";
	const char *end = note + len;
	unsigned int number = 0;

	ret->n = 0;
	for (const char *at = note; at < end;) {
		size_t n = line_len(at, end);
		struct diag why = { .text = "" };

		number++;
		if (n >= sizeof(rules_head) - 1 &&
		    memcmp(at, rules_head, sizeof(rules_head) - 1) == 0)
			break;
		if (n >= sizeof(word) - 1 && memcmp(at, word, sizeof(word) - 1) == 0) {
			if (ret->n == ROUTES_MAX)
				return diag_set(d, ERR_FORMAT, number, "too many routes");
			if (route_line_read(at, n, &ret->one[ret->n], &why) != 0)
				return diag_set(d, ERR_FORMAT, number, "line %u: %.200s",
						number, why.text);
			ret->n++;
		}
		at += n + (at + n < end);
	}
	return 0;
}

/* Ours, else where others had it. */
static int read_note(struct routes *ret, char ret_path[PATH_MAX], struct diag *d)
{
	const char *path = access(ROUTING_FILE, F_OK) == 0 ? ROUTING_FILE : ROUTING_FILE_ONCE;
	struct diag why = { .text = "" };
	char *note = malloc(NOTE_MAX);
	size_t len = 0;
	int err = note ? file_read_ours(AT_FDCWD, path, note, NOTE_MAX, &len) : -ENOMEM;

	snprintf(ret_path, PATH_MAX, "%s", path);
	if (err == -EPERM || err == -ELOOP)
		err = diag_set(d, -EPERM, 0,
			       "%s does not belong to root alone: it is not believed", path);
	else if (err)
		diag_set(d, err, 0, "%s: %s", path, err_text(err));
	else
		err = understand(note, len, ret, &why);
	if (err == ERR_FORMAT)
		diag_set(d, err, 0, "%s, %.180s", path, why.text);
	free(note);
	return err;
}

/* --- Bringing back --- */

static bool is_among(const struct route_line *r, const struct routes *all)
{
	for (size_t i = 0; i < all->n; i++) {
		if (route_line_equal(r, &all->one[i]))
			return true;
	}
	return false;
}

/* A default route that was not there before, through the tunnel or through a device that had another. */
static bool is_to_go(const struct route_line *r, const struct routes *saved)
{
	if (is_among(r, saved))
		return false;
	if (strcmp(r->device, ROUTING_DEVICE) == 0)
		return true;
	for (size_t i = 0; i < saved->n; i++) {
		if (strcmp(r->device, saved->one[i].device) == 0)
			return true;
	}
	return false;
}

static void quiet_device(void)
{
	static const char *const network[] = {
		"ip", "-4", "route", "del", ROUTING_NETWORK, "dev", ROUTING_DEVICE, NULL
	};
	static const char *const down[] = { "ip", "link", "set", ROUTING_DEVICE, "down", NULL };
	struct program_result result;

	if (!routing_has_device())
		return;
	(void)ip_tool_run(network, &result, NULL); /* it may be gone by itself, */
	(void)ip_tool_run(down, &result, NULL);	   /* and so may the device */
}

/* The way to the server that a session noted. */
static void end_session(void)
{
	char text[ROUTE_LINE_MAX];
	struct route_line way;
	size_t len = 0;

	if (file_read_ours(AT_FDCWD, ROUTING_SESSION, text, sizeof(text), &len) == 0 &&
	    route_line_read(text, line_len(text, text + len), &way, NULL) == 0)
		(void)change("del", &way, NULL); /* or somebody else has removed it */
	unlink(ROUTING_SESSION);
}

int routing_restore(char ret_path[PATH_MAX], struct diag *d)
{
	struct routes saved = { .n = 0 }, now = { .n = 0 };
	int err = read_note(&saved, ret_path, d), failed = 0;

	if (err)
		return err;
	quiet_device();
	err = read_defaults(&now, NULL, d);
	for (size_t i = 0; !err && i < saved.n; i++) {
		if (!is_among(&saved.one[i], &now))
			err = change("replace", &saved.one[i], d);
	}
	if (!err)
		err = read_defaults(&now, NULL, d);
	for (size_t i = 0; !err && i < now.n; i++) {
		if (is_to_go(&now.one[i], &saved))
			failed = change("del", &now.one[i], d);
	}
	end_session();
	return err ? err : failed;
}

/* --- Changing --- */

int routing_setup(struct diag *d)
{
	static const char *const drop[] = { "ip",      "-4",  "route",	      "del",
					    "default", "dev", ROUTING_DEVICE, NULL };
	static const char *const add[] = {
		"ip", "-4", "route", "replace", ROUTING_NETWORK, "dev", ROUTING_DEVICE, NULL
	};
	struct program_result result;

	(void)ip_tool_run(drop, &result, NULL); /* there may be none */
	return ip_tool_run(add, &result, d);
}

bool routing_is_open(void)
{
	return access(ROUTING_SESSION, F_OK) == 0;
}

/* How packets go to @server now; false: not through a gateway, so no other route takes it away. */
static bool find_way(const struct ip_addr *server, struct route_line *ret)
{
	char text[ADDR_TEXT_MAX];
	const char *const argv[] = { "ip", "-4", "route", "get", ip_addr_format(server, text),
				     NULL };
	struct program_result result;
	struct route_line r;

	if (server->family != ADDR_V4 || ip_tool_run(argv, &result, NULL) != 0 ||
	    route_line_read(result.out, strcspn(result.out, "\n"), &r, NULL) != 0 ||
	    r.via.family == ADDR_NONE)
		return false;
	*ret = (struct route_line){ .destination = { .ip = *server, .bits = 32 },
				    .via = r.via,
				    .source.family = ADDR_NONE };
	memcpy(ret->device, r.device, sizeof(ret->device));
	return true;
}

static void put_line(const struct route_line *r, struct text *out)
{
	struct route_arguments a = { .n = 0 };

	route_line_put(r, &a);
	for (size_t i = 0; i < a.n; i++)
		text_printf(out, "%s%s", i ? " " : "", a.words[i]);
	text_puts(out, "\n");
}

/* Noted before it is made; one that was there already is not ours to remove. */
int routing_begin(const struct ip_addr *server, struct diag *d)
{
	struct text note = { .data = NULL };
	struct route_line way;
	bool has_way = find_way(server, &way);
	struct diag why = { .text = "" };
	int err;

	if (routing_is_open())
		return diag_set(d, -EBUSY, 0, "the last session was not ended: restore first");
	if (has_way)
		put_line(&way, &note);
	else
		text_puts(&note, "# no route\n");
	err = note.err ? note.err
		       : file_write(AT_FDCWD, ROUTING_SESSION, note.data, note.len,
				    FILE_MODE(0600));
	if (!err && has_way && change("add", &way, &why) != 0)
		err = file_write(AT_FDCWD, ROUTING_SESSION, "# no route\n", 11,
				 FILE_MODE(0600));
	text_done(&note);
	return err ? diag_set(d, err, 0, ROUTING_SESSION ": %s", err_text(err)) : 0;
}
