/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert routing: the host's routes before, during and after a tunnel through a proxy. Called as
 * setup-routing it is the tool of that name: its commands, its texts, its exit codes.
 */
#include "cmd/routing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec.h"
#include "client/ip_tool.h"
#include "client/routing.h"
#include "cmd/command.h"
#include "net/resolve.h"

enum { TEST_MS = 5000, NAT_LINES = 10 };

static void print_usage(const struct routing_call *c, FILE *out)
{
	fprintf(out,
		"Usage: %s backup                      Note the default routes\n"
		"       %s restore                     Bring them back\n"
		"       %s setup                       Only " ROUTING_NETWORK
		" through " ROUTING_DEVICE "\n"
		"       %s start HOST PORT [API_KEY] [--client PROGRAM]\n"
		"                                      All of that around a client\n"
		"       %s test HOST PORT              Does the proxy answer?\n"
		"       %s show                        Routes, NAT rules, interfaces\n"
		"       %s help\n",
		c->program, c->program, c->program, c->program, c->program, c->program,
		c->program);
}

int routing_complain(const struct routing_call *c, int err, const char *sentence)
{
	fprintf(c->is_old ? stdout : stderr, "✗ %s\n", sentence);
	if (c->is_old || err == 0)
		return EXIT_FAILED;
	if (err == ERR_FORMAT || err == ERR_RANGE)
		return EXIT_REFUSED;
	return err == -EPERM || err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
}

/* --- backup, restore, setup --- */

static int backup(const struct routing_call *c, char **words)
{
	struct diag d = { .text = "" };
	int err;

	(void)words;
	if (routing_is_open())
		return routing_complain(
			c, -EBUSY,
			"a session was not ended: what is there now are not the "
			"original routes; restore first");
	err = routing_backup(&d);
	if (err)
		return routing_complain(c, err, d.text);
	puts("✓ Routing backup saved to " ROUTING_FILE);
	return EXIT_DONE;
}

static int restore(const struct routing_call *c, char **words)
{
	struct diag d = { .text = "" };
	char path[PATH_MAX];
	int err = routing_restore(path, &d);

	(void)words;
	if (err == -ENOENT) {
		fprintf(c->is_old ? stdout : stderr, "Warning: there is no backup: %s\n", path);
		return EXIT_FAILED;
	}
	if (err)
		return routing_complain(c, err, d.text);
	printf("✓ Routing restored from %s\n", path);
	return EXIT_DONE;
}

static int setup(const struct routing_call *c, char **words)
{
	struct diag d = { .text = "" };
	int err;

	(void)words;
	if (!routing_has_device()) {
		puts(ROUTING_DEVICE " is not there: nothing to do");
		return EXIT_DONE;
	}
	err = routing_setup(&d);
	if (err)
		return routing_complain(c, err, d.text);
	puts("✓ " ROUTING_NETWORK " goes through " ROUTING_DEVICE);
	return EXIT_DONE;
}

/* --- test --- */

static bool read_place(const char *host, const char *port, struct endpoint *ret)
{
	uint64_t number;

	return decimal_parse(port, strlen(port), 65535, &number) == 0 && number > 0 &&
	       resolve_endpoint(host, (uint16_t)number, ret) == 0;
}

static socklen_t put_address(const struct endpoint *to, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;

	if (to->ip.family == ADDR_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(to->port);
		memcpy(&v4->sin_addr, to->ip.b, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(to->port);
	v6->sin6_scope_id = to->scope;
	memcpy(&v6->sin6_addr, to->ip.b, 16);
	return sizeof(*v6);
}

static int try_to_connect(const struct endpoint *to)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	socklen_t len = put_address(to, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd waiting = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
		err = errno;
	else if (poll(&waiting, 1, TEST_MS) <= 0)
		err = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		err = errno;
	close(fd);
	return -err;
}

static int test(const struct routing_call *c, char **words)
{
	struct endpoint to;
	char sentence[400];
	int err = ERR_UNKNOWN;

	if (read_place(words[0], words[1], &to))
		err = try_to_connect(&to);
	if (err == 0) {
		printf("✓ Can connect to %s:%s\n", words[0], words[1]);
		return EXIT_DONE;
	}
	snprintf(sentence, sizeof(sentence), "Cannot connect to %.200s:%.16s: %s", words[0],
		 words[1], err_text(err));
	routing_complain(c, 0, sentence);
	return EXIT_FAILED;
}

/* --- show --- */

static void print_lines(const char *text, int n)
{
	while (*text && n-- > 0) {
		int len = (int)strcspn(text, "\n");

		printf("%.*s\n", len, text);
		text += len + (text[len] == '\n');
	}
}

static void print_of(const char *head, const char *const argv[], int n)
{
	struct program_result result;
	struct diag d = { .text = "" };

	printf("%s\n", head);
	if (ip_tool_run(argv, &result, &d) == 0)
		print_lines(result.out, n);
	else
		printf("(%s)\n", d.text);
	putchar('\n');
}

static int show(const struct routing_call *c, char **words)
{
	static const char *const routes[] = { "ip", "route", "show", NULL };
	static const char *const rules[] = { "iptables", "-t", "nat", "-S", NULL };
	static const char *const nft[] = { "nft", "list", "table", "ip", "nat", NULL };
	static const char *const links[] = { "ip", "-brief", "address", "show", NULL };
	bool has_iptables = access("/usr/sbin/iptables", X_OK) == 0;

	(void)c, (void)words;
	print_of("Routes:", routes, 1000);
	print_of("NAT rules:", has_iptables ? rules : nft, NAT_LINES);
	print_of("Interfaces:", links, 1000);
	return EXIT_DONE;
}

/* --- start --- */

static int start(const struct routing_call *c, char **words)
{
	const char *key = NULL, *client = NULL;

	for (char **word = words + 2; *word; word++) {
		if (strcmp(*word, "--client") == 0 && word[1])
			client = *++word;
		else if (!key && **word != '-')
			key = *word;
		else
			return routing_complain(c, ERR_FORMAT,
						"start takes HOST PORT [API_KEY] "
						"[--client PROGRAM]");
	}
	return routing_start(c, words[0], words[1], key, client);
}

static int help(const struct routing_call *c, char **words)
{
	(void)words;
	print_usage(c, stdout);
	return EXIT_DONE;
}

static const struct verb {
	const char *name;
	int min_words;
	int max_words;
	bool needs_root;
	int (*run)(const struct routing_call *c, char **words);
} verbs[] = {
	{ "backup", 0, 0, true, backup }, { "restore", 0, 0, true, restore },
	{ "setup", 0, 0, true, setup },	  { "start", 2, 5, true, start },
	{ "test", 2, 2, false, test },	  { "show", 0, 0, false, show },
	{ "help", 0, 0, false, help },	  { "--help", 0, 0, false, help },
	{ "-h", 0, 0, false, help },
};

static const struct verb *find(const char *word)
{
	for (size_t i = 0; word && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(word, verbs[i].name) == 0)
			return &verbs[i];
	}
	return NULL;
}

int cmd_routing(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	struct routing_call c = { .program = "culvert routing" };
	const struct verb *v = argc > 1 ? find(argv[1]) : NULL;

	if (strncmp(name, "setup-routing", strlen("setup-routing")) == 0)
		c = (struct routing_call){ .program = "setup-routing", .is_old = true };
	if (!v || argc - 2 < v->min_words || argc - 2 > v->max_words) {
		print_usage(&c, c.is_old ? stdout : stderr);
		return c.is_old ? EXIT_FAILED : EXIT_USAGE;
	}
	if (v->needs_root && geteuid() != 0)
		return routing_complain(&c, -EPERM, "this must be run as root");
	return v->run(&c, argv + 2);
}
