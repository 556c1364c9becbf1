/* SPDX-License-Identifier: Apache-2.0 */
/* The program as "vpn-client": the words of the ephemeral client, its texts and its exit codes. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

static const char usage[] =
	"Usage: vpn-client setup <api-url> <master-key>   Remember where the gateway is\n"
	"       vpn-client create <client-id>             Make a user, save its configuration\n"
	"       vpn-client pull <client-id>               Get the configuration of a user\n"
	"       vpn-client list                           List the saved configurations\n"
	"       vpn-client enroll <api-url> <token> [<client-id>]\n"
	"                                                 Become a user with a token, once\n";

static const struct command verbs[] = {
	{ "setup", NULL, cmd_setup },	{ "create", NULL, cmd_create },
	{ "pull", NULL, cmd_pull },	{ "list", NULL, cmd_list },
	{ "enroll", NULL, cmd_enroll }, { NULL, NULL, NULL },
};

int cmd_vpn_client(int argc, char **argv)
{
	static char title[64];

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	for (const struct command *v = verbs; argc > 1 && v->name; v++) {
		if (strcmp(argv[1], v->name) != 0)
			continue;
		snprintf(title, sizeof(title), "vpn-client %s", v->name);
		argv[1] = title;
		return v->run(argc - 1, argv + 1);
	}
	fputs(usage, stdout);
	return EXIT_FAILED;
}
