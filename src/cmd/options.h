/* SPDX-License-Identifier: Apache-2.0 */
/**
 * options.h - The options of a command from one table: arguments, environment, file, help
 *
 * A value comes from the first of: the command line (--name VALUE or --name=VALUE), the
 * environment (CULVERT_COMMAND_NAME), the variable other programs use for it, a file (its
 * section [command]), the default. A row of another section, such as [listen], is called
 * CULVERT_LISTEN_AGENT in the environment, --listen-agent on the command line. A name nobody knows is an error that shows the nearest
 * one. Values are texts here; the command gives them their meaning.
 *
 * Bounds: OPTIONS_MAX rows, files of 64 KiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

enum {
	OPTIONS_MAX = 64,
	OPTION_VALUE_MAX = 1024,
	OPTION_ORIGIN_MAX = 160,
};

/**
 * struct option_row - One option
 * @name:	As on the command line without "--"; "-" becomes "_" elsewhere
 * @argument:	What stands for its value in the help; NULL: a switch, which is "1" or ""
 * @def:	Its value when nobody says anything; NULL: none
 * @variable:	Environment name of other programs; NULL: none
 * @help:	One line; NULL hides it, command line only
 * @section:	Of the file, if not that of the command; @name begins with it and "-"
 */
struct option_row {
	const char *name;
	const char *argument;
	const char *def;
	const char *variable;
	const char *help;
	const char *section;
};

/* Where a value comes from; a greater one wins. */
enum option_source {
	OPTION_DEFAULT,
	OPTION_FILE,
	OPTION_FILE_NEARER, /* a second file, read for the same command */
	OPTION_VARIABLE,
	OPTION_ENVIRONMENT,
	OPTION_ARGUMENT,
};

struct option_value {
	enum option_source source;
	char *text;	 /* owned; NULL: the default */
	const char *def; /* instead of the row's */
	char origin[OPTION_ORIGIN_MAX];
};

/** struct options - Set @command, @rows and @n, the rest to zero; options_done() frees */
struct options {
	const char *command;
	const struct option_row *rows;
	size_t n;
	struct option_value values[OPTIONS_MAX];
	bool wants_help;
};

/* Return: 0, ERR_FORMAT with a sentence in @d, -ENOMEM. */
int options_read_arguments(struct options *o, int argc, char **argv, struct diag *d);
int options_read_environment(struct options *o, char **environment, struct diag *d);
/* A file that is not there is fine. One that somebody else may have written is refused. */
int options_read_file(struct options *o, const char *path, enum option_source source,
		      struct diag *d);

/* A default that is not known before; it must live as long as @o. */
void options_set_default(struct options *o, const char *name, const char *text);

/** options_get() - Return: the value, NULL when there is none. @name must be in the table */
const char *options_get(const struct options *o, const char *name);
/* For complaints: "--port", "CULVERT_GATEWAY_PORT", "/etc/culvert/culvert.conf line 3" */
const char *options_origin(const struct options *o, const char *name);
enum option_source options_source(const struct options *o, const char *name);
bool options_is_argument(const struct options *o, const char *name);
bool options_is_default(const struct options *o, const char *name);

void options_print_help(const struct options *o, FILE *out);
void options_done(struct options *o);
