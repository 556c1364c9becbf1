/* SPDX-License-Identifier: Apache-2.0 */
/* culvert create: a new user of the gateway, and its configuration here. */
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/ephem.h"
#include "cmd/role.h"

static const char failure[] = "Failed to create user";

static int print(const struct ephem_call *c, const char *id, const char *path)
{
	json_t *json;
	bool is_well;

	if (!c->json) {
		printf("Configuration saved to: %s\n"
		       "✓ User '%s' created and configuration saved!\n"
		       "Configuration file: %s\n",
		       path, id, path);
		return EXIT_DONE;
	}
	json = json_pack("{s:s, s:s}", "client_id", id, "file", path);
	is_well = json && local_command_print(json);
	json_decref(json);
	return is_well ? EXIT_DONE : EXIT_FAILED;
}

static int create(struct ephem_call *c)
{
	const char *id = c->line.words[0];
	char path[PATH_MAX];
	json_t *body = NULL, *user = NULL;
	int code = ephem_check_id(c, id);

	if (code == EXIT_DONE) {
		body = json_pack("{s:s}", "client_id", id);
		code = body ? ephem_call_api(c, "POST", "/users", body, failure, &user)
			    : EXIT_FAILED;
	}
	if (code == EXIT_DONE)
		code = ephem_save_user(c, id, user, failure, path);
	if (code == EXIT_DONE)
		code = print(c, id, path);
	json_decref(body);
	json_decref(user);
	return code;
}

static const struct ephem_verb verb = {
	.arguments = "<client-id>",
	.help = "Makes a user of the gateway and saves its configuration.\n",
	.min_words = 1,
	.max_words = 1,
	.needs_setup = true,
	.run = create,
};

int role_create(int argc, char **argv)
{
	return ephem_run(&verb, argc, argv);
}
