/* SPDX-License-Identifier: Apache-2.0 */
/* culvert proxy: the CONNECT proxy by itself, its keys from a file. */
#include <stdio.h>
#include <string.h>

#include <strings.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/proxy_process.h"
#include "sys/log.h"

enum {
	TUNNELS_MAX = 1000000,
	SECONDS_MAX = 31536000,
};

static const struct option_row rows[] = {
	{ "listen", "ADDRESS:PORT,…", NULL, NULL, "where to listen; else every address", NULL },
	{ "port", "N", "3128", "PROXY_PORT", "TCP port where --listen says none", NULL },
	{ "keys", "FILE", NULL, NULL, "lines ID HASH of who may use it; read again on SIGHUP",
	  NULL },
	{ "watch-keys", NULL, NULL, NULL, "read the keys again whenever the file changes",
	  NULL },
	{ "open", NULL, NULL, "PROXY_OPEN", "let everybody use it, without a key", NULL },
	{ "allow", "NET,…", NULL, NULL, "private networks that may be reached", NULL },
	{ "tunnels", "N", "65536", NULL, "connections of clients at a time", NULL },
	{ "tunnels-per-key", "N", "4096", NULL, "of one key", NULL },
	{ "rate-per-key", "N", "0", NULL, "octets in a second of one key; 0: no bound", NULL },
	{ "idle", "SECONDS", "3600", NULL, "until a tunnel that nobody uses is ended", NULL },
	{ "lifetime", "SECONDS", "0", NULL, "until any tunnel is ended; 0: no bound", NULL },
	{ "workers", "N", "0", NULL, "threads; 0: one per processor", NULL },
	{ "status", "PATH", NULL, NULL, "local socket for metrics", NULL },
	{ "json", NULL, NULL, NULL, "say as JSON that it is ready", NULL },
	{ "log-level", "LEVEL", "info", NULL, "silent, error, warning, info or debug", NULL },
	{ "log-json", NULL, NULL, NULL, "log lines as JSON", NULL },
};

static void print_help(const struct options *o)
{
	fputs("Usage: culvert proxy --keys FILE [OPTIONS]\n"
	      "       culvert proxy --open [OPTIONS]\n"
	      "\n"
	      "Serves HTTP CONNECT in the foreground until SIGTERM or SIGINT: TCP connections to the world\n"
	      "for whoever has a key, sent as \"Proxy-Authorization: Bearer KEY\" or as the password of Basic.\n"
	      "Loopback, link-local, metadata services and this host are never reached, private networks\n"
	      "only where --allow opens them. Needs no privilege; started as root, it gives that up.\n"
	      "\n"
	      "HASH in FILE is what this prints: printf %s KEY | sha256sum\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
	fputs("\n"
	      "Each may also stand in the environment (CULVERT_PROXY_KEYS=FILE) or in\n"
	      "/etc/culvert/culvert.conf below [proxy] (keys = FILE).\n",
	      stdout);
}

static int complain(int code, const struct diag *d)
{
	if (d->text[0])
		fprintf(stderr, "culvert proxy: %s\n", d->text);
	return code;
}

static int refuse_value(const struct options *o, const char *name, const char *expected)
{
	fprintf(stderr, "culvert proxy: %s: \"%s\" is not %s\n", options_origin(o, name),
		options_get(o, name), expected);
	return options_is_argument(o, name) ? EXIT_USAGE : EXIT_REFUSED;
}

static int read_number(const struct options *o, const char *name, uint64_t min, uint64_t max,
		       uint64_t *ret)
{
	const char *text = options_get(o, name);
	char expected[64];

	if (decimal_parse(text, strlen(text), max, ret) == 0 && *ret >= min)
		return EXIT_DONE;
	snprintf(expected, sizeof(expected), "a number from %llu to %llu",
		 (unsigned long long)min, (unsigned long long)max);
	return refuse_value(o, name, expected);
}

/* Each of a list with commas. */
static int read_each(const struct options *o, const char *name, struct proxy_options *p,
		     int (*add)(struct proxy_options *p, const char *text),
		     const char *expected)
{
	const char *text = options_get(o, name);
	char one[ADDR_TEXT_MAX];

	while (text) {
		size_t len = strcspn(text, ",");

		if (len >= sizeof(one))
			return refuse_value(o, name, expected);
		memcpy(one, text, len);
		one[len] = '\0';
		if (add(p, one) < 0)
			return refuse_value(o, name, expected);
		text = text[len] ? text + len + 1 : NULL;
	}
	return EXIT_DONE;
}

static int add_listener(struct proxy_options *p, const char *text)
{
	if (p->n_at == SERVER_LISTENERS_MAX || endpoint_parse(text, &p->at[p->n_at]) < 0)
		return ERR_FORMAT;
	p->n_at++;
	return 0;
}

static int add_allowed(struct proxy_options *p, const char *text)
{
	if (p->n_allowed == PROXY_ALLOWED_MAX ||
	    ip_prefix_parse(text, false, &p->allowed[p->n_allowed]) < 0)
		return ERR_FORMAT;
	p->n_allowed++;
	return 0;
}

static int read_places(const struct options *o, struct proxy_options *p)
{
	uint64_t port = 0;
	int code = read_number(o, "port", 1, 65535, &port);

	if (code == EXIT_DONE)
		code = read_each(o, "listen", p, add_listener,
				 "up to 8 of ADDRESS:PORT with commas, IPv6 in brackets");
	if (code == EXIT_DONE)
		code = read_each(o, "allow", p, add_allowed, "up to 64 networks with commas");
	if (p->n_at == 0)
		p->at[p->n_at++] = (struct endpoint){ .ip = { .family = ADDR_V6 },
						      .port = (uint16_t)port };
	return code;
}

static unsigned int count_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n < SERVER_WORKERS_MAX ? (unsigned int)n : SERVER_WORKERS_MAX;
}

static int read_bounds(const struct options *o, struct server_config *c)
{
	uint64_t tunnels, per_key, rate, idle, lifetime, workers;
	int code = read_number(o, "tunnels", 1, TUNNELS_MAX, &tunnels);

	if (code == EXIT_DONE)
		code = read_number(o, "tunnels-per-key", 1, TUNNELS_MAX, &per_key);
	if (code == EXIT_DONE)
		code = read_number(o, "rate-per-key", 0, UINT64_C(1) << 40, &rate);
	if (code == EXIT_DONE)
		code = read_number(o, "idle", 1, SECONDS_MAX, &idle);
	if (code == EXIT_DONE)
		code = read_number(o, "lifetime", 0, SECONDS_MAX, &lifetime);
	if (code == EXIT_DONE)
		code = read_number(o, "workers", 0, SERVER_WORKERS_MAX, &workers);
	if (code != EXIT_DONE)
		return code;
	c->tunnels = (uint32_t)tunnels;
	c->per_key = (uint32_t)per_key;
	c->rate = rate;
	c->idle_s = (uint32_t)idle;
	c->lifetime_s = (uint32_t)lifetime;
	c->workers = workers ? (unsigned int)workers : count_processors();
	return EXIT_DONE;
}

/* A proxy that nobody may use, or that everybody may use by mistake, is not begun with. */
static int read_who(const struct options *o, struct proxy_options *p)
{
	static const char *const yes[] = { "1", "true", "yes", "on" };
	static const char *const no[] = { "", "0", "false", "no", "off" };
	const char *open = options_get(o, "open");
	bool is_known = !open;

	p->keys = options_get(o, "keys");
	/* Which keys was said more nearly than that none are needed. */
	if (options_is_argument(o, "keys")) {
		if (options_is_argument(o, "open")) {
			fputs("culvert proxy: --keys and --open go without each other\n",
			      stderr);
			return EXIT_USAGE;
		}
		open = NULL;
		is_known = true;
	}
	for (size_t i = 0; open && i < sizeof(yes) / sizeof(yes[0]); i++)
		p->server.is_open = p->server.is_open || strcasecmp(open, yes[i]) == 0;
	for (size_t i = 0; open && i < sizeof(no) / sizeof(no[0]); i++)
		is_known = is_known || strcasecmp(open, no[i]) == 0;
	if (!is_known && !p->server.is_open)
		return refuse_value(o, "open", "1 or 0");
	if (!p->keys && !p->server.is_open) {
		fputs("culvert proxy: say who may use it: --keys FILE, or --open for everybody\n",
		      stderr);
		return EXIT_USAGE;
	}
	p->watches_keys = p->keys && options_get(o, "watch-keys");
	return EXIT_DONE;
}

static int read_log(const struct options *o)
{
	enum log_level level;

	if (!log_level_find(options_get(o, "log-level"), &level))
		return refuse_value(o, "log-level", "silent, error, warning, info or debug");
	log_init("proxy", level, options_get(o, "log-json") != NULL);
	return EXIT_DONE;
}

static int run(const struct options *o)
{
	struct proxy_options p = { .status = options_get(o, "status"),
				   .says_json = options_get(o, "json") != NULL };
	struct diag d = { .text = "" };
	int code = read_log(o);

	if (code == EXIT_DONE)
		code = read_who(o, &p);
	if (code == EXIT_DONE)
		code = read_places(o, &p);
	if (code == EXIT_DONE)
		code = read_bounds(o, &p.server);
	if (code == EXIT_DONE)
		code = proxy_process_run(&p, &d);
	return complain(code, &d);
}

int cmd_proxy(int argc, char **argv)
{
	struct options o = { .command = "proxy",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (options_read_arguments(&o, argc, argv, &d) < 0) {
		complain(0, &d);
		fputs("Try 'culvert proxy --help'.\n", stderr);
		code = EXIT_USAGE;
	} else if (o.wants_help) {
		print_help(&o);
	} else if (options_read_environment(&o, environ, &d) < 0 ||
		   options_read_file(&o, "/etc/culvert/culvert.conf", OPTION_FILE, &d) < 0) {
		code = complain(EXIT_REFUSED, &d);
	} else {
		code = run(&o);
	}
	options_done(&o);
	return code;
}
