/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/proxy_settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "crypto/secret.h"
#include "net/resolve.h"
#include "sys/file.h"

enum {
	MTU_DEFAULT = 1500, /* nothing is wrapped around packets */
	FLOWS_DEFAULT = 16384,
	MEMORY_DEFAULT_MB = 128,
	HOST_MAX = 254,
	/* As base64 behind "Basic ", "name:key" must fit; plain behind "Bearer ". */
	SECRET_MAX = (CONNECT_CREDENTIAL_MAX - 16) / 4 * 3,
};

/* In front of everything: usernet's rules are those of a gateway for strangers. */
static const struct ip_prefix private_networks[] = {
	{ { ADDR_V4, { 10 } }, 8 },	   { { ADDR_V4, { 172, 16 } }, 12 },
	{ { ADDR_V4, { 192, 168 } }, 16 }, { { ADDR_V4, { 100, 64 } }, 10 },
	{ { ADDR_V6, { 0xfc } }, 7 },
};

/* Our end inside the tunnel: it answers to ping. */
static const struct ip_prefix own_addresses[] = {
	{ { ADDR_V4, { 10, 0, 0, 1 } }, 32 },
	{ { ADDR_V6, { 0xfd, 0xcc, 0x75, 0x6c, 0x76, 0x72, [15] = 1 } }, 128 },
};

__attribute__((format(printf, 3, 4))) static int complain(const struct proxy_settings *s,
							  int code, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", s->command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

void proxy_settings_init(struct proxy_settings *s, const char *command)
{
	*s = (struct proxy_settings){
		.command = command,
		.usernet = { .mtu = MTU_DEFAULT,
			     .flows_max = FLOWS_DEFAULT,
			     .memory_bytes = (size_t)MEMORY_DEFAULT_MB << 20,
			     .n_addresses = sizeof(own_addresses) / sizeof(own_addresses[0]),
			     .n_allowed =
				     sizeof(private_networks) / sizeof(private_networks[0]) },
	};
	memcpy(s->usernet.addresses, own_addresses, sizeof(own_addresses));
	memcpy(s->usernet.allowed, private_networks, sizeof(private_networks));
}

void proxy_settings_done(struct proxy_settings *s)
{
	secret_wipe(s->credential, sizeof(s->credential));
}

/* --- The proxy --- */

static int look_up(struct proxy_settings *s, const char *host, uint16_t port)
{
	int err = resolve_endpoint(host, port, &s->usernet.proxy);

	if (err < 0)
		return complain(s, EXIT_FAILED, "the proxy's name %s: %s", host,
				err == ERR_UNKNOWN ? "there is no such host" : err_text(err));
	return EXIT_DONE;
}

int proxy_settings_target(struct proxy_settings *s, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[HOST_MAX];
	uint64_t port = 0;

	if (endpoint_parse(text, &s->usernet.proxy) == 0 && s->usernet.proxy.port)
		return EXIT_DONE;
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof(host) ||
	    memchr(text, ':', (size_t)(colon - text)) || strpbrk(text, "/@[]") ||
	    decimal_parse(colon + 1, strlen(colon + 1), 65535, &port) < 0 || port == 0)
		return complain(
			s, EXIT_USAGE,
			"a proxy is HOST:PORT (an IPv6 address in brackets), not \"%s\"", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	return look_up(s, host, (uint16_t)port);
}

/* --- Its key --- */

static int make_credential(struct proxy_settings *s, const char *user, const char *key,
			   size_t len)
{
	char pair[SECRET_MAX + 1];
	int n = 0;

	for (size_t i = 0; i < len; i++)
		if (key[i] < '!' || key[i] > '~')
			return complain(s, EXIT_REFUSED,
					"a proxy's key has visible characters of ASCII only");
	if (len == 0 || len + (user ? strlen(user) + 1 : 0) > SECRET_MAX)
		return complain(s, EXIT_REFUSED, "a proxy's key has 1 to %d characters",
				(int)SECRET_MAX);
	if (user) {
		n = snprintf(pair, sizeof(pair), "%s:%.*s", user, (int)len, key);
		memcpy(s->credential, "Basic ", sizeof("Basic "));
		base64_encode(pair, (size_t)n, s->credential + strlen(s->credential));
		secret_wipe(pair, sizeof(pair));
	} else {
		snprintf(s->credential, sizeof(s->credential), "Bearer %.*s", (int)len, key);
	}
	s->usernet.credential = s->credential;
	return EXIT_DONE;
}

static int read_file(struct proxy_settings *s, const char *path, const char *user)
{
	char text[2 * SECRET_MAX];
	struct stat st;
	size_t len = 0;
	int err = 0, code = EXIT_DONE;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		return complain(s, EXIT_REFUSED, "%s may be used by others: chmod 600 it",
				path);
	err = file_read_named(path, text, sizeof(text) - 1, &len);
	if (err < 0)
		return complain(s, err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED, "%s: %s",
				path, err_text(err));
	text[len] = '\0';
	code = make_credential(s, user, text, strcspn(text, "\r\n"));
	secret_wipe(text, sizeof(text));
	return code;
}

int proxy_settings_key(struct proxy_settings *s, const char *path, const char *user)
{
	const char *key = getenv("VPN_API_KEY");

	if (user && (strpbrk(user, ":\r\n") || !*user))
		return complain(s, EXIT_USAGE, "a user's name has no colon, not \"%s\"", user);
	if (path)
		return read_file(s, path, user);
	if (key && *key)
		return make_credential(s, user, key, strlen(key));
	return user ? complain(s, EXIT_USAGE, "%s has no key: say --key-file or VPN_API_KEY",
			       user)
		    : EXIT_DONE;
}

/* --- Resolvers --- */

int proxy_settings_resolvers(struct proxy_settings *s, const char *text)
{
	struct usernet_options *o = &s->usernet;
	char one[ADDR_TEXT_MAX];

	for (size_t len = 0;; text += len + 1) {
		len = strcspn(text, ",");
		if (len >= sizeof(one) || o->n_resolvers == USERNET_RESOLVERS_MAX)
			break;
		memcpy(one, text, len);
		one[len] = '\0';
		if (ip_addr_parse(one, &o->resolvers[o->n_resolvers]) < 0)
			break;
		o->n_resolvers++;
		if (text[len] == '\0')
			return EXIT_DONE;
	}
	return complain(s, EXIT_USAGE, "--dns takes at most three addresses, not \"%s\"", text);
}
