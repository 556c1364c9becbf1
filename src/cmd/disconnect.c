/* SPDX-License-Identifier: Apache-2.0 */
/* culvert disconnect: a connection ends, and the host is as it was before. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "client/session.h"
#include "cmd/client_file.h"
#include "cmd/command.h"
#include "cmd/state_default.h"

static const char usage[] =
	"Usage: culvert disconnect [--state DIR] NAME|FILE|INTERFACE\n"
	"       culvert disconnect [--state DIR] --restore [--boot]\n"
	"\n"
	"  --restore    take back what connections have left whose process is gone: after a crash\n"
	"               or a restart of the machine. Those that run stay\n"
	"  --boot       of those only what was connected before this machine started\n"
	"  --state DIR  where connect keeps its journal (default: /var/lib/culvert)\n"
	"\n"
	"Ends the connection and takes back what it has changed: name servers, routes, rules, the\n"
	"interface, the firewall. It does so, too, when the process that connected was killed. What\n"
	"somebody else has changed since stays as it is, and is named.\n";

static int complain(int code, const char *what, const char *word)
{
	fprintf(stderr, "culvert disconnect: %s%s\n", what, word);
	return code;
}

static int exit_code(int err)
{
	return err == -EPERM || err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
}

static int finish(int err, const struct text *said, const struct diag *d)
{
	if (said->data && said->len)
		fputs(said->data, stderr);
	if (err < 0)
		return complain(exit_code(err), d->text[0] ? d->text : err_text(err), "");
	return EXIT_DONE;
}

static int run(const char *state, const char *word, bool boot)
{
	struct text said = { .max = 65536 };
	struct diag d = { 0 };
	char interface[LINK_NAME_MAX];
	int code;

	if (geteuid() != 0)
		return complain(EXIT_PRIVILEGE, "only root can change routes and rules", "");
	if (!word) {
		code = finish(client_restore(state, boot, &said, &d), &said, &d);
	} else {
		client_file_interface(state, word, interface);
		code = finish(client_disconnect(state, interface, &said, &d), &said, &d);
		if (code == EXIT_DONE)
			puts("✓ VPN disconnected successfully!");
	}
	text_done(&said);
	return code;
}

int cmd_disconnect(int argc, char **argv)
{
	static const struct option options[] = {
		{ "boot", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ "restore", no_argument, NULL, 'r' },
		{ "state", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	char root_state[STATE_DEFAULT_MAX];
	const char *state = state_default(0, root_state);
	bool restore = false, boot = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		if (option == 's')
			state = optarg;
		restore |= option == 'r';
		boot |= option == 'b';
	}
	if (restore ? optind != argc : boot || optind + 1 != argc)
		return complain(EXIT_USAGE, "name one connection, or say --restore; see --help",
				"");
	return run(state, restore ? NULL : argv[optind], boot);
}
