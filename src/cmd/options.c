/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>

#include "base/nearest.h"
#include "sys/file.h"

enum {
	FILE_MAX = 65536,
	HELP_COLUMN = 24,
};

#define PREFIX "CULVERT_"

/* Is @word the row's name? Where @is_key, with '_' for '-' and in either case. */
static bool is_name(const struct option_row *row, const char *word, size_t len, bool is_key)
{
	if (strlen(row->name) != len)
		return false;
	if (!is_key)
		return memcmp(row->name, word, len) == 0;
	for (size_t i = 0; i < len; i++) {
		char c = row->name[i] == '-' ? '_' : row->name[i];

		if (tolower((unsigned char)word[i]) != c)
			return false;
	}
	return true;
}

static size_t find(const struct options *o, const char *word, size_t len, bool is_key)
{
	size_t i = 0;

	while (i < o->n && !is_name(&o->rows[i], word, len, is_key))
		i++;
	return i;
}

/* "; did you mean …?", or nothing. @lead stands in front of the name. */
static const char *suggest(const struct options *o, const char *word, size_t len,
			   const char *lead, char out[64])
{
	struct nearest best = { 0 };

	for (size_t i = 0; i < o->n; i++) {
		if (o->rows[i].help)
			nearest_offer(&best, word, len, o->rows[i].name);
	}
	out[0] = '\0';
	if (best.name)
		snprintf(out, 64, "; did you mean %s%s?", lead, best.name);
	return out;
}

static int set(struct options *o, size_t row, enum option_source source, const char *text,
	       size_t len, const char *origin)
{
	struct option_value *v = &o->values[row];
	char *copy;

	if (v->text && v->source > source)
		return 0;
	if (len >= OPTION_VALUE_MAX)
		return ERR_LIMIT;
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	free(v->text);
	v->text = copy;
	v->source = source;
	snprintf(v->origin, sizeof(v->origin), "%s", origin);
	return 0;
}

/* --- command line --- */

/* One argument, and the value behind it when it needs one. Return: arguments used, or an error. */
static int read_argument(struct options *o, char **argv, struct diag *d)
{
	const char *word = argv[0] + 2;
	size_t len = strcspn(word, "=");
	const char *value = word[len] == '=' ? word + len + 1 : NULL;
	char origin[OPTION_ORIGIN_MAX], hint[64];
	size_t row = find(o, word, len, false);
	int used = 1;
	int err;

	if (row == o->n)
		return diag_set(d, ERR_FORMAT, 0, "no option --%.*s%s", (int)(len % 64), word,
				suggest(o, word, len, "--", hint));
	if (!o->rows[row].argument && value)
		return diag_set(d, ERR_FORMAT, 0, "--%s takes no value", o->rows[row].name);
	if (!o->rows[row].argument)
		value = "1";
	if (!value) {
		value = argv[1];
		used = 2;
	}
	if (!value)
		return diag_set(d, ERR_FORMAT, 0, "--%s needs a value: %s", o->rows[row].name,
				o->rows[row].argument);
	snprintf(origin, sizeof(origin), "--%s", o->rows[row].name);
	err = set(o, row, OPTION_ARGUMENT, value, strlen(value), origin);
	return err < 0 ? diag_set(d, err, 0, "%s: %s", origin, err_text(err)) : used;
}

int options_read_arguments(struct options *o, int argc, char **argv, struct diag *d)
{
	assert(o->n <= OPTIONS_MAX);
	for (int i = 1; i < argc;) {
		int used;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			o->wants_help = true;
			return 0;
		}
		if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0')
			return diag_set(d, ERR_FORMAT, 0, "unexpected argument '%.64s'",
					argv[i]);
		used = read_argument(o, argv + i, d);
		if (used < 0)
			return used;
		i += used;
	}
	return 0;
}

/* --- environment --- */

/* Does @variable begin with "CULVERT_", @word in capitals, and "_"? */
static bool has_prefix(const char *variable, const char *word)
{
	size_t len = strlen(PREFIX);

	if (strncmp(variable, PREFIX, len) != 0)
		return false;
	for (; *word; word++, len++) {
		if (variable[len] != toupper((unsigned char)*word))
			return false;
	}
	return variable[len] == '_';
}

/* How much of @variable is not the row's name: "CULVERT_GATEWAY_", or "CULVERT_" where the name
 * begins with its section. 0: it is none of ours. */
static size_t prefix_len(const struct options *o, const char *variable)
{
	if (has_prefix(variable, o->command))
		return strlen(PREFIX) + strlen(o->command) + 1;
	for (size_t i = 0; i < o->n; i++) {
		if (o->rows[i].section && has_prefix(variable, o->rows[i].section))
			return strlen(PREFIX);
	}
	return 0;
}

static int read_variable(struct options *o, const char *variable, struct diag *d)
{
	size_t name_len = strcspn(variable, "=");
	size_t skip = prefix_len(o, variable);
	char origin[OPTION_ORIGIN_MAX], hint[64];
	const char *value = variable + name_len + (variable[name_len] == '=');
	size_t row;
	int err;

	snprintf(origin, sizeof(origin), "%.*s", (int)(name_len % OPTION_ORIGIN_MAX), variable);
	if (skip > 0 && skip <= name_len) {
		row = find(o, variable + skip, name_len - skip, true);
		if (row == o->n || !o->rows[row].help)
			return diag_set(d, ERR_FORMAT, 0, "no option for the variable %s%s",
					origin,
					suggest(o, variable + skip, name_len - skip, "", hint));
		err = set(o, row, OPTION_ENVIRONMENT, value, strlen(value), origin);
		return err < 0 ? diag_set(d, err, 0, "%s: %s", origin, err_text(err)) : 0;
	}
	for (row = 0; row < o->n; row++) {
		const char *theirs = o->rows[row].variable;

		if (theirs && strlen(theirs) == name_len &&
		    memcmp(theirs, variable, name_len) == 0)
			return set(o, row, OPTION_VARIABLE, value, strlen(value), origin);
	}
	return 0;
}

int options_read_environment(struct options *o, char **environment, struct diag *d)
{
	int err = 0;

	for (; *environment && err == 0; environment++)
		err = read_variable(o, *environment, d);
	return err;
}

/* --- file --- */

struct span {
	const char *at;
	size_t len;
};

static struct span trim(const char *at, size_t len)
{
	while (len > 0 && isspace((unsigned char)at[0])) {
		at++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)at[len - 1]))
		len--;
	return (struct span){ at, len };
}

/* Up to a '#' that begins the line or follows white space. */
static struct span without_comment(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] == '#' && (i == 0 || isspace((unsigned char)at[i - 1])))
			return trim(at, i);
	}
	return trim(at, len);
}

/**
 * struct file_reader - A file being read
 * @in_section:	Below a section line; before the first one there may be nothing
 * @section:	Of rows that have one; NULL: that of the command
 */
struct file_reader {
	struct options *o;
	const char *path;
	enum option_source source;
	unsigned int line;
	bool in_section;
	const char *section;
};

static int refuse_line(const struct file_reader *r, struct diag *d, const char *why,
		       const char *more)
{
	return diag_set(d, ERR_FORMAT, r->line, "%s line %u: %s%s", r->path, r->line, why,
			more);
}

static bool is_section(const char *section, struct span name)
{
	return name.len == strlen(section) && memcmp(name.at, section, name.len) == 0;
}

static int read_section(struct file_reader *r, struct span s, struct diag *d)
{
	struct nearest best = { 0 };
	char hint[64] = "";
	struct span name;

	if (s.at[s.len - 1] != ']')
		return refuse_line(r, d, "a section is written [name]", "");
	name = trim(s.at + 1, s.len - 2);
	if (is_section(r->o->command, name)) {
		r->in_section = true;
		r->section = NULL;
		return 0;
	}
	for (size_t i = 0; i < r->o->n; i++) {
		const char *section = r->o->rows[i].section;

		if (section && is_section(section, name)) {
			r->in_section = true;
			r->section = section;
			return 0;
		}
		if (section)
			nearest_offer(&best, name.at, name.len, section);
	}
	nearest_offer(&best, name.at, name.len, r->o->command);
	if (best.name)
		snprintf(hint, sizeof(hint), "; did you mean [%s]?", best.name);
	return refuse_line(r, d, "no such section", hint);
}

/* The row that @key means below the current section; o->n: none. */
static size_t find_key(const struct file_reader *r, struct span key)
{
	char name[64];
	size_t row;
	int len = r->section ? snprintf(name, sizeof(name), "%s_%.*s", r->section,
					(int)(key.len % sizeof(name)), key.at)
			     : snprintf(name, sizeof(name), "%.*s",
					(int)(key.len % sizeof(name)), key.at);

	if (len < 0 || (size_t)len >= sizeof(name) || key.len >= sizeof(name))
		return r->o->n;
	row = find(r->o, name, (size_t)len, true);
	return row < r->o->n && r->o->rows[row].section == r->section ? row : r->o->n;
}

static int read_pair(struct file_reader *r, struct span s, struct diag *d)
{
	const char *equals = memchr(s.at, '=', s.len);
	char origin[OPTION_ORIGIN_MAX], hint[64];
	struct span key, value;
	size_t row;
	int err;

	if (!equals)
		return refuse_line(r, d, "expected [section] or key = value", "");
	if (!r->in_section)
		return refuse_line(r, d, "a key before the first [section]", "");
	key = trim(s.at, (size_t)(equals - s.at));
	value = trim(equals + 1, s.len - (size_t)(equals + 1 - s.at));
	row = find_key(r, key);
	if (row == r->o->n || !r->o->rows[row].help)
		return refuse_line(r, d, "no such key",
				   suggest(r->o, key.at, key.len, "", hint));
	if (memchr(value.at, '\0', value.len))
		return refuse_line(r, d, "a NUL in the value", "");
	snprintf(origin, sizeof(origin), "%s line %u", r->path, r->line);
	err = set(r->o, row, r->source, value.at, value.len, origin);
	return err < 0 ? refuse_line(r, d, err_text(err), "") : 0;
}

static int read_lines(struct file_reader *r, const char *text, size_t len, struct diag *d)
{
	int err = 0;

	for (size_t begin = 0; begin < len && err == 0;) {
		const char *newline = memchr(text + begin, '\n', len - begin);
		size_t end = newline ? (size_t)(newline - text) : len;
		struct span s = without_comment(text + begin, end - begin);

		r->line++;
		if (s.len > 0)
			err = s.at[0] == '[' ? read_section(r, s, d) : read_pair(r, s, d);
		begin = end + 1;
	}
	return err;
}

int options_read_file(struct options *o, const char *path, enum option_source source,
		      struct diag *d)
{
	struct file_reader r = { .o = o, .path = path, .source = source };
	char *text = malloc(FILE_MAX);
	size_t len = 0;
	int err;

	if (!text)
		return -ENOMEM;
	err = file_read_ours(AT_FDCWD, path, text, FILE_MAX, &len);
	if (err == -EPERM)
		diag_set(d, err, 0,
			 "%s: not obeyed: it belongs to another user, or others may write it; "
			 "give it to root (chown root, chmod go-w)",
			 path);
	else if (err == 0)
		err = read_lines(&r, text, len, d);
	else if (err == -ENOENT || err == -ENOTDIR)
		err = 0;
	else
		diag_set(d, err, 0, "%s: %s", path, err_text(err));
	free(text);
	return err;
}

/* --- what came of it --- */

static size_t must_find(const struct options *o, const char *name)
{
	size_t row = find(o, name, strlen(name), false);

	assert(row < o->n);
	return row;
}

static const char *find_default(const struct options *o, size_t row)
{
	return o->values[row].def ? o->values[row].def : o->rows[row].def;
}

void options_set_default(struct options *o, const char *name, const char *text)
{
	o->values[must_find(o, name)].def = text;
}

const char *options_get(const struct options *o, const char *name)
{
	size_t row = must_find(o, name);

	return o->values[row].text ? o->values[row].text : find_default(o, row);
}

const char *options_origin(const struct options *o, const char *name)
{
	const struct option_value *v = &o->values[must_find(o, name)];

	return v->text ? v->origin : "the default";
}

enum option_source options_source(const struct options *o, const char *name)
{
	const struct option_value *v = &o->values[must_find(o, name)];

	return v->text ? v->source : OPTION_DEFAULT;
}

bool options_is_argument(const struct options *o, const char *name)
{
	const struct option_value *v = &o->values[must_find(o, name)];

	return v->text && v->source == OPTION_ARGUMENT;
}

bool options_is_default(const struct options *o, const char *name)
{
	return !o->values[must_find(o, name)].text;
}

void options_print_help(const struct options *o, FILE *out)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct option_row *row = &o->rows[i];
		int used;

		if (!row->help)
			continue;
		used = fprintf(out, "  --%s%s%s", row->name, row->argument ? " " : "",
			       row->argument ? row->argument : "");
		fprintf(out, "%*s%s", used < HELP_COLUMN ? HELP_COLUMN - used : 1, "",
			row->help);
		if (find_default(o, i))
			fprintf(out, " (default %s)", find_default(o, i));
		fputc('\n', out);
	}
}

void options_done(struct options *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->values[i].text);
		o->values[i].text = NULL;
	}
}
