/* SPDX-License-Identifier: Apache-2.0 */
/* The program as "vpn-client": the words of the ephemeral client, its texts and its exit codes. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <pwd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"

enum { SAID_MAX = 4096, PLACE_MAX = 300 };

static const char usage[] =
	"Usage: vpn-client setup <api-url> <master-key>   Remember where the gateway is\n"
	"       vpn-client create <client-id>             Make a user, save its configuration\n"
	"       vpn-client pull <client-id>               Get the configuration of a user\n"
	"       vpn-client list                           List the saved configurations\n"
	"       vpn-client connect <client-id>            Bring it up\n"
	"       vpn-client disconnect <client-id>         Bring it down\n"
	"       vpn-client status [<client-id>]           Show interfaces\n"
	"       vpn-client enroll <api-url> <token> [<client-id>]\n"
	"                                                 Become a user with a token, once\n"
	"       vpn-client <proxy-host> <proxy-port>      Everything through an HTTP proxy, with the key\n"
	"                                                 in VPN_API_KEY, until Ctrl-C\n";

/* --- connect, disconnect, status --- */

/* "~/.ephem-vpn/ID.conf", of whoever called sudo. Return: false when there is no home. */
static bool find_file(const char *id, char out[PATH_MAX])
{
	const char *sudo = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *user = sudo && *sudo ? getpwnam(sudo) : NULL;
	const char *home = user ? user->pw_dir : getenv("HOME");

	return home && snprintf(out, PATH_MAX, "%s/.ephem-vpn/%s.conf", home, id) < PATH_MAX;
}

/* What a command of ours says on standard error, kept until it is known how it ended. */
static int keep_errors(int *ret_before)
{
	int fd = memfd_create("said", MFD_CLOEXEC);

	*ret_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	return fd;
}

static void give_errors(int fd, int before, char out[SAID_MAX])
{
	ssize_t n = fd >= 0 ? pread(fd, out, SAID_MAX - 1, 0) : 0;

	out[n > 0 ? n : 0] = '\0';
	dup2(before, STDERR_FILENO);
	close(before);
	if (fd >= 0)
		close(fd);
}

/* "culvert connect: why": what stands behind. */
static const char *without_name(const char *said)
{
	const char *colon = strncmp(said, "culvert ", 8) == 0 ? strstr(said, ": ") : NULL;

	return colon ? colon + 2 : said;
}

/* @failure: as the client that people had begins it. */
static int run_as_before(int (*run)(int argc, char **argv), char **argv, const char *failure)
{
	char said[SAID_MAX];
	int before, fd = keep_errors(&before), argc = 0, code;

	while (argv[argc])
		argc++;
	code = run(argc, argv);
	give_errors(fd, before, said);
	if (code == EXIT_DONE || strstr(said, failure))
		fputs(said, stdout);
	else if (*said) /* else it has said its own: that nothing is connected */
		printf("%s%s", failure, without_name(said));
	return code == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

static int on_file(int argc, char **argv, char *name, int (*run)(int argc, char **argv),
		   const char *failure)
{
	char path[PATH_MAX];
	char *words[] = { name, path, NULL };

	if (argc != 2) {
		fputs(usage, stdout);
		return EXIT_FAILED;
	}
	if (strchr(argv[1], '/') || !find_file(argv[1], path) || access(path, F_OK) != 0) {
		printf("Configuration file not found: %s\n",
		       strchr(argv[1], '/') ? argv[1] : path);
		return EXIT_FAILED;
	}
	return run_as_before(run, words, failure);
}

static int connect_file(int argc, char **argv)
{
	static char name[] = "culvert connect";

	return on_file(argc, argv, name, cmd_connect, "✗ Failed to connect: ");
}

static int disconnect_file(int argc, char **argv)
{
	static char name[] = "culvert disconnect";

	return on_file(argc, argv, name, cmd_disconnect, "✗ Failed to disconnect: ");
}

static int show_status(int argc, char **argv)
{
	static char name[] = "culvert status";
	char *words[] = { name, argc > 1 ? argv[1] : NULL, NULL };

	return run_as_before(cmd_status, words, "✗ Failed to show status: ");
}

/* "vpn-client HOST PORT": everything through a proxy, until Ctrl-C. */
static int connect_proxy(const char *host, const char *port)
{
	static char name[] = "culvert connect", stay[] = "--foreground";
	static char proxy[] = "--connect-proxy";
	char place[PLACE_MAX];
	char *words[] = { name, stay, proxy, place, NULL };

	snprintf(place, sizeof(place), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	return cmd_connect(4, words) == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

static bool is_port(const char *word)
{
	uint64_t port;

	return decimal_parse(word, strlen(word), 65535, &port) == 0 && port > 0;
}

static const struct command verbs[] = {
	{ "setup", NULL, cmd_setup },
	{ "create", NULL, cmd_create },
	{ "pull", NULL, cmd_pull },
	{ "list", NULL, cmd_list },
	{ "connect", NULL, connect_file },
	{ "disconnect", NULL, disconnect_file },
	{ "status", NULL, show_status },
	{ "enroll", NULL, cmd_enroll },
	{ NULL, NULL, NULL },
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
	if (argc == 3 && is_port(argv[2]))
		return connect_proxy(argv[1], argv[2]);
	fputs(usage, stdout);
	return EXIT_FAILED;
}
