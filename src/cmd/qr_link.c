/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/qr_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/output.h"
#include "conf/link.h"
#include "conf/wgconf_values.h"

static const char command[] = "culvert qr";

/* What the app calls the server: the comment on top of the file, as a gateway writes it. */
static void find_name(const struct wgconf *c, struct text *out)
{
	struct wgconf_span s = { NULL, 0 };

	if (c->n_lines)
		s = wgconf_trim(c->lines[0].whole);
	if (s.len && s.at[0] == '#')
		s = wgconf_trim(wgconf_after(s, 1));
	else
		s.len = 0;
	text_add(out, s.at, s.len);
}

/* A link stays what it was; a file becomes one. */
static int make_link(const char *path, struct conf_file *f, struct text *out)
{
	struct text name = { 0 };
	int code = conf_file_open(f, path), err;

	if (code == EXIT_DONE && f->link.len) {
		text_add(out, f->link.data, f->link.len);
	} else if (code == EXIT_DONE) {
		find_name(&f->conf, &name);
		err = link_make(&f->conf, name.len ? name.data : NULL, out, &f->d);
		code = !err ? EXIT_DONE : err == -ENOMEM ? EXIT_FAILED : EXIT_REFUSED;
	}
	text_done(&name);
	if (code != EXIT_DONE)
		conf_file_complain(f, command);
	return code;
}

int qr_link_print(const char *path)
{
	struct conf_file f = { 0 };
	struct text link = { 0 };
	int code = make_link(path, &f, &link);

	if (code == EXIT_DONE) {
		output_warn_if_readable(command);
		text_puts(&link, "\n");
		fwrite(link.data, 1, link.len, stdout);
	}
	text_done(&link);
	conf_file_done(&f);
	return code;
}

/* "DIR/NAME.png" to "DIR/NAME-2.png". */
static void number_path(const char *path, unsigned int number, struct text *out)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');
	size_t stem = dot ? (size_t)(dot - path) : strlen(path);

	text_add(out, path, stem);
	text_puts(out, "-");
	text_put_u64(out, number);
	text_puts(out, path + stem);
}

/* Where somebody is looking, the next code waits until this one was scanned. */
static void wait_for_enter(void)
{
	char c = '\0';

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return;
	fputs("Enter shows the next code. ", stderr);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
}

/* struct series - The codes of one link */
struct series {
	const struct text *link;
	const struct conf_file *file;
	const struct qr_format *format;
	const char *output; /* NULL: standard output */
	unsigned int n;
};

static int draw_part(const struct series *s, unsigned int index)
{
	struct text part = { 0 }, path = { 0 };
	int code;

	link_part(s->link->data, s->link->len, index, &part);
	if (s->output)
		number_path(s->output, index + 1, &path);
	else
		printf("part %u of %u\n", index + 1, s->n);
	if (part.err || path.err) {
		fprintf(stderr, "%s: %s\n", command, err_text(part.err ? part.err : path.err));
		code = EXIT_FAILED;
	} else {
		code = qr_draw(s->file->name, part.data, part.len, s->format, path.data);
	}
	if (code == EXIT_DONE && s->output)
		puts(path.data);
	else if (code == EXIT_DONE && index + 1 < s->n)
		wait_for_enter();
	text_done(&part);
	text_done(&path);
	return code;
}

static int draw_all(struct conf_file *f, const struct text *link,
		    const struct qr_format *format, const char *output)
{
	int n = link_parts(link->data, link->len, &f->d);
	struct series s = { .link = link, .file = f, .format = format, .output = output };
	int code = EXIT_DONE;

	if (n < 0) {
		conf_file_complain(f, command);
		return EXIT_REFUSED;
	}
	s.n = (unsigned int)n;
	for (unsigned int i = 0; i < s.n && code == EXIT_DONE; i++)
		code = draw_part(&s, i);
	return code;
}

int qr_link_draw(const char *path, const struct qr_format *format, const char *output)
{
	struct conf_file f = { 0 };
	struct text link = { 0 };
	int code = make_link(path, &f, &link);

	if (output && strcmp(output, "-") == 0)
		output = NULL;
	if (code == EXIT_DONE)
		code = draw_all(&f, &link, format, output);
	text_done(&link);
	conf_file_done(&f);
	return code;
}
