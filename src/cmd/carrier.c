/* SPDX-License-Identifier: Apache-2.0 */
/* culvert carrier: WireGuard's datagrams over TCP, TLS and HTTP. */
#include "cmd/carrier.h"

#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "cmd/command.h"
#include "cmd/role.h"
#include "sys/log.h"

static const struct option_row rows[] = {
	{ "listen", "URL,…|ADDRESS:PORT", NULL, NULL,
	  "a gateway's end: tcp://, https://, http://ADDRESS:PORT; a client's: its port",
	  NULL },
	{ "target", "HOST:PORT", NULL, NULL,
	  "WireGuard at the gateway; else 127.0.0.1:51820, for a client localhost:51820",
	  NULL },
	{ "keys", "FILE", NULL, NULL, "lines ID HASH of who may use it; read again on SIGHUP",
	  NULL },
	{ "watch-keys", NULL, NULL, NULL, "read FILE again whenever it is replaced", NULL },
	{ "cert", "FILE", NULL, NULL, "certificate for https, PEM; made where it is missing",
	  NULL },
	{ "cert-key", "FILE", NULL, NULL, "its key", NULL },
	{ "site", "DIRECTORY", NULL, NULL, "what strangers are shown over http and https",
	  NULL },
	{ "path", "TEMPLATE", CONNECT_UDP_DEFAULT_PATH, NULL,
	  "where a gateway's end is found over http and https", NULL },
	{ "to", "URL", NULL, NULL, "a client's end: where the gateway's is", NULL },
	{ "auto", "INTERFACE", NULL, NULL,
	  "choose between UDP and --to URL,… for a peer of this interface", NULL },
	{ "peer", "KEY", NULL, NULL, "the gateway's public key, with --auto", NULL },
	{ "udp", "HOST:PORT", NULL, NULL,
	  "where the gateway is over UDP, with --auto; else where the tunnel has it", NULL },
	{ "key-file", "FILE", NULL, NULL, "the user's key; else that in VPN_API_KEY", NULL },
	{ "via", "URL", NULL, NULL, "http://HOST:PORT of a proxy in the way", NULL },
	{ "via-user", "NAME", NULL, NULL, "of that proxy; without one the key is a bearer's",
	  NULL },
	{ "via-key-file", "FILE", NULL, NULL, "the key or password of that proxy", NULL },
	{ "ca", "FILE", NULL, NULL, "authorities for https instead of the system's", NULL },
	{ "pin", "SHA256", NULL, NULL, "trust this one certificate only, 64 hex digits", NULL },
	{ "mark", "N", NULL, NULL, "mark of the connection, for routing around a tunnel",
	  NULL },
	{ "device", "NAME", NULL, NULL, "interface that the connection leaves by", NULL },
	{ "json", NULL, NULL, NULL, "say as JSON that it is ready", NULL },
	{ "log-level", "LEVEL", "info", NULL, "silent, error, warning, info or debug", NULL },
	{ "log-json", NULL, NULL, NULL, "log lines as JSON", NULL },
};

static void print_help(const struct options *o)
{
	fputs("Usage: culvert carrier --listen URL[,URL…] --keys FILE [OPTIONS]\n"
	      "       culvert carrier --to URL --listen ADDRESS:PORT [OPTIONS]\n"
	      "       culvert carrier --auto INTERFACE --peer KEY --to URL[,URL…] [OPTIONS]\n"
	      "\n"
	      "Carries WireGuard's datagrams where UDP does not get through. The first form is the end at a\n"
	      "gateway, the second that of a client, whose WireGuard has ADDRESS:PORT as its peer's endpoint.\n"
	      "The third is a client's as well: it sets that endpoint itself, to UDP where that works.\n"
	      "Nothing is forwarded for whoever has not proved a key; over https and http such a one finds\n"
	      "an ordinary web site. Runs in the foreground until SIGTERM or SIGINT.\n"
	      "\n"
	      "HASH in FILE is what this prints: printf %s KEY | sha256sum\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
	fputs("\n"
	      "Each may also stand in the environment (CULVERT_CARRIER_KEYS=FILE) or in\n"
	      "/etc/culvert/culvert.conf below [carrier] (keys = FILE).\n",
	      stdout);
}

static int run(const struct options *o)
{
	enum log_level level;

	if (!log_level_find(options_get(o, "log-level"), &level))
		return carrier_refuse(o, "log-level",
				      "not silent, error, warning, info or debug");
	log_init("carrier", level, options_get(o, "log-json") != NULL);
	if (options_get(o, "auto") && !options_get(o, "to"))
		return carrier_complain(EXIT_USAGE, "--auto goes with --to; see --help");
	if (options_get(o, "auto"))
		return carrier_auto(o);
	if (!options_get(o, "listen"))
		return carrier_complain(EXIT_USAGE, "--listen says where; see --help");
	return options_get(o, "to") ? carrier_connect(o) : carrier_serve(o);
}

int role_carrier(int argc, char **argv)
{
	struct options o = { .command = "carrier",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (options_read_arguments(&o, argc, argv, &d) < 0) {
		carrier_complain(0, d.text);
		fputs("Try 'culvert carrier --help'.\n", stderr);
		code = EXIT_USAGE;
	} else if (o.wants_help) {
		print_help(&o);
	} else if (options_read_environment(&o, environ, &d) < 0 ||
		   options_read_file(&o, "/etc/culvert/culvert.conf", OPTION_FILE, &d) < 0) {
		code = carrier_complain(EXIT_REFUSED, d.text);
	} else {
		code = run(&o);
	}
	options_done(&o);
	return code;
}
