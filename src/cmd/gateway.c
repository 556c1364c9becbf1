/* SPDX-License-Identifier: Apache-2.0 */
/* culvert gateway: the privileged side of a gateway. The other side is gateway-serve. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"
#include "carrier/url.h"
#include "cmd/command.h"
#include "cmd/gateway_kind.h"
#include "cmd/options.h"
#include "cmd/serving.h"
#include "cmd/state_default.h"
#include "cmd/store_option.h"
#include "frame/level.h"
#include "host/host.h"
#include "host/upgrade.h"
#include "sys/log.h"

/* One row per option: arguments, CULVERT_GATEWAY_*, the file's section [gateway], --help. */
static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "state directory", NULL }, /* state_default() */
	{ "interface", "NAME", "wg0", "WG_INTERFACE", "the tunnel's interface", NULL },
	{ "listen", "URL", "http://127.0.0.1:8000", NULL, "where the REST API listens", NULL },
	{ "port", "N", "51820", "WG_DEFAULT_PORT", "UDP port of the tunnel", NULL },
	{ "subnet4", "PREFIX", "10.0.1.0/24", "WG_IPV4_SUBNET", "IPv4 addresses of the peers",
	  NULL },
	{ "subnet6", "PREFIX", "fd42:4242:1::/64", "WG_IPV6_SUBNET",
	  "IPv6 addresses of the peers", NULL },
	{ "endpoint", "HOST", NULL, NULL, "name or address peers connect to; else found out",
	  NULL },
	{ "obfuscation", "LEVEL", "off", NULL,
	  "of new peers: off, low, medium, high or extreme", NULL },
	GATEWAY_KIND_ROWS,
	{ "peer-isolation", "on|off", "off", "WG_PEER_ISOLATION",
	  "on: peers do not reach each other", NULL },
	{ "log-level", "LEVEL", "info", NULL, "silent, error, warning, info or debug", NULL },
	{ "log-json", NULL, NULL, NULL, "log lines as JSON", NULL },
	{ "hook-reboot", "PATH", NULL, NULL, "program for POST /api/v1/admin/reboot", NULL },
	{ "hook-stop", "PATH", NULL, NULL, "for POST /admin/service/NAME/stop", NULL },
	{ "hook-start", "PATH", NULL, NULL, "for POST /admin/service/NAME/start", NULL },
	{ "hook-wipe", "PATH", NULL, NULL, "for POST /admin/wipe", NULL },
	SERVING_ROWS,
	{ "listen-carrier", "URL,…", "off", NULL,
	  "where users find the carrier: tcp://, https://, http://ADDRESS:PORT", "listen" },
	{ "listen-proxy", "ADDRESS:PORT", "off", "PROXY_PORT",
	  "where users find the CONNECT proxy; a port alone: at every address", "listen" },
	{ "gateway-program", "PATH", NULL, NULL, NULL,
	  NULL }, /* tests: another gateway process */
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void print_help(const struct options *o)
{
	fputs("Usage: culvert gateway [OPTIONS]\n"
	      "\n"
	      "Runs a WireGuard gateway in the foreground until SIGTERM or SIGINT, and leaves the\n"
	      "host as it was. Nothing has to be configured. On SIGUSR2 the program that lies where\n"
	      "it was started from takes its place, without a packet or a request being lost.\n"
	      "\n"
	      "culvert gateway peer --help: peers of a running gateway.\n"
	      "culvert gateway obfuscation --help: the parameters of its levels.\n"
	      "culvert gateway access --help: where peers may go.\n"
	      "culvert gateway key --help: keys for callers of its API.\n"
	      "culvert gateway webhook --help: where its events are sent.\n"
	      "culvert gateway api --help: any request to its API, from here.\n"
	      "culvert gateway import --help: peers of another server.\n"
	      "culvert gateway export --help: all of it as a file for wg-quick.\n"
	      "culvert gateway adopt --help: begin as the server that ran until now.\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
	fputs("\n"
	      "Each may also stand in the environment (CULVERT_GATEWAY_PORT=51821,\n"
	      "CULVERT_LISTEN_AGENT=…) or in /etc/culvert/culvert.conf and DIR/culvert.conf, below\n"
	      "[gateway] (port = 51821), or [listen], [tls], [webhooks] and [api] where its name begins so.\n",
	      stdout);
}

static int complain(int code, const struct diag *d)
{
	if (d->text[0])
		fprintf(stderr, "culvert gateway: %s\n", d->text);
	return code;
}

/* The state directory belongs to the gateway process, which can put back a file of before: nothing that
 * the host does with root's rights for it is said there. */
static int refuse_from_state(const struct options *o)
{
	static const char *const names[] = { "state", "hook-reboot", "hook-stop", "hook-start",
					     "hook-wipe" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (options_source(o, names[i]) != OPTION_FILE_NEARER)
			continue;
		fprintf(stderr,
			"culvert gateway: %s: %s cannot be set in the state directory; say it "
			"in /etc/culvert/culvert.conf, or where the gateway is started\n",
			options_origin(o, names[i]), names[i]);
		return EXIT_REFUSED;
	}
	return EXIT_DONE;
}

/* Arguments and environment first: they may say where the file is. */
static int collect(struct options *o, int argc, char **argv)
{
	struct diag d = { 0 };
	char path[OPTION_VALUE_MAX + 16];

	if (options_read_arguments(o, argc, argv, &d) < 0) {
		complain(0, &d);
		fputs("Try 'culvert gateway --help'.\n", stderr);
		return EXIT_USAGE;
	}
	if (o->wants_help)
		return EXIT_DONE;
	if (options_read_environment(o, environ, &d) < 0 ||
	    options_read_file(o, "/etc/culvert/culvert.conf", OPTION_FILE, &d) < 0)
		return complain(EXIT_REFUSED, &d);
	snprintf(path, sizeof(path), "%s/culvert.conf", options_get(o, "state"));
	if (options_read_file(o, path, OPTION_FILE_NEARER, &d) < 0)
		return complain(EXIT_REFUSED, &d);
	return refuse_from_state(o);
}

static int refuse_value(const struct options *o, const char *name, const char *expected)
{
	fprintf(stderr, "culvert gateway: %s: \"%s\" is not %s\n", options_origin(o, name),
		options_get(o, name), expected);
	return options_is_argument(o, name) ? EXIT_USAGE : EXIT_REFUSED;
}

static int read_log(const struct options *o, struct host_config *c)
{
	enum log_level level;
	char name[32];

	c->log_level = options_get(o, "log-level");
	c->log_json = options_get(o, "log-json") != NULL;
	snprintf(name, sizeof(name), "host %.15s", options_get(o, "interface"));
	if (!log_level_find(c->log_level, &level))
		return refuse_value(o, "log-level", "silent, error, warning, info or debug");
	log_init(name, level, c->log_json);
	return EXIT_DONE;
}

/* The gateway process would find out too, but only after the host was changed for it. */
static int read_serving(const struct options *o, struct host_config *c,
			const char *arguments[2 * OPTIONS_MAX + 1])
{
	struct store_option store;
	struct serving serving;
	struct diag d = { 0 };

	if (store_option_read(o, &store, &d) != 0)
		return complain(options_is_argument(o, "store") ? EXIT_USAGE : EXIT_REFUSED,
				&d);
	if (serving_read(o, &serving, &d) != 0)
		return complain(options_is_argument(o, "listen") ? EXIT_USAGE : EXIT_REFUSED,
				&d);
	c->listen = options_get(o, "listen");
	c->shares_key = serving.place[SERVING_USERS].scheme != SERVING_OFF;
	serving_arguments(o, arguments);
	c->gateway_arguments = arguments;
	return EXIT_DONE;
}

/* "[::]:3128", or the port alone; it is for whom the users' API is. */
static int read_proxy(const struct options *o, struct host_config *c)
{
	static char at_every_address[ADDR_TEXT_MAX];
	const char *text = options_get(o, "listen-proxy");
	struct endpoint at = { .port = 0 };
	uint64_t port = 0;

	if (strcmp(text, "off") == 0)
		return EXIT_DONE;
	if (decimal_parse(text, strlen(text), 65535, &port) == 0 && port > 0) {
		snprintf(at_every_address, sizeof(at_every_address), "[::]:%u",
			 (unsigned int)port);
		text = at_every_address;
	}
	if (endpoint_parse(text, &at) < 0 || at.port == 0)
		return refuse_value(
			o, "listen-proxy",
			"off, a port, or an address as 192.0.2.1:3128 or [::]:3128");
	if (!c->shares_key) {
		fprintf(stderr,
			"culvert gateway: %s: the proxy is for the users of the users' API: "
			"say listen-users as well\n",
			options_origin(o, "listen-proxy"));
		return EXIT_REFUSED;
	}
	c->proxy = text;
	return EXIT_DONE;
}

/* Each of a list with commas; it is for whom the users' API is. */
static int read_carrier(const struct options *o, struct host_config *c)
{
	const char *text = options_get(o, "listen-carrier");
	struct carrier_url u;
	struct diag d = { .text = "" };

	if (strcmp(text, "off") == 0)
		return EXIT_DONE;
	for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		char one[CARRIER_AUTHORITY_MAX + 8];

		snprintf(one, sizeof(one), "%.*s", (int)strcspn(at, ","), at);
		if (carrier_url_read(one, &u, &d) != 0)
			return refuse_value(o, "listen-carrier",
					    "off, or URLs as https://[::] or tcp://[::]:8443");
	}
	if (!c->shares_key) {
		fprintf(stderr,
			"culvert gateway: %s: the carrier is for the users of the users' API: "
			"say listen-users as well\n",
			options_origin(o, "listen-carrier"));
		return EXIT_REFUSED;
	}
	c->carrier = text;
	return EXIT_DONE;
}

/* Whether they may be run is looked at when the host starts. */
static void read_hooks(const struct options *o, struct host_config *c)
{
	static const char *const names[HOOKS_PROGRAMS] = { "hook-reboot", "hook-stop",
							   "hook-start", "hook-wipe" };

	for (size_t i = 0; i < HOOKS_PROGRAMS; i++)
		c->hooks[i] = options_get(o, names[i]);
}

static int read_isolation(const struct options *o, struct host_config *c)
{
	const char *value = options_get(o, "peer-isolation");

	c->isolate = strcmp(value, "on") == 0;
	if (!c->isolate && strcmp(value, "off") != 0)
		return refuse_value(o, "peer-isolation", "on or off");
	return EXIT_DONE;
}

static int read_drift(const struct options *o)
{
	static const char *const words[] = { "repair", "report", "adopt" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(options_get(o, "drift"), words[i]) == 0)
			return EXIT_DONE;
	return refuse_value(o, "drift", "repair, report or adopt");
}

static int read_config(const struct options *o, struct host_config *c,
		       const char *arguments[2 * OPTIONS_MAX + 1])
{
	static struct gateway_kind kind; /* borrowed by @c for as long as the process lives */
	const char *port = options_get(o, "port");
	uint64_t number;
	int code;

	if (decimal_parse(port, strlen(port), 65535, &number) < 0 || number == 0)
		return refuse_value(o, "port", "a port from 1 to 65535");
	if (ip_prefix_parse(options_get(o, "subnet4"), true, &c->subnet4) < 0 ||
	    c->subnet4.ip.family != ADDR_V4)
		return refuse_value(o, "subnet4", "a network such as 10.0.1.0/24");
	if (ip_prefix_parse(options_get(o, "subnet6"), true, &c->subnet6) < 0 ||
	    c->subnet6.ip.family != ADDR_V6)
		return refuse_value(o, "subnet6", "a network such as fd42:4242:1::/64");
	c->port = (uint16_t)number;
	c->state = options_get(o, "state");
	c->interface = options_get(o, "interface");
	c->endpoint = options_get(o, "endpoint");
	c->obfuscation = options_get(o, "obfuscation");
	if (frame_level_find(c->obfuscation, strlen(c->obfuscation)) == FRAME_LEVELS)
		return refuse_value(o, "obfuscation", "off, low, medium, high or extreme");
	c->gateway_program = options_get(o, "gateway-program");
	read_hooks(o, c);
	code = gateway_kind_read(o, &kind, c);
	if (code == EXIT_DONE)
		code = read_isolation(o, c);
	if (code == EXIT_DONE)
		code = read_drift(o);
	if (code == EXIT_DONE)
		code = read_serving(o, c, arguments);
	if (code == EXIT_DONE)
		code = read_proxy(o, c);
	if (code == EXIT_DONE)
		code = read_carrier(o, c);
	return code == EXIT_DONE ? read_log(o, c) : code;
}

/* By contract: what clients of the users' API hold is one network, of which they have the file. */
static void set_users_defaults(struct options *o)
{
	const char *pool = getenv("POOL"), *port = getenv("WG_LISTEN_PORT");

	if (strcmp(options_get(o, "listen-users"), "off") == 0)
		return;
	options_set_default(o, "subnet4", pool && *pool ? pool : "10.0.0.0/24");
	if (port && *port)
		options_set_default(o, "port", port);
}

/* All that was said, also by default: the next program's defaults may be others. */
static void name_options(const struct options *o, const char *out[2 * OPTIONS_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		const char *value = options_get(o, o->rows[i].name);

		if (!value || (!o->rows[i].argument && !value[0]))
			continue;
		out[n++] = o->rows[i].name;
		out[n++] = value;
	}
	out[n] = NULL;
}

static int run(const struct options *o)
{
	struct host_config config = { 0 };
	const char *arguments[2 * OPTIONS_MAX + 1], *named[2 * OPTIONS_MAX + 1];
	struct diag d = { 0 };
	int code = read_config(o, &config, arguments);

	if (code != EXIT_DONE)
		return code;
	name_options(o, named);
	config.options = named;
	if (geteuid() != 0 && options_is_default(o, "state"))
		state_default_prepare(config.state);
	code = (int)host_run(&config, &d);
	return complain(code, &d);
}

/* --- In the place of an older program --- */

static bool is_switch(const struct options *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++) {
		if (strcmp(o->rows[i].name, name) == 0)
			return !o->rows[i].argument;
	}
	return false;
}

/* "--name=value", as if they had been typed. */
static int read_named(struct options *o, const struct upgrade_state *s, struct diag *d)
{
	char *argv[UPGRADE_OPTIONS_MAX + 1] = { NULL };
	struct text words[UPGRADE_OPTIONS_MAX] = { { .len = 0 } };
	int argc = 1, err = 0;

	for (; s->options[2 * (argc - 1)]; argc++) {
		const char *name = s->options[2 * (argc - 1)];
		struct text *word = &words[argc - 1];

		text_printf(word, "--%s", name);
		if (!is_switch(o, name))
			text_printf(word, "=%s", s->options[2 * (argc - 1) + 1]);
		err = word->err < 0 ? word->err : err;
		argv[argc] = word->data;
	}
	if (err == 0)
		err = options_read_arguments(o, argc, argv, d);
	for (int i = 0; i < argc - 1; i++)
		text_done(&words[i]);
	return err;
}

static int read_state(struct options *o, const struct upgrade_state *s, struct host_config *c,
		      const char *arguments[2 * OPTIONS_MAX + 1])
{
	struct diag d = { 0 };

	if (read_named(o, s, &d) != 0)
		return complain(EXIT_REFUSED, &d);
	c->options = s->options;
	return read_config(o, c, arguments);
}

static int resume(const struct upgrade_state *s)
{
	struct options o = { .command = "gateway", .rows = rows, .n = ROWS };
	const char *arguments[2 * OPTIONS_MAX + 1];
	struct host_config config = { 0 };
	struct diag d = { 0 };
	int code = read_state(&o, s, &config, arguments);

	if (code == EXIT_DONE)
		code = (int)host_resume(&config, s, &d);
	options_done(&o);
	return complain(code, &d);
}

int cmd_gateway_upgrade(int argc, char **argv)
{
	static char octets[UPGRADE_OCTETS_MAX];
	struct options o = { .command = "gateway", .rows = rows, .n = ROWS };
	const char *arguments[2 * OPTIONS_MAX + 1];
	struct host_config config = { 0 };
	struct upgrade_state s;
	struct diag d = { 0 };
	size_t len = fread(octets, 1, sizeof(octets), stdin);
	int code;

	(void)argc;
	(void)argv;
	if (upgrade_state_read(&s, octets, len, &d) < 0)
		return complain(EXIT_REFUSED, &d);
	code = read_state(&o, &s, &config, arguments);
	options_done(&o);
	if (code == EXIT_DONE)
		puts(UPGRADE_WORD CULVERT_VERSION);
	return code;
}

int cmd_gateway(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(int argc, char **argv);
	} others[] = {
		{ "peer", cmd_gateway_peer },	    { "obfuscation", cmd_gateway_obfuscation },
		{ "access", cmd_gateway_access },   { "key", cmd_gateway_key },
		{ "webhook", cmd_gateway_webhook }, { "api", cmd_gateway_api },
		{ "import", cmd_gateway_import },   { "export", cmd_gateway_export },
		{ "adopt", cmd_gateway_adopt },
	};
	struct options o = { .command = "gateway", .rows = rows, .n = ROWS };
	char state[STATE_DEFAULT_MAX];
	struct upgrade_state before;
	struct diag d = { 0 };
	void *octets = NULL;
	int code = upgrade_receive(&before, &octets, &d);

	if (code < 0)
		return complain(EXIT_FAILED, &d);
	if (code > 0) {
		code = resume(&before);
		free(octets);
		return code;
	}
	for (size_t i = 0; argc > 1 && i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(argv[1], others[i].word) == 0)
			return others[i].run(argc - 1, argv + 1);
	options_set_default(&o, "state", state_default(geteuid(), state));
	code = collect(&o, argc, argv);
	if (code == EXIT_DONE && !o.wants_help)
		set_users_defaults(&o);
	if (code == EXIT_DONE && o.wants_help)
		print_help(&o);
	else if (code == EXIT_DONE)
		code = run(&o);
	options_done(&o);
	return code;
}
