/* SPDX-License-Identifier: Apache-2.0 */
/**
 * conf_file.h - The configuration that a command works on: a file, standard input, or a link
 *
 * A link ("vpn://...") is the argument itself, or the content of the file.
 */
#pragma once

#include "base/err.h"
#include "base/text.h"
#include "conf/wgconf.h"

/**
 * struct conf_file - All zeroes at first; conf_file_done() wipes and frees
 * @name:	For messages; never the link, which holds a key
 * @link:	The link that the file came in, without white space around it; empty: none
 * @text:	The file
 * @d:		Why it was not taken
 */
struct conf_file {
	const char *name;
	struct text link;
	struct text text;
	struct wgconf conf;
	struct diag d;
};

/**
 * conf_file_open() - Read and understand
 * @path:	NULL or "-": standard input
 *
 * Return: EXIT_DONE; EXIT_FAILED or EXIT_REFUSED with the reason in @f->d.
 */
int conf_file_open(struct conf_file *f, const char *path);

/** conf_file_complain() - "COMMAND: NAME:LINE: REASON" on standard error */
void conf_file_complain(const struct conf_file *f, const char *command);
void conf_file_done(struct conf_file *f);
