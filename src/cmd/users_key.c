/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert users-key: the server's key in the users' tree. Started by the host process (host/tree_key.h), with
 * whom it speaks on descriptor 3: it reads the gateway's key, or nothing, and says the tree's, or nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/gateway_users.h"
#include "cmd/local_api.h"
#include "cmd/options.h"
#include "cmd/role.h"
#include "cmd/serving.h"
#include "gateway/server_keys.h"
#include "sys/clock.h"

enum { HOST_FD = 3 };

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "state directory", NULL },
	{ "listen", "URL", NULL, NULL, NULL, NULL },
	SERVING_ROWS,
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway: %s\n", what);
	return code;
}

static int code_of(int err)
{
	switch (err) {
	case ERR_AUTH:
	case -EACCES:
	case -EPERM:
		return EXIT_PRIVILEGE;
	case ERR_FORMAT:
	case ERR_RANGE:
	case ERR_KEY:
	case ERR_CORRUPT:
		return EXIT_REFUSED;
	default:
		return EXIT_FAILED;
	}
}

/* Return: 0 with *@ret_is_there false when nothing was said. */
static int read_own(struct secret_key *ret, bool *ret_is_there)
{
	char text[KEY_BASE64_LEN + 1];
	size_t len = 0;
	ssize_t n;
	int err = 0;

	while (len < sizeof(text) && (n = read(HOST_FD, text + len, sizeof(text) - len)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			len += (size_t)n;
	}
	*ret_is_there = len > 0;
	if (len > 0)
		err = key_from_base64(text, len, ret->b);
	secret_wipe(text, sizeof(text));
	return err;
}

static int say(const struct secret_key *key)
{
	char text[KEY_BASE64_LEN + 1];
	ssize_t n;

	key_to_base64(key->b, text);
	n = write(HOST_FD, text, KEY_BASE64_LEN);
	secret_wipe(text, sizeof(text));
	return n == KEY_BASE64_LEN ? 0 : -EPIPE;
}

static int agree(const struct options *o, const struct secret_key *own, struct secret_key *ret,
		 bool *ret_is_there, struct diag *d)
{
	char store[GATEWAY_USERS_STORE_MAX];
	struct params *p = NULL;
	int err = gateway_users_store(o, options_get(o, "state"), store, d);

	if (err == 0)
		err = params_open(store, &p, d);
	if (err == 0)
		err = server_keys_agree(p, own, clock_wall_ns() / 1000000000, ret, ret_is_there,
					d);
	params_free(p);
	return err;
}

/* Who has a key can serve with it while the tree is out of reach; the gateway process looks again. */
static int run(const struct options *o)
{
	struct secret_key own, key = { { 0 } };
	struct diag d = { .text = "" };
	bool has_own = false, is_there = false;
	int err = read_own(&own, &has_own);

	if (err == 0)
		err = agree(o, has_own ? &own : NULL, &key, &is_there, &d);
	if (err == -EAGAIN && has_own) {
		fprintf(stderr,
			"culvert gateway: the users' tree is not reached, its key not known: %s\n",
			d.text);
		err = 0;
	}
	if (err == 0 && is_there)
		err = say(&key);
	secret_key_done(&own);
	secret_key_done(&key);
	return err ? complain(code_of(err), d.text[0] ? d.text : err_text(err)) : EXIT_DONE;
}

int role_users_key(int argc, char **argv)
{
	struct options o = { .command = "users-key",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct diag d = { .text = "" };
	int code;

	json_set_alloc_funcs(malloc, local_api_wipe_and_free);
	if (options_read_arguments(&o, argc, argv, &d) != 0 || !options_get(&o, "state"))
		code = complain(EXIT_USAGE,
				d.text[0] ? d.text : "started by 'culvert gateway'");
	else
		code = run(&o);
	options_done(&o);
	return code;
}
