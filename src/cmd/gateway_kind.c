/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "cmd/command.h"
#include "cmd/device_usernet.h"

static int refuse(const struct options *o, const char *name, const char *expected)
{
	fprintf(stderr, "culvert gateway: %s: \"%s\" is not %s\n", options_origin(o, name),
		options_get(o, name), expected);
	return options_is_argument(o, name) ? EXIT_USAGE : EXIT_REFUSED;
}

static bool find_kind(const char *word, enum host_kind *ret)
{
	static const char *const words[] = {
		[HOST_KIND_USERSPACE] = "userspace", [HOST_KIND_TUN] = "tun",
		[HOST_KIND_USERNET] = "usernet",     [HOST_KIND_KERNEL] = "kernel",
		[HOST_KIND_AUTO] = "auto",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) != 0)
			continue;
		*ret = (enum host_kind)i;
		return true;
	}
	return false;
}

/* What the tunnel process will be told, read here as it will read it: a mistake is told at once. */
static int read_usernet(const struct options *o, struct gateway_kind *k)
{
	static const struct {
		const char *name, *argument;
		enum device_usernet_option option;
	} each[] = {
		{ "allow", "--allow", DEVICE_USERNET_ALLOW },
		{ "resolvers", "--dns", DEVICE_USERNET_DNS },
		{ "forward", "--forward", DEVICE_USERNET_FORWARD },
		{ "serve", "--serve", DEVICE_USERNET_SERVE },
	};
	static struct usernet_options unused;
	size_t n = 0;

	device_usernet_init(&unused);
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		const char *value = options_get(o, each[i].name);

		if (!value || !value[0])
			continue;
		if (device_usernet_read(&unused, each[i].option, value) != EXIT_DONE)
			return options_is_argument(o, each[i].name) ? EXIT_USAGE : EXIT_REFUSED;
		k->usernet[n++] = each[i].argument;
		k->usernet[n++] = value;
	}
	k->usernet[n] = NULL;
	return EXIT_DONE;
}

/* Root's where it is writable, a user's, or else beside the state. */
static const char *find_run_dir(const struct host_config *c, struct gateway_kind *k)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 && (access("/run/culvert", W_OK) == 0 || access("/run", W_OK) == 0))
		return "/run/culvert";
	if (geteuid() == 0 || !base || base[0] != '/' || access(base, W_OK) != 0 ||
	    strlen(base) > sizeof(k->run_dir) - sizeof("/culvert"))
		return c->state;
	snprintf(k->run_dir, sizeof(k->run_dir), "%s/culvert", base);
	return k->run_dir;
}

int gateway_kind_read(const struct options *o, struct gateway_kind *k, struct host_config *c)
{
	int code;

	if (!find_kind(options_get(o, "kind"), &c->kind))
		return refuse(o, "kind", "userspace, tun, usernet, kernel or auto");
	code = read_usernet(o, k);
	if (code != EXIT_DONE)
		return code;
	c->usernet = k->usernet;
	c->run_dir = find_run_dir(c, k);
	if (c->kind != HOST_KIND_KERNEL || strcmp(c->obfuscation, "off") == 0)
		return EXIT_DONE;
	/* Said before anything is made. */
	fprintf(stderr,
		"culvert gateway: %s: the kernel's WireGuard knows no obfuscation, and new peers are"
		" to have level %s: choose kind userspace, or obfuscation off\n",
		options_origin(o, "kind"), c->obfuscation);
	return EXIT_REFUSED;
}
