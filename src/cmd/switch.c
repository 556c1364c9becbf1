/* SPDX-License-Identifier: Apache-2.0 */
/* culvert switch: another way to the same server, without disconnecting. */
#include <stdio.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "client/control.h"
#include "cmd/client_file.h"
#include "cmd/command.h"
#include "cmd/state_default.h"

static const char usage[] =
	"Usage: culvert switch [--state DIR] NAME [ADDRESS:PORT]\n"
	"\n"
	"Has a connection call its server at another endpoint: the next of those that connect was\n"
	"given, or the one that is named, by its address. Nothing else leaves meanwhile.\n";

static int complain(int code, const char *what, const char *word)
{
	fprintf(stderr, "culvert switch: %s%s\n", what, word);
	return code;
}

static int run(const char *state, const char *name, const char *where)
{
	char interface[LINK_NAME_MAX], now[ADDR_TEXT_MAX];
	struct endpoint to;
	struct diag d = { 0 };

	if (where && endpoint_parse(where, &to) < 0)
		return complain(EXIT_USAGE, "not an ADDRESS:PORT: ", where);
	if (geteuid() != 0)
		return complain(EXIT_PRIVILEGE, "only root may say so", "");
	client_file_interface(state, name, interface);
	if (client_control_switch(interface, where ? &to : NULL, now, &d) < 0)
		return complain(EXIT_FAILED, d.text, "");
	printf("%s calls %s now\n", interface, now);
	return EXIT_DONE;
}

int cmd_switch(int argc, char **argv)
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
	if (argc - optind < 1 || argc - optind > 2)
		return complain(EXIT_USAGE, "name one connection; see --help", "");
	return run(state, argv[optind], argv[optind + 1]);
}
