/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/local_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "cmd/local_api.h"

enum { ARGUMENTS_MAX = 64 };

static const struct option_row *find_row(const struct options *o, const char *word)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(word, o->rows[i].name) == 0)
			return &o->rows[i];
	return NULL;
}

/* Return: how many are no words; ERR_LIMIT when there are more than there is room for. */
static int part(struct local_command *c, int argc, char **argv, char *others[ARGUMENTS_MAX])
{
	int n = 0;

	others[n++] = argv[0];
	for (int i = 1; i < argc; i++) {
		if (n >= ARGUMENTS_MAX - 2 || c->n_words == LOCAL_COMMAND_WORDS_MAX)
			return ERR_LIMIT;
		if (strncmp(argv[i], "-", 1) != 0 || strcmp(argv[i], "-") == 0) {
			c->words[c->n_words++] = argv[i];
			continue;
		}
		others[n++] = argv[i];

		const struct option_row *row = strncmp(argv[i], "--", 2) == 0
						       ? find_row(&c->options, argv[i] + 2)
						       : NULL;

		if (row && row->argument && i + 1 < argc)
			others[n++] = argv[++i];
	}
	others[n] = NULL;
	return n;
}

static const char *find_state(char out[STATE_DEFAULT_MAX])
{
	char socket_path[STATE_DEFAULT_MAX + 16];

	snprintf(socket_path, sizeof(socket_path), "%s/gateway.sock",
		 state_default(geteuid(), out));
	return access(socket_path, F_OK) == 0 ? out : state_default(0, out);
}

int local_command_read(struct local_command *c, int argc, char **argv, struct diag *d)
{
	options_set_default(&c->options, "state", find_state(c->state));
	return local_command_words(c, argc, argv, d);
}

int local_command_words(struct local_command *c, int argc, char **argv, struct diag *d)
{
	char *others[ARGUMENTS_MAX];
	int n = part(c, argc, argv, others);

	json_set_alloc_funcs(malloc, local_api_wipe_and_free);
	if (n < 0)
		return diag_set(d, ERR_FORMAT, 0, "more than %d words, or %d options",
				LOCAL_COMMAND_WORDS_MAX, ARGUMENTS_MAX);
	return options_read_arguments(&c->options, n, others, d);
}

bool local_command_print(const json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) != 0)
		return false;
	putchar('\n');
	return true;
}
