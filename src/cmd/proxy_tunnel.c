/* SPDX-License-Identifier: Apache-2.0 */
/* culvert proxy-tunnel: an interface whose traffic leaves through an HTTP proxy. What the host sends into it
 * is the caller's to say: `culvert connect --connect-proxy` does that, and starts this. */
#include "client/proxy_tunnel.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/capability.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/codec.h"
#include "client/proxy_probe.h"
#include "cmd/command.h"
#include "cmd/device_usernet.h"
#include "cmd/options.h"
#include "cmd/proxy_settings.h"
#include "sys/log.h"
#include "sys/notify.h"
#include "sys/privileges.h"

#define PROBE_FOR UINT64_C(15000000000)

static const struct option_row rows[] = {
	{ "connect-proxy", "HOST:PORT", NULL, NULL, "the proxy that takes CONNECT", NULL },
	{ "interface", "NAME", "tun0", NULL, "to make", NULL },
	{ "key-file", "FILE", NULL, NULL,
	  "its key, mode 0600 (without: the variable VPN_API_KEY)", NULL },
	{ "proxy-user", "NAME", NULL, NULL, "show name and key by Basic instead of Bearer",
	  NULL },
	{ "dns", "A,...", "1.1.1.1,8.8.8.8,9.9.9.9", NULL,
	  "resolvers that queries go to, by TCP", NULL },
	{ "mark", "N", "0", NULL, "of the sockets to the proxy, for routing", NULL },
	{ "mtu", "N", "1500", NULL, "of the interface", NULL },
	{ "flows", "N", "16384", NULL, "connections at a time", NULL },
	{ "memory", "MB", "128", NULL, "for data on its way", NULL },
	{ "log-level", "LEVEL", "info", "LOG_LEVEL", "silent, error, warning, info or debug",
	  NULL },
};

enum { FLOWS_LEAST = 64, MEMORY_LEAST_MB = 4, MEMORY_MOST_MB = 65536 };

static int complain(int code, const char *text)
{
	fprintf(stderr, "culvert proxy-tunnel: %s\n", text);
	return code;
}

static void print_help(const struct options *o)
{
	puts("Usage: culvert proxy-tunnel --connect-proxy HOST:PORT [option...]\n"
	     "\n"
	     "Makes an interface and carries what is sent into it through an HTTP proxy: each TCP\n"
	     "connection is a CONNECT of its own, DNS queries go by TCP, other datagrams by connect-udp\n"
	     "where the proxy has it, else they are refused. Its address is 10.0.0.1\n"
	     "(fdcc:756c:7672::1); yours, and routes, are yours to set: what\n"
	     "carries --mark must not go into it.\n");
	options_print_help(o, stdout);
}

static int read_number(const struct options *o, const char *name, uint64_t min, uint64_t max,
		       uint64_t *ret)
{
	const char *text = options_get(o, name);

	if (decimal_parse(text, strlen(text), max, ret) == 0 && *ret >= min)
		return EXIT_DONE;
	fprintf(stderr, "culvert proxy-tunnel: %s is a number from %llu to %llu, not \"%s\"\n",
		options_origin(o, name), (unsigned long long)min, (unsigned long long)max,
		text);
	return EXIT_USAGE;
}

static int read_numbers(const struct options *o, struct usernet_options *u)
{
	uint64_t mark = 0, mtu = 0, flows = 0, memory = 0;

	if (read_number(o, "mark", 0, UINT32_MAX, &mark) ||
	    read_number(o, "mtu", USERNET_MTU_MIN, USERNET_MTU_MAX, &mtu) ||
	    read_number(o, "flows", FLOWS_LEAST, USERNET_FLOWS_MAX, &flows) ||
	    read_number(o, "memory", MEMORY_LEAST_MB, MEMORY_MOST_MB, &memory))
		return EXIT_USAGE;
	u->mark = (uint32_t)mark;
	u->mtu = (uint32_t)mtu;
	u->flows_max = (uint32_t)flows;
	u->memory_bytes = (size_t)memory << 20;
	return EXIT_DONE;
}

static int read_settings(const struct options *o, struct proxy_settings *s)
{
	const char *proxy = options_get(o, "connect-proxy");
	enum log_level level;
	int code = EXIT_DONE;

	if (!log_level_find(options_get(o, "log-level"), &level))
		return complain(EXIT_USAGE,
				"--log-level is silent, error, warning, info or debug");
	log_set_level(level);
	if (!proxy)
		return complain(EXIT_USAGE, "say --connect-proxy HOST:PORT");
	code = read_numbers(o, &s->usernet);
	if (code == EXIT_DONE)
		code = proxy_settings_resolvers(s, options_get(o, "dns"));
	if (code == EXIT_DONE)
		code = proxy_settings_key(s, options_get(o, "key-file"),
					  options_get(o, "proxy-user"));
	return code == EXIT_DONE ? proxy_settings_target(s, proxy) : code;
}

/* Marks need CAP_NET_RAW; nothing else does. */
static int give_up_rights(struct diag *d)
{
	static const int caps[] = { CAP_NET_RAW };
	int err = privileges_no_dump();

	if (err == 0 && !privileges_is_sanitized())
		err = privileges_landlock(NULL, 0);
	if (err == -ENOTSUP)
		err = 0;
	if (err == 0)
		err = privileges_keep_caps(caps, 1);
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_USERNET);
	if (err == 0 && privileges_gaps()[0])
		log_warning("this kernel could not enforce: %s", privileges_gaps());
	return err == 0 ? 0
			: diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
}

static int open_signals(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) < 0)
		return -errno;
	return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int exit_code(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
	case -ENOENT:
	case -ENODEV:
		return EXIT_PRIVILEGE;
	case -EKEYREJECTED:
	case -EPROTO:
		return EXIT_REFUSED;
	default:
		return EXIT_FAILED;
	}
}

/* One that is not there now may be there later; one that turns us away will not change its mind. */
static int look_at_proxy(const struct usernet_options *o, struct diag *d)
{
	int err = proxy_probe(o, PROBE_FOR, d);

	if (err == -EKEYREJECTED || err == -EPROTO)
		return err;
	if (err < 0)
		log_warning("%s", d->text);
	return 0;
}

static int serve(const struct proxy_tunnel_options *o, struct notify *manager, struct diag *d)
{
	struct proxy_tunnel *t = NULL;
	int stop = open_signals();
	int err = stop < 0 ? diag_set(d, stop, 0, "signals: %s", err_text(stop))
			   : proxy_tunnel_open(o, &t, d);

	if (err == 0)
		err = give_up_rights(d);
	if (err == 0)
		err = look_at_proxy(&o->usernet, d);
	if (err == 0) {
		notify_send(manager, "READY=1\nSTATUS=Connections go through the proxy");
		log_info("the interface %s is ready", o->name);
		err = proxy_tunnel_run(t, stop);
		if (err < 0)
			diag_set(d, err, 0, "the interface %s: %s", o->name,
				 err == -EBADFD ? "it was deleted" : err_text(err));
		notify_send(manager, "STOPPING=1");
	}
	proxy_tunnel_free(t);
	if (stop >= 0)
		close(stop);
	return err;
}

static int run(struct options *o, struct proxy_settings *s, const char *name)
{
	struct proxy_tunnel_options t = { .name = name };
	struct notify manager = { .len = 0 };
	struct diag d = { .text = "" };
	char title[48];
	int code = EXIT_DONE, err = 0;

	snprintf(title, sizeof(title), "proxy-tunnel %.15s", name);
	log_init(title, LOG_LEVEL_INFO, false);
	code = read_settings(o, s);
	if (code)
		return code;
	device_usernet_finish(&s->usernet); /* as many descriptors as connections */
	if (notify_open(&manager) < 0)
		log_warning("NOTIFY_SOCKET: the service manager is not told");
	t.usernet = s->usernet;
	err = serve(&t, &manager, &d);
	notify_close(&manager);
	return err < 0 ? complain(exit_code(err), d.text) : EXIT_DONE;
}

int cmd_proxy_tunnel(int argc, char **argv)
{
	struct options o = { .command = "proxy-tunnel",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct proxy_settings s;
	struct diag d = { .text = "" };
	int err = options_read_arguments(&o, argc, argv, &d), code = EXIT_DONE;

	if (err == 0 && !o.wants_help)
		err = options_read_environment(&o, environ, &d);
	proxy_settings_init(&s, "culvert proxy-tunnel");
	if (err < 0)
		code = complain(EXIT_USAGE, d.text);
	else if (o.wants_help)
		print_help(&o);
	else
		code = run(&o, &s, options_get(&o, "interface"));
	proxy_settings_done(&s);
	options_done(&o);
	return code;
}
