/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/conf_file.h"

#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/input.h"
#include "conf/link.h"
#include "conf/wgconf_values.h"

static int refuse(struct conf_file *f, int err)
{
	if (!f->d.text[0])
		diag_set(&f->d, err, 0, "%s", err_text(err));
	return err == ERR_FORMAT || err == ERR_LIMIT ? EXIT_REFUSED : EXIT_FAILED;
}

/* The text of a file, or of the link that stands for it. */
static int read_text(struct conf_file *f, const char *path)
{
	int err;

	if (path && link_is(path, strlen(path))) {
		f->name = "the link";
		text_puts(&f->text, path);
		return f->text.err;
	}
	f->name = input_name(path);
	err = input_read(path, WGCONF_SIZE_MAX, &f->text);
	if (err == ERR_LIMIT)
		diag_set(&f->d, err, 0, "more than %d octets", WGCONF_SIZE_MAX);
	return err;
}

/* A link becomes the file in it. */
static int open_link(struct conf_file *f)
{
	struct wgconf_span s = wgconf_trim((struct wgconf_span){ f->text.data, f->text.len });

	if (!link_is(s.at, s.len))
		return 0;
	text_add(&f->link, s.at, s.len);
	text_done(&f->text);
	if (f->link.err)
		return f->link.err;
	return link_read(f->link.data, f->link.len, &f->text, &f->d);
}

int conf_file_open(struct conf_file *f, const char *path)
{
	int err = read_text(f, path);

	if (!err)
		err = open_link(f);
	if (!err)
		err = wgconf_parse(f->text.data ? f->text.data : "", f->text.len, &f->conf,
				   &f->d);
	return err ? refuse(f, err) : EXIT_DONE;
}

void conf_file_complain(const struct conf_file *f, const char *command)
{
	if (f->d.line)
		fprintf(stderr, "%s: %s:%u: %s\n", command, f->name, f->d.line, f->d.text);
	else
		fprintf(stderr, "%s: %s: %s\n", command, f->name, f->d.text);
}

void conf_file_done(struct conf_file *f)
{
	text_done(&f->link);
	text_done(&f->text);
	wgconf_done(&f->conf);
}
