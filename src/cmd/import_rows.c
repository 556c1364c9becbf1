/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/import_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "api/key_text.h"
#include "base/array.h"
#include "base/utf8.h"
#include "cmd/input.h"
#include "conf/wgconf_values.h"

/* --- Rows --- */

void import_rows_done(struct import_rows *l)
{
	if (l->rows)
		secret_wipe(l->rows, l->n * sizeof(*l->rows));
	for (size_t i = 0; i < l->n_files; i++)
		free(l->files[i]);
	free(l->rows);
	free(l->prefixes);
	free(l->files);
	json_decref(l->keys);
	json_decref(l->names);
	*l = (struct import_rows){ .n = 0 };
}

const char *import_rows_keep_name(struct import_rows *l, const char *path)
{
	char *copy = strdup(path);

	if (!copy ||
	    array_room(&l->files, l->n_files, sizeof(*l->files), &l->files_capacity) != 0) {
		free(copy);
		return NULL;
	}
	l->files[l->n_files++] = copy;
	return copy;
}

/* Text of people that is no UTF-8 would not get into JSON. */
static bool is_utf8(struct wgconf_span s)
{
	size_t n;

	for (; s.len; s = wgconf_after(s, n)) {
		n = utf8_len(s.at, s.len);
		if (n == 0)
			return false;
	}
	return true;
}

/* "NAME-2", "NAME-3" where NAME is taken; a peer's own name is one of its kind. */
static int make_unique(struct import_rows *l, struct import_row *row)
{
	char base[STORE_NAME_MAX + 1];

	memcpy(base, row->name, sizeof(base));
	for (unsigned int n = 2; json_object_get(l->names, row->name); n++) {
		char end[16];
		size_t room = STORE_NAME_MAX - (size_t)snprintf(end, sizeof(end), "-%u", n);

		while (room > 0 && ((unsigned char)base[room] & 0xc0) == 0x80)
			room--; /* between characters */
		snprintf(row->name, sizeof(row->name), "%.*s%s", (int)room, base, end);
		snprintf(row->note, sizeof(row->note), "the name %.70s is used before", base);
	}
	return json_object_set_new(l->names, row->name, json_true()) == 0 ? 0 : -ENOMEM;
}

static int set_name(struct import_rows *l, struct import_row *row, struct wgconf_span name)
{
	const char *why = "it is too long";

	if (!name.len)
		return 0;
	if (name.len < sizeof(row->name) && is_utf8(name)) {
		snprintf(row->name, sizeof(row->name), "%.*s", (int)name.len, name.at);
		if (key_text_is_name(row->name, &why))
			return make_unique(l, row);
	} else if (!is_utf8(name)) {
		why = "it is not UTF-8";
	}
	row->name[0] = '\0';
	snprintf(row->note, sizeof(row->note), "its name is left out: %s", why);
	return 0;
}

/* The same key before? It may want a name. Return: 1 if so, 0 if not, -ENOMEM. */
static int find_twin(struct import_rows *l, const struct import_row *row,
		     struct wgconf_span name)
{
	char key[KEY_BASE64_LEN + 1];
	const json_t *place;
	struct import_row *first;
	int err;

	key_to_base64(row->public_key, key);
	place = json_object_get(l->keys, key);
	if (!place)
		return json_object_set_new(l->keys, key, json_integer((json_int_t)l->n)) == 0
			       ? 0
			       : -ENOMEM;
	first = &l->rows[json_integer_value(place)];
	err = first->name[0] ? 0 : set_name(l, first, name);
	return err == 0 ? 1 : err;
}

static int keep_prefixes(struct import_rows *l, const struct ip_prefix *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (array_room(&l->prefixes, l->n_prefixes, sizeof(*prefixes),
			       &l->prefixes_capacity) != 0)
			return -ENOMEM;
		l->prefixes[l->n_prefixes++] = prefixes[i];
	}
	return 0;
}

int import_rows_add(struct import_rows *l, const struct import_row *row,
		    struct wgconf_span name, const struct ip_prefix *prefixes, size_t n)
{
	struct import_row *added;
	int err;

	if (!l->keys)
		l->keys = json_object();
	if (!l->names)
		l->names = json_object();
	if (!l->keys || !l->names ||
	    array_room(&l->rows, l->n, sizeof(*l->rows), &l->capacity) != 0)
		return -ENOMEM;
	err = find_twin(l, row, name);
	if (err != 0)
		return err < 0 ? err : 0;
	added = &l->rows[l->n];
	*added = *row;
	added->first_prefix = l->n_prefixes;
	added->n_prefixes = n;
	err = set_name(l, added, name);
	if (err == 0)
		err = keep_prefixes(l, prefixes, n);
	if (err == 0)
		l->n++;
	return err;
}

/* --- A server's file --- */

/* struct waking - Lines of disabled peers, by their number */
struct waking {
	unsigned int *lines;
	size_t n, capacity;
};

/* The file without the marks of disabled lines, which stand on the same lines afterwards. */
static int wake(const struct text *in, struct text *out, struct waking *w)
{
	static const char mark[] = "#[disabled] ";
	struct wgconf_span rest = { in->data ? in->data : "", in->len };

	for (unsigned int number = 1; rest.len; number++) {
		struct wgconf_span line = wgconf_before(rest, '\n');

		line.len += line.len < rest.len;
		rest = wgconf_after(rest, line.len);
		if (line.len >= sizeof(mark) - 1 &&
		    memcmp(line.at, mark, sizeof(mark) - 1) == 0) {
			if (array_room(&w->lines, w->n, sizeof(*w->lines), &w->capacity) != 0)
				return -ENOMEM;
			w->lines[w->n++] = number;
			line = wgconf_after(line, sizeof(mark) - 1);
		}
		text_add(out, line.at, line.len);
	}
	return out->err;
}

static int by_number(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return x < y ? -1 : x > y;
}

static bool sleeps(const struct waking *w, unsigned int line)
{
	return w->n > 0 && bsearch(&line, w->lines, w->n, sizeof(*w->lines), by_number) != NULL;
}

static int add_peer(struct import_rows *l, const struct wgconf *c, const struct wgconf_peer *p,
		    const char *file, bool is_enabled)
{
	struct import_row row = {
		.file = file,
		.line = p->line,
		.preshared_key = p->preshared_key,
		.keepalive_s = (uint16_t)p->keepalive.hi,
		.is_enabled = is_enabled,
		.level = FRAME_LEVELS,
	};
	int err;

	memcpy(row.public_key, p->public_key, 32);
	if (p->endpoint_host.len)
		snprintf(row.note, sizeof(row.note),
			 "its Endpoint is not kept: the gateway waits for it to call");
	err = import_rows_add(l, &row, p->name,
			      p->n_allowed_ips ? c->allowed_ips + p->first_allowed_ip : NULL,
			      p->n_allowed_ips);
	secret_key_done(&row.preshared_key);
	return err;
}

/* One peer with an endpoint, and no port to be found at: the way a client's file looks. */
static bool is_clients(const struct wgconf *c)
{
	return c->n_peers == 1 && c->peers[0].endpoint_host.len > 0 &&
	       !c->interface.has_listen_port;
}

static int add_peers(struct import_rows *l, const struct wgconf *c, const char *path,
		     const struct waking *w, struct diag *d)
{
	const char *file = import_rows_keep_name(l, path);
	int err = file ? 0 : -ENOMEM;

	if (is_clients(c))
		return diag_set(d, ERR_FORMAT, 0,
				"%s is a client's file: name the directory that clients' files"
				" lie in, or the server's own file",
				path);
	for (size_t i = 0; i < c->n_peers && err == 0; i++)
		err = add_peer(l, c, &c->peers[i], file, !sleeps(w, c->peers[i].line));
	return err;
}

static int read_server(struct import_rows *l, const char *path, const struct text *text,
		       struct wgconf *ret, struct diag *d)
{
	struct waking w = { .n = 0 };
	struct text awake = { .data = NULL };
	struct diag why = { .text = "" };
	int err = wake(text, &awake, &w);

	if (err == 0) {
		err = wgconf_parse(awake.data ? awake.data : "", awake.len, ret, &why);
		if (err != 0)
			diag_set(d, err, why.line, "%s:%u: %.180s", path, why.line, why.text);
	}
	if (err == 0)
		err = add_peers(l, ret, path, &w, d);
	text_done(&awake);
	free(w.lines);
	return err;
}

/* --- Any kind --- */

static bool is_json(const struct text *text)
{
	size_t at = text->data ? strspn(text->data, " \t\r\n") : 0;

	return text->data && at < text->len && text->data[at] == '{';
}

static int read_file(struct import_rows *l, const char *path, struct wgconf *ret_server,
		     struct diag *d)
{
	struct text text = { .data = NULL };
	int err = input_read(path, WGCONF_SIZE_MAX, &text);

	if (err == 0 && is_json(&text))
		err = import_rows_read_json(l, path, &text, d);
	else if (err == 0)
		err = read_server(l, input_name(path), &text, ret_server, d);
	text_done(&text);
	return err;
}

int import_rows_read(struct import_rows *l, const char *path, struct wgconf *ret_server,
		     struct diag *d)
{
	struct stat st;
	int err;

	*ret_server = (struct wgconf){ .text = NULL };
	if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		err = import_rows_read_clients(l, path, d);
	else
		err = read_file(l, path, ret_server, d);
	if (err != 0 && !d->text[0])
		diag_set(d, err, 0, "%s: %s", input_name(path), err_text(err));
	return err;
}
