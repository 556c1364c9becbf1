/* SPDX-License-Identifier: Apache-2.0 */
/* culvert pull: the configuration of a user that the gateway has already. */
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/ephem.h"
#include "cmd/role.h"

static const char failure[] = "Failed to pull user config";

static int print(const struct ephem_call *c, const char *id, const char *path)
{
	json_t *json;
	bool is_well;

	if (!c->json) {
		printf("Configuration saved to: %s\n"
		       "✓ Configuration for '%s' retrieved and saved!\n",
		       path, id);
		return EXIT_DONE;
	}
	json = json_pack("{s:s, s:s}", "client_id", id, "file", path);
	is_well = json && local_command_print(json);
	json_decref(json);
	return is_well ? EXIT_DONE : EXIT_FAILED;
}

static int pull(struct ephem_call *c)
{
	const char *id = c->line.words[0];
	struct text target = { .data = NULL };
	char path[PATH_MAX];
	json_t *user = NULL;
	int code = ephem_check_id(c, id);

	text_printf(&target, "/users/%s", id);
	if (code == EXIT_DONE)
		code = target.err ? EXIT_FAILED
				  : ephem_call_api(c, "GET", target.data, NULL, failure, &user);
	if (code == EXIT_DONE)
		code = ephem_save_user(c, id, user, failure, path);
	if (code == EXIT_DONE)
		code = print(c, id, path);
	json_decref(user);
	text_done(&target);
	return code;
}

static const struct ephem_verb verb = {
	.arguments = "<client-id>",
	.help = "Gets the configuration of a user that the gateway has, and saves it.\n",
	.min_words = 1,
	.max_words = 1,
	.needs_setup = true,
	.run = pull,
};

int role_pull(int argc, char **argv)
{
	return ephem_run(&verb, argc, argv);
}
