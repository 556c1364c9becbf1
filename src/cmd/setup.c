/* SPDX-License-Identifier: Apache-2.0 */
/* culvert setup: where the gateway is, and the key for it. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/ephem.h"
#include "cmd/role.h"

static int print(const struct ephem_call *c)
{
	json_t *json;
	bool is_well;

	if (!c->json) {
		printf("✓ Setup saved to %s/setup.json\n", c->state.path);
		return EXIT_DONE;
	}
	json = json_pack("{s:s+}", "file", c->state.path, "/setup.json");
	is_well = json && local_command_print(json);
	json_decref(json);
	return is_well ? EXIT_DONE : EXIT_FAILED;
}

/* A key or a token. */
static bool is_complete(const struct ephem_call *c)
{
	return (options_get(&c->line.options, "token") != NULL) != (c->line.n_words == 2);
}

static int setup(struct ephem_call *c)
{
	const char *token = options_get(&c->line.options, "token");
	const char *url = c->line.words[0];
	struct diag d = { .text = "" };
	int err;

	if (token)
		return ephem_enroll(c, url, token, options_get(&c->line.options, "name"));
	if (strlen(url) >= sizeof(c->setup.url))
		err = diag_set(&d, ERR_RANGE, 0, "the URL is too long");
	else
		err = ephem_url_check(url, c->setup.is_insecure, &d);
	if (!err && ephem_get_secret(c->line.words[1], c->setup.key) != 0)
		err = diag_set(&d, ERR_RANGE, 0,
			       "a key is %d visible characters at most, without spaces",
			       EPHEM_KEY_MAX - 1);
	if (!err) {
		memcpy(c->setup.url, url, strlen(url) + 1);
		err = ephem_state_write_setup(&c->state, &c->setup, &d);
	}
	if (!err)
		return print(c);
	ephem_say_failure(c, "%s", d.text);
	return ephem_code(c, err);
}

static const struct ephem_verb verb = {
	.arguments = "<api-url> <master-key>|--token TOKEN",
	.help = "Remembers where the gateway is and the key for it; - reads the key from standard\n"
		"input, where nobody sees it in a list of processes.\n",
	.min_words = 1,
	.max_words = 2,
	.is_complete = is_complete,
	.makes_state = true,
	.takes_token = true,
	.run = setup,
};

int role_setup(int argc, char **argv)
{
	return ephem_run(&verb, argc, argv);
}
