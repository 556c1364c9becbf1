/* SPDX-License-Identifier: Apache-2.0 */
/**
 * local_command.h - The command line of what asks a running gateway: words among options
 */
#pragma once

#include <jansson.h>

#include "cmd/options.h"
#include "cmd/state_default.h"

enum { LOCAL_COMMAND_WORDS_MAX = 32 };

/**
 * struct local_command - One call. The caller sets @options as options.h says
 * @words:	What was no option, in order; into @argv
 */
struct local_command {
	struct options options;
	const char *words[LOCAL_COMMAND_WORDS_MAX];
	int n_words;
	char state[STATE_DEFAULT_MAX];
};

/**
 * local_command_read() - Words may stand anywhere among the options
 *
 * The default of --state, which must be in the table, is a user's own gateway where one runs,
 * else root's. What JSON held is wiped when it is freed, from here on.
 *
 * Return: 0, or as options_read_arguments(). options_done() in any case.
 */
int local_command_read(struct local_command *c, int argc, char **argv, struct diag *d);

/** local_command_words() - The same for what asks no gateway of this machine: there is no --state */
int local_command_words(struct local_command *c, int argc, char **argv, struct diag *d);

/** local_command_print() - For people who read JSON. Return: false when memory ran out */
bool local_command_print(const json_t *value);
