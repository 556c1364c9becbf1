/* SPDX-License-Identifier: Apache-2.0 */
/* The table of subcommands, and which of them a call means. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "cmd/command.h"

static const struct command commands[] = {
	{ "device", "serve a tunnel interface, driven by wg and wg-quick", cmd_device },
	{ "gateway", "run a WireGuard gateway with its REST API", cmd_gateway },
	{ "proxy", "an HTTP CONNECT proxy for who has a key", cmd_proxy },
	{ "carrier", "carry WireGuard's datagrams over TCP, TLS and HTTP", cmd_carrier },
	{ "gateway-serve", NULL, cmd_gateway_serve },	  /* started by gateway */
	{ "gateway-upgrade", NULL, cmd_gateway_upgrade }, /* likewise */
	{ "kernel-serve", NULL, cmd_kernel_serve },	  /* likewise */
	{ "users-key", NULL, cmd_users_key },		  /* likewise */
	{ "audit", "check a gateway's audit trail", cmd_audit },
	{ "backup", "keep a gateway's state in one encrypted file", cmd_backup },
	{ "keys", "make private keys, public keys and preshared keys", cmd_keys },
	{ "conf", "check, change or apply a wg-quick file, with AmneziaWG's keys", cmd_conf },
	{ "qr", "turn a configuration into a QR code or a link of AmneziaVPN", cmd_qr },
	{ "doctor", "find what is wrong with an interface or a file", cmd_doctor },
	{ "hub", "a hub with spokes: keys, files, rules of each node", cmd_hub },
	{ "proxy-tunnel", "carry an interface's traffic through an HTTP proxy",
	  cmd_proxy_tunnel },
	{ "host", "a firewall for this host that takes itself back", cmd_host },
	{ "setup", "say where a gateway with users is, and the key for it", cmd_setup },
	{ "create", "make a user of that gateway, and save its configuration", cmd_create },
	{ "pull", "save the configuration of a user that it has", cmd_pull },
	{ "list", "list the configurations that were saved", cmd_list },
	{ "enroll", "become a user of a gateway with a token, once", cmd_enroll },
	{ "routing", "note the host's routes, and bring them back after a tunnel",
	  cmd_routing },
	{ "connect", "this host's traffic through a tunnel, nothing beside it", cmd_connect },
	{ "disconnect", "end that, and put everything back as it was", cmd_disconnect },
	{ "status", "show connections, and what they have left behind", cmd_status },
	{ "switch", "call the server of a connection at another endpoint", cmd_switch },
	{ "lockdown", "let nothing leave unless a full tunnel is connected", cmd_lockdown },
	{ "vpn-client", NULL, cmd_vpn_client }, /* the words of another program */
	{ NULL, NULL, NULL },			/* the end */
};

/* wg-quick can name a userspace implementation by one word only, and others' programs have names
 * that people's scripts call: so these mean a subcommand. */
static const struct {
	const char *program;
	const char *command;
} aliases[] = {
	{ "culvert-device", "device" },	   { "wireguard-go", "device" },
	{ "amneziawg-go", "device" },	   { "vpn-client", "vpn-client" },
	{ "vpn-client.py", "vpn-client" }, { "setup-routing", "routing" },
	{ "setup-routing.sh", "routing" },
};

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("Usage: culvert COMMAND [ARGUMENTS]\n"
	      "       culvert --help | --version\n"
	      "\n"
	      "Commands (each answers --help):\n",
	      out);
	for (const struct command *c = commands; c->name; c++)
		if (c->summary)
			fprintf(out, "  %-12s %s\n", c->name, c->summary);
	fputs("\n"
	      "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 refused input, 4 missing\n"
	      "privilege or device.\n",
	      out);
}

static int refuse(const char *name)
{
	struct nearest meant = { 0 };

	for (const struct command *c = commands; c->name; c++)
		nearest_offer(&meant, name, strlen(name), c->name);
	fprintf(stderr, "culvert: no command '%s'", name);
	if (meant.name)
		fprintf(stderr, "; did you mean '%s'?", meant.name);
	fputs("\nculvert --help lists the commands.\n", stderr);
	return EXIT_USAGE;
}

/* The command that the program's own name stands for, or NULL. */
static const char *name_from_program(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *program = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(program, aliases[i].program) == 0)
			return aliases[i].command;
	}
	return NULL;
}

static int run_word(int argc, char **argv)
{
	static char title[64];
	const char *word = argv[0];
	const struct command *command;

	if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
		puts("culvert " CULVERT_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
	    strcmp(word, "help") == 0) {
		print_help(stdout);
		return EXIT_DONE;
	}
	command = find(word);
	if (!command)
		return refuse(word);
	snprintf(title, sizeof(title), "culvert %s", command->name);
	argv[0] = title;
	return command->run(argc, argv);
}

/* What was printed may still be in the buffer: a full disk must not look like success. */
static int flush(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (code == EXIT_DONE) {
		perror("culvert: standard output");
		return EXIT_FAILED;
	}
	return code;
}

int main(int argc, char **argv)
{
	const char *implied = argc > 0 ? name_from_program(argv[0]) : NULL;
	const struct command *command = implied ? find(implied) : NULL;

	if (command)
		return flush(command->run(argc, argv));
	if (implied)
		return refuse(implied);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	return flush(run_word(argc - 1, argv + 1));
}
