/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client_file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pwd.h>
#include <unistd.h>

#include "client/undo_journal.h"
#include "conf/link.h"

static const char *const places[] = { "/etc/wireguard", "/etc/amnezia/amneziawg",
				      "/etc/culvert/client" };

static const char tail[] = ".conf";

/* Without directory and ending. */
static void take_name(const char *path, char *out, size_t max)
{
	const char *slash = strrchr(path, '/');
	size_t len;

	snprintf(out, max, "%s", slash ? slash + 1 : path);
	len = strlen(out);
	if (len > sizeof(tail) - 1 && strcmp(out + len - (sizeof(tail) - 1), tail) == 0)
		out[len - (sizeof(tail) - 1)] = '\0';
}

static void make_interface(const char *name, char out[LINK_NAME_MAX])
{
	snprintf(out, LINK_NAME_MAX, "%.15s", name);
	for (char *p = out; *p; p++) {
		bool is_first = p == out;

		if (!isalnum((unsigned char)*p) && !strchr(is_first ? "_" : "_=+.-", *p))
			*p = '_';
	}
}

static bool is_file(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool look_in(struct client_file *f, const char *directory, const char *name)
{
	size_t len = (size_t)snprintf(f->buffer, sizeof(f->buffer), "%s/%s%s", directory, name,
				      tail);

	if (len >= sizeof(f->buffer) || !is_file(f->buffer))
		return false;
	f->path = f->buffer;
	return true;
}

static bool look_in_home(struct client_file *f, const char *home, const char *name)
{
	char directory[PATH_MAX];

	return home && home[0] == '/' &&
	       (size_t)snprintf(directory, sizeof(directory), "%s/.ephem-vpn", home) <
		       sizeof(directory) &&
	       look_in(f, directory, name);
}

/* Of who called sudo, which may have set HOME to root's. */
static const char *callers_home(void)
{
	const char *name = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *user = name ? getpwnam(name) : NULL;

	return user ? user->pw_dir : NULL;
}

static bool look_everywhere(struct client_file *f, const char *name)
{
	if (look_in_home(f, getenv("HOME"), name) || look_in_home(f, callers_home(), name))
		return true;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (look_in(f, places[i], name))
			return true;
	}
	return false;
}

int client_file_find(struct client_file *f, const char *word, struct diag *d)
{
	if (link_is(word, strlen(word))) {
		f->path = word;
		snprintf(f->name, sizeof(f->name), "link");
		snprintf(f->interface, sizeof(f->interface), "vpn0");
		return 0;
	}
	take_name(word, f->name, sizeof(f->name));
	make_interface(f->name, f->interface);
	f->path = word;
	if (strcmp(word, "-") == 0) {
		snprintf(f->name, sizeof(f->name), "stdin");
		snprintf(f->interface, sizeof(f->interface), "vpn0");
		return 0;
	}
	if (is_file(word))
		return 0;
	if (strchr(word, '/') || word[0] == '.' || !word[0])
		return diag_set(d, ERR_UNKNOWN, 0, "Configuration file not found: %s", word);
	if (look_everywhere(f, f->name))
		return 0;
	return diag_set(d, ERR_UNKNOWN, 0,
			"Configuration file not found: %s%s is neither in ~/.ephem-vpn nor in "
			"%s, %s or %s",
			f->name, tail, places[0], places[1], places[2]);
}

struct search {
	const char *state;
	const char *name; /* of a connection */
	char *ret;
	bool is_found;
};

static void see(void *context, const char *interface)
{
	struct search *s = context;
	struct undo_journal j;
	struct diag ignored;

	if (s->is_found || undo_journal_peek(&j, s->state, interface, &ignored) < 0)
		return;
	s->is_found = strcmp(j.name, s->name) == 0;
	if (s->is_found)
		snprintf(s->ret, LINK_NAME_MAX, "%s", interface);
	undo_journal_close(&j);
}

void client_file_interface(const char *state, const char *word, char ret[LINK_NAME_MAX])
{
	char name[NAME_MAX + 1];
	struct search s = { .state = state, .name = name, .ret = ret };

	if (link_is(word, strlen(word)))
		snprintf(name, sizeof(name), "link");
	else
		take_name(word, name, sizeof(name));
	undo_journal_interfaces(state, see, &s);
	if (!s.is_found)
		make_interface(link_is(word, strlen(word)) ? "vpn0" : name, ret);
}
