/* SPDX-License-Identifier: Apache-2.0 */
/* culvert lockdown: nothing leaves this host unless a full tunnel is connected. */
#include "client/lockdown.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/state_default.h"

static const char usage[] =
	"Usage: culvert lockdown [--state DIR] on|off|status\n"
	"\n"
	"On: nothing leaves this host but DHCP and discovery, unless 'culvert connect' has a full tunnel,\n"
	"whose firewall then takes its place and gives it back. Names are not found meanwhile: say the\n"
	"server's endpoint by its address. culvert-lockdown.service makes it so before the network starts.\n"
	"'status' ends with 1 when it is off.\n";

static int complain(int code, const char *what, const char *word)
{
	fprintf(stderr, "culvert lockdown: %s%s\n", what, word);
	return code;
}

static int run(const char *state, const char *word)
{
	struct diag d = { 0 };
	int err;

	if (geteuid() != 0)
		return complain(EXIT_PRIVILEGE, "only root can say what leaves", "");
	if (strcmp(word, "status") == 0)
		err = client_lockdown_look(state, &d);
	else if (strcmp(word, "on") == 0 || strcmp(word, "off") == 0)
		err = client_lockdown_set(state, word[1] == 'n', &d);
	else
		return complain(EXIT_USAGE, "say on, off or status, not ", word);
	if (err < 0)
		return complain(err == -EPERM ? EXIT_PRIVILEGE : EXIT_FAILED, d.text, "");
	if (d.text[0])
		complain(EXIT_DONE, d.text, "");
	if (strcmp(word, "status") != 0)
		return EXIT_DONE;
	puts(err ? "on" : "off");
	return err ? EXIT_DONE : EXIT_FAILED;
}

int cmd_lockdown(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "state", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	char root_state[STATE_DEFAULT_MAX];
	const char *state = state_default(0, root_state);
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		state = optarg;
	}
	if (argc - optind != 1)
		return complain(EXIT_USAGE, "say on, off or status; see --help", "");
	return run(state, argv[optind]);
}
