/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>

#include "api/objects.h"
#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/gateway_environment.h"
#include "sys/clock.h"

static const uint64_t SECOND_NS = 1000000000;

int gateway_told_complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway-serve: %s\n", what);
	return code;
}

/* --- What it was told --- */

static int read_fd(const struct options *o, const char *name, int *ret)
{
	const char *text = options_get(o, name);
	uint64_t fd;

	if (!text || decimal_parse(text, strlen(text), INT32_MAX, &fd) != 0 ||
	    fcntl((int)fd, F_GETFD) < 0)
		return gateway_told_complain(
			EXIT_USAGE, "--uapi-fd and --host-fd are open descriptors; this"
				    " command is started by 'culvert gateway'");
	/* Not to be inherited by anything. */
	(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	*ret = (int)fd;
	return EXIT_DONE;
}

/* By hand it goes without one. */
static int read_shelf(const struct options *o, struct serve *s)
{
	int code = EXIT_DONE;

	if (options_get(o, "shelf-in-fd"))
		code = read_fd(o, "shelf-in-fd", &s->places.shelf[0]);
	if (code == EXIT_DONE && options_get(o, "shelf-out-fd"))
		code = read_fd(o, "shelf-out-fd", &s->places.shelf[1]);
	return code;
}

static int read_numbers(const struct options *o, struct serve *s)
{
	const char *port = options_get(o, "port"), *rest = options_get(o, "rest");
	const char *actions = options_get(o, "actions");
	uint64_t number;

	if (decimal_parse(actions, strlen(actions), UINT32_MAX, &number) != 0)
		return gateway_told_complain(EXIT_USAGE, "--actions is a number");
	s->api.actions = (uint32_t)number;

	if (decimal_parse(port, strlen(port), UINT16_MAX, &number) != 0)
		return gateway_told_complain(EXIT_USAGE, "--port is a number up to 65535");
	s->config.port = (uint16_t)number;
	if (decimal_parse(rest, strlen(rest), 86400, &number) != 0)
		return gateway_told_complain(EXIT_USAGE,
					     "--rest is a number of seconds up to 86400");
	s->config.rest_ns = number * SECOND_NS;
	return EXIT_DONE;
}

/* A host that says the kind runs a device of ours; tests may have another. */
static int read_kind(const struct options *o, struct serve *s)
{
	s->api.kind = options_get(o, "kind");
	s->config.is_plain = strcmp(s->api.kind, "kernel") == 0;
	s->api.is_usernet = strcmp(s->api.kind, "usernet") == 0;
	s->api.kind_why = options_get(o, "kind-why");
	if (!s->config.is_plain && !s->api.is_usernet && strcmp(s->api.kind, "userspace") != 0)
		return gateway_told_complain(EXIT_USAGE,
					     "--kind is userspace, usernet or kernel");
	s->reconcile.is_plain = s->config.is_plain;
	s->reconcile.drift.is_ours = !options_is_default(o, "kind");
	if (!drift_policy_find(options_get(o, "drift"), &s->reconcile.drift.policy))
		return gateway_told_complain(EXIT_USAGE, "--drift is repair, report or adopt");
	return EXIT_DONE;
}

static int read_config(const struct options *o, struct serve *s)
{
	const char *key = options_get(o, "public-key"), *endpoint = options_get(o, "endpoint");
	const char *level = options_get(o, "obfuscation");

	s->state = options_get(o, "state");
	if (!s->state || strlen(s->state) > GATEWAY_PATH_MAX - 16)
		return gateway_told_complain(EXIT_USAGE, "--state DIR is needed");
	if (!key || key_from_base64(key, strlen(key), s->config.public_key) != 0)
		return gateway_told_complain(EXIT_USAGE, "--public-key is a key in base64");
	if (ip_prefix_parse(options_get(o, "subnet4"), true, &s->config.subnet4) != 0 ||
	    s->config.subnet4.ip.family != ADDR_V4)
		return gateway_told_complain(EXIT_USAGE, "--subnet4 is an IPv4 prefix");
	if (ip_prefix_parse(options_get(o, "subnet6"), true, &s->config.subnet6) != 0 ||
	    s->config.subnet6.ip.family != ADDR_V6)
		return gateway_told_complain(EXIT_USAGE, "--subnet6 is an IPv6 prefix");
	if (endpoint && strlen(endpoint) > API_HOST_MAX)
		return gateway_told_complain(EXIT_USAGE,
					     "--endpoint has at most 255 characters");
	snprintf(s->config.interface, sizeof(s->config.interface), "%s",
		 options_get(o, "interface"));
	snprintf(s->api.endpoint, sizeof(s->api.endpoint), "%s", endpoint ? endpoint : "");
	s->api.level = frame_level_find(level, strlen(level));
	if (s->api.level == FRAME_LEVELS)
		return gateway_told_complain(
			EXIT_USAGE, "--obfuscation is off, low, medium, high or extreme");
	return read_numbers(o, s);
}

static void name_paths(struct serve *s)
{
	snprintf(s->socket_path, sizeof(s->socket_path), "%s/gateway.sock", s->state);
	snprintf(s->database_path, sizeof(s->database_path), "%s/culvert.db", s->state);
	s->database = getenv("DB_PATH") ? getenv("DB_PATH") : s->database_path;
	s->places.api = &s->api;
	s->places.state = s->state;
	s->places.socket_path = s->socket_path;
}

static int read_environment(const struct options *o, struct serve *s)
{
	struct diag d = { .text = "" };
	int err = gateway_environment_read(&s->api, &d);

	if (err == 0)
		err = store_option_read(o, &s->store_option, &d);
	if (err == 0 && strcmp(options_get(o, "listen-agent"), "off") != 0)
		err = gateway_environment_read_agent(&s->api, &d);
	if (err == 0)
		err = gateway_environment_read_api_key(s->state, &s->api.key, &d);
	return err == 0 ? EXIT_DONE : gateway_told_complain(EXIT_REFUSED, d.text);
}

int gateway_told_read(const struct options *o, struct serve *s, int *ret_uapi, int *ret_host)
{
	int code = read_config(o, s);

	if (code == EXIT_DONE)
		code = read_fd(o, "uapi-fd", ret_uapi);
	if (code == EXIT_DONE)
		code = read_fd(o, "host-fd", ret_host);
	if (code == EXIT_DONE)
		code = read_shelf(o, s);
	if (code != EXIT_DONE)
		return code;
	code = read_kind(o, s);
	if (code != EXIT_DONE)
		return code;
	name_paths(s);
	s->api.isolates_peers = strcmp(options_get(o, "isolation"), "on") == 0;
	s->config.account_list = account_access_list;
	s->api.started_ns = clock_boot_ns();
	return read_environment(o, s);
}
