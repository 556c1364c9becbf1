/* SPDX-License-Identifier: Apache-2.0 */
/* culvert keys server: one run that leaves a server's key pair in a tree of parameters. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <jansson.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/options.h"
#include "cmd/role.h"
#include "crypto/secret.h"
#include "gateway/server_keys.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { CONFIG_MAX = 65536, STORE_MAX = PARAMS_NAME_MAX + 8 };

static const struct option_row option_rows[] = {
	{ "store", "STORE", NULL, NULL,
	  "dir:PATH or ssm:PREFIX; else ssm: and SSM_PREFIX, the file's, /ephem-vpn", NULL },
	{ "config", "FILE", NULL, NULL,
	  "keygen-config.json: act only when it is another than at the last run", NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert keys server: %s\n", what);
	return code;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int read_config(struct server_keys_config *c, const char *path, struct diag *d)
{
	char *text = malloc(CONFIG_MAX);
	size_t len = 0;
	int err = text ? file_read_named(path, text, CONFIG_MAX, &len) : -ENOMEM;

	if (err)
		diag_set(d, err, 0, "%s: %s", path, err_text(err));
	else
		err = server_keys_config_read(c, text, len, d);
	free(text);
	return err;
}

/* What the environment says counts more than the file. */
static int read_environment(struct server_keys_config *c, struct diag *d)
{
	const char *prefix = variable("SSM_PREFIX"), *algorithm = variable("KEY_ALGORITHM");
	const char *purpose = variable("KEY_PURPOSE");
	int err = 0;

	if (prefix && (prefix[0] != '/' || !params_name_ok(prefix + 1)))
		return diag_set(d, ERR_RANGE, 0, "SSM_PREFIX looks like /ephem-vpn");
	if (prefix)
		snprintf(c->prefix, sizeof(c->prefix), "%s", prefix);
	if (algorithm)
		err = server_keys_check_algorithm(algorithm, d);
	if (!err && purpose)
		err = server_keys_set_purpose(c, purpose, d);
	return err;
}

static bool print(enum server_keys_done done, const char *public_key, bool as_json)
{
	static const char *const words[] = {
		[SERVER_KEYS_UNCHANGED] = "unchanged",
		[SERVER_KEYS_RECORDED] = "recorded",
		[SERVER_KEYS_MADE] = "made",
	};
	json_t *json;
	bool is_well;

	if (!as_json)
		return printf("%s: public key %s\n", words[done], public_key) > 0;
	json = json_pack("{s:s, s:s}", "result", words[done], "public_key", public_key);
	is_well = json && local_command_print(json);
	json_decref(json);
	return is_well;
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
	case ERR_CORRUPT:
	case -ENOENT:
		return EXIT_REFUSED;
	default:
		return EXIT_FAILED;
	}
}

static int run(const struct options *o)
{
	const char *store = options_get(o, "store"), *path = options_get(o, "config");
	char public_key[KEY_BASE64_LEN + 1], own[STORE_MAX];
	struct diag d = { .text = "" };
	enum server_keys_done done;
	struct server_keys_config c;
	struct params *p = NULL;
	int err = 0;

	server_keys_config_init(&c);
	if (path)
		err = read_config(&c, path, &d);
	if (!err)
		err = read_environment(&c, &d);
	snprintf(own, sizeof(own), "ssm:%s", c.prefix);
	if (!err)
		err = params_open(store ? store : own, &p, &d);
	if (!err)
		err = server_keys_apply(p, &c, clock_wall_ns() / 1000000000, &done, public_key,
					&d);
	params_free(p);
	if (err)
		return complain(code_of(err), d.text[0] ? d.text : err_text(err));
	if (!print(done, public_key, options_get(o, "json") != NULL) || fflush(stdout) != 0)
		return complain(EXIT_FAILED,
				"the result cannot be written; the keys are there");
	return EXIT_DONE;
}

int role_keys_server(int argc, char **argv)
{
	struct options o = { .command = "keys server",
			     .rows = option_rows,
			     .n = sizeof(option_rows) / sizeof(option_rows[0]) };
	struct diag d = { .text = "" };
	int code;

	json_set_alloc_funcs(malloc, local_api_wipe_and_free);
	if (options_read_arguments(&o, argc, argv, &d) != 0) {
		code = complain(EXIT_USAGE, d.text);
	} else if (o.wants_help) {
		puts("Usage: culvert keys server [OPTIONS]\n\n"
		     "Makes a server's key pair and leaves it in a tree of parameters, whole or not at\n"
		     "all. KEY_ALGORITHM, KEY_PURPOSE, SSM_PREFIX and AWS_REGION are heeded.\n");
		options_print_help(&o, stdout);
		code = EXIT_DONE;
	} else {
		code = run(&o);
	}
	options_done(&o);
	return code;
}
