/* SPDX-License-Identifier: Apache-2.0 */
/* culvert list: the configurations that were saved here. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/command.h"
#include "cmd/ephem.h"
#include "cmd/role.h"

static bool print_json(const struct ephem_call *c, char *const names[], size_t n)
{
	json_t *list = json_array();
	bool is_well;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:o}", "client_id", names[i], "file",
					json_sprintf("%s/%s.conf", c->state.path, names[i])));
	is_well = list && json_array_size(list) == n && local_command_print(list);
	json_decref(list);
	return is_well;
}

static void print(const struct ephem_call *c, char *const names[], size_t n)
{
	puts(n > 0 ? "Saved VPN configurations:" : "No saved configurations found.");
	for (size_t i = 0; i < n; i++)
		printf("  - %s (%s/%s.conf)\n", names[i], c->state.path, names[i]);
}

static int list(struct ephem_call *c)
{
	struct diag d = { .text = "" };
	char **names = NULL;
	size_t n = 0;
	int err = 0;

	if (c->state.dir >= 0)
		err = ephem_state_names(&c->state, &names, &n, &d);
	if (err)
		ephem_say_failure(c, "%s", d.text);
	else if (!c->json)
		print(c, names, n);
	else if (!print_json(c, names, n))
		err = ERR_LIMIT;
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return ephem_code(c, err);
}

static const struct ephem_verb verb = {
	.arguments = "",
	.help = "Lists the configurations that were saved here.\n",
	.run = list,
};

int role_list(int argc, char **argv)
{
	return ephem_run(&verb, argc, argv);
}
