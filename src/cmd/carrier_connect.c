/* SPDX-License-Identifier: Apache-2.0 */
/* A client's end of a carrier. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/carrier.h"
#include "cmd/command.h"
#include "crypto/secret.h"
#include "sys/file.h"
#include "sys/log.h"

/* The relay has a thread of its own; this one waits for signals. */
struct connecting {
	const struct options *o;
	struct carrier_process process;
	struct carrier_client_config config;
	struct carrier_client *client;
	int stop_fd;
	const char *wrong; /* the option whose value it is that cannot be read; NULL: none */
};

/* A line break at the end is no part of it. */
static int take_key(char key[CARRIER_SECRET_MAX], size_t len, struct diag *d)
{
	while (len > 0 && (key[len - 1] == '\n' || key[len - 1] == '\r'))
		len--;
	key[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (key[i] <= ' ' || key[i] > '~')
			return diag_set(d, ERR_FORMAT, 0,
					"the key holds what no key of ours holds");
	}
	return 0;
}

static int read_key_file(const char *path, char key[CARRIER_SECRET_MAX], struct diag *d)
{
	size_t len = 0;
	int err = file_read_named(path, key, CARRIER_SECRET_MAX - 1, &len);

	if (err != 0)
		return diag_set(d, err, 0, "%s: %s", path, err_text(err));
	return take_key(key, len, d);
}

static int read_key(const struct options *o, struct carrier_client_config *c, struct diag *d)
{
	const char *path = options_get(o, "key-file"), *variable = getenv("VPN_API_KEY");
	int err = 0;

	if (path) {
		err = read_key_file(path, c->key, d);
	} else if (variable && strlen(variable) < sizeof(c->key)) {
		memcpy(c->key, variable, strlen(variable));
		err = take_key(c->key, strlen(variable), d);
	}
	if (err != 0)
		return err;
	return c->key[0] ? 0
			 : diag_set(d, ERR_FORMAT, 0,
				    "there is no key: --key-file FILE, or VPN_API_KEY");
}

/* Arguments can be read by everybody on this host: no key is taken from them. */
static int read_via(const struct options *o, struct carrier_via *ret, struct diag *d)
{
	const char *via = options_get(o, "via"), *user = options_get(o, "via-user"),
		   *path = options_get(o, "via-key-file");
	int err = via ? carrier_via_read(via, ret, d) : 0;

	if (err != 0)
		return err;
	if (!via && (user || path))
		return diag_set(d, ERR_FORMAT, 0,
				"--via-user and --via-key-file go with --via");
	if (ret->key[0] && options_is_argument(o, "via"))
		return diag_set(d, ERR_FORMAT, 0,
				"a key in --via is shown to all of this host: say --via-user "
				"and --via-key-file, or CULVERT_CARRIER_VIA");
	if (user && (!path || strlen(user) >= sizeof(ret->user) || strchr(user, ':')))
		return diag_set(d, ERR_FORMAT, 0,
				"--via-user is a name without a colon, and goes with "
				"--via-key-file");
	if (!path)
		return 0;
	snprintf(ret->user, sizeof(ret->user), "%s", user ? user : "");
	err = read_key_file(path, ret->key, d);
	if (err == 0 && !ret->key[0])
		err = diag_set(d, ERR_FORMAT, 0, "%s: there is no key", path);
	return err;
}

/* As ip-rule(8) and FwMark have it: decimal, or hexadecimal behind "0x". */
static int read_mark(const char *text, uint32_t *ret)
{
	uint64_t n = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		size_t len = strlen(text + 2);

		if (len == 0 || len > 8 || strspn(text + 2, "0123456789abcdefABCDEF") != len)
			return ERR_FORMAT;
		n = strtoul(text + 2, NULL, 16);
	} else if (decimal_parse(text, strlen(text), UINT32_MAX, &n) != 0) {
		return ERR_FORMAT;
	}
	*ret = (uint32_t)n;
	return 0;
}

static int read_route(const struct options *o, struct carrier_client_config *c, struct diag *d)
{
	const char *mark = options_get(o, "mark"), *device = options_get(o, "device");

	if (mark && read_mark(mark, &c->mark) != 0)
		return diag_set(d, ERR_FORMAT, 0, "--mark is a number");
	if (device && strlen(device) >= sizeof(c->device))
		return diag_set(d, ERR_FORMAT, 0, "--device: no interface has so long a name");
	snprintf(c->device, sizeof(c->device), "%s", device ? device : "");
	return 0;
}

static int read_trust(const struct options *o, struct carrier_client_config *c, struct diag *d)
{
	const char *pin = options_get(o, "pin");

	c->ca_path = options_get(o, "ca");
	c->has_pin = pin != NULL;
	if (pin && key_from_hex(pin, strlen(pin), c->pin) != 0)
		return diag_set(d, ERR_FORMAT, 0, "--pin is 64 hex digits");
	return 0;
}

int carrier_client_options(const struct options *o, struct carrier_client_config *ret,
			   struct diag *d)
{
	const char *target = options_get(o, "target");
	int err = read_via(o, &ret->via, d);

	if (err == 0)
		err = carrier_host_port(target ? target : "localhost:51820", &ret->target, d);
	if (err == 0)
		err = read_route(o, ret, d);
	if (err == 0)
		err = read_trust(o, ret, d);
	return err == 0 ? read_key(o, ret, d) : err;
}

void carrier_client_config_done(struct carrier_client_config *c)
{
	secret_wipe(c->key, sizeof(c->key));
	secret_wipe(c->via.key, sizeof(c->via.key));
}

static int read_config(struct connecting *c, struct diag *d)
{
	int err = carrier_url_read(options_get(c->o, "to"), &c->config.url, d);

	if (err != 0)
		c->wrong = "to";
	if (err == 0 && (endpoint_parse(options_get(c->o, "listen"), &c->config.listen) != 0 ||
			 !ip_addr_is_loopback(&c->config.listen.ip))) {
		c->wrong = "listen";
		err = diag_set(d, ERR_FORMAT, 0,
			       "a client's --listen is a loopback ADDRESS:PORT");
	}
	return err == 0 ? carrier_client_options(c->o, &c->config, d) : err;
}

static void *run(void *context)
{
	struct connecting *c = context;

	carrier_client_run(c->client, c->stop_fd);
	return NULL;
}

static void say_ready(struct connecting *c)
{
	char line[160], at[ADDR_TEXT_MAX];
	struct endpoint e = c->config.listen;

	e.port = carrier_client_port(c->client);
	snprintf(line, sizeof(line),
		 options_get(c->o, "json") ? "{\"ready\":true,\"listen\":[\"%s\"]}"
					   : "carrier ready: %s",
		 endpoint_format(&e, at));
	carrier_process_ready(line);
}

static void log_state(struct connecting *c)
{
	struct carrier_client_state s;

	carrier_client_state(c->client, &s);
	log_info("%s; made %u times; datagrams in %" PRIu64 ", out %" PRIu64
		 ", dropped %" PRIu64 "%s%s",
		 s.is_up ? "connected" : "not connected", s.connects, s.in_datagrams,
		 s.out_datagrams, s.dropped, s.text[0] ? "; " : "", s.text);
}

static int serve(struct connecting *c, struct diag *d)
{
	pthread_t thread;
	int signal = 0;
	int err = pthread_create(&thread, NULL, run, c);

	if (err != 0)
		return diag_set(d, -err, 0, "%s", err_text(-err));
	say_ready(c);
	while (signal != SIGTERM && signal != SIGINT) {
		signal = carrier_process_wait(&c->process, -1, -1);
		if (signal == SIGUSR1)
			log_state(c);
	}
	eventfd_write(c->stop_fd, 1);
	pthread_join(thread, NULL);
	return 0;
}

/* A mark, or a device, is set anew for each connection: the right to that stays, and no other. */
static int give_up(struct connecting *c, struct diag *d)
{
	int caps[CARRIER_CAPS_MAX];
	size_t n = 0;

	if (c->config.mark)
		caps[n++] = CAP_NET_ADMIN;
	if (c->config.device[0])
		caps[n++] = CAP_NET_RAW;
	return carrier_process_give_up(&c->process, caps, n, d);
}

int carrier_connect(const struct options *o)
{
	struct connecting c = { .o = o,
				.process = { .signal_fd = -1, .watch_fd = -1 },
				.stop_fd = -1 };
	struct diag d = { .text = "" };
	int err = read_config(&c, &d);

	if (err == 0)
		err = carrier_process_open(&c.process, &d);
	if (err == 0 && (c.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		err = -errno;
	if (err == 0)
		err = carrier_client_new(&c.config, &c.client, &d);
	if (err == 0)
		err = give_up(&c, &d);
	if (err == 0)
		err = serve(&c, &d);
	if (err != 0)
		carrier_complain(0, d.text[0] ? d.text : err_text(err));
	carrier_client_free(c.client);
	carrier_client_config_done(&c.config);
	if (c.stop_fd >= 0)
		close(c.stop_fd);
	carrier_process_close(&c.process);
	if (c.wrong && options_is_argument(o, c.wrong))
		return EXIT_USAGE;
	return carrier_exit_code(err);
}
