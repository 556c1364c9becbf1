/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert enroll: become a user of a gateway with a token. The key pair is made here, and no master key
 * is ever needed on this machine.
 */
#include <stdio.h>
#include <string.h>

#include "client/ephem_conf.h"
#include "cmd/command.h"
#include "cmd/ephem.h"
#include "cmd/peer_key.h"
#include "cmd/role.h"

static const char failure[] = "Failed to enroll";

/* struct enrolled - One who has become a user */
struct enrolled {
	const char *id;
	struct secret_key key;
	char path[PATH_MAX];
	bool is_set_up; /* setup.json is of this user now */
};

static int fail(const struct ephem_call *c, int err, const char *why)
{
	ephem_say_failure(c, "%s: %s", failure, why);
	return ephem_code(c, err);
}

/* Before the token is used up. */
static int check(struct ephem_call *c, const char *url, const char *name)
{
	struct diag d = { .text = "" };
	char path[PATH_MAX];
	int err = ephem_url_check(url, c->setup.is_insecure, &d);

	if (err)
		return fail(c, err, d.text);
	if (strlen(url) >= sizeof(c->setup.url))
		return fail(c, ERR_RANGE, "the URL is too long");
	memcpy(c->setup.url, url, strlen(url) + 1);
	if (name && ephem_check_id(c, name) != EXIT_DONE)
		return ephem_code(c, ERR_RANGE);
	if (name && ephem_state_has(&c->state, name, "conf", path)) {
		ephem_say_failure(c,
				  "%s: %s is there already: move it away, or take another name",
				  failure, path);
		return ephem_code(c, ERR_RANGE);
	}
	return EXIT_DONE;
}

static int ask(struct ephem_call *c, const char *token, const char *name,
	       struct secret_key *key, json_t **ret)
{
	char public_key[KEY_BASE64_LEN + 1], secret[EPHEM_KEY_MAX] = "";
	json_t *body;
	int code;

	if (ephem_get_secret(token, secret) != 0)
		return fail(c, ERR_RANGE, "this is no token");
	code = peer_key_make(key, public_key);
	body = json_pack("{s:s, s:s}", "token", secret, "public_key", public_key);
	if (body && name)
		json_object_set_new(body, "client_id", json_string(name));
	if (code == EXIT_DONE)
		code = body ? ephem_call_api(c, "POST", "/enroll", body, failure, ret)
			    : EXIT_FAILED;
	json_decref(body);
	secret_wipe(secret, sizeof(secret));
	return code;
}

/* An operator's own setup stays what it is. */
static int set_up(struct ephem_call *c, struct enrolled *e, const json_t *user, struct diag *d)
{
	const char *key = json_string_value(json_object_get(user, "api_key"));
	char path[PATH_MAX];

	if (ephem_state_has(&c->state, "setup", "json", path))
		return 0;
	e->is_set_up = true;
	c->setup.is_user = true;
	snprintf(c->setup.id, sizeof(c->setup.id), "%s", e->id);
	snprintf(c->setup.key, sizeof(c->setup.key), "%s", key ? key : "");
	return ephem_key_ok(c->setup.key) ? ephem_state_write_setup(&c->state, &c->setup, d)
					  : 0;
}

static int save(struct ephem_call *c, struct enrolled *e, const json_t *user)
{
	struct text conf = { .data = NULL };
	struct diag d = { .text = "" };
	int err;

	e->id = json_string_value(json_object_get(user, "client_id"));
	if (!e->id || !ephem_id_ok(e->id))
		return fail(c, ERR_FORMAT, "the gateway's answer is not understood");
	err = ephem_conf_make(e->id, json_object_get(user, "configuration"), &e->key, &conf,
			      &d);
	if (!err)
		err = ephem_state_save_new(&c->state, e->id, "conf", conf.data, conf.len,
					   e->path, &d);
	if (!err)
		err = ephem_save_key(c, e->id, user, &d);
	if (!err)
		err = set_up(c, e, user, &d);
	text_done(&conf);
	return err ? fail(c, err, d.text) : EXIT_DONE;
}

static int print(const struct ephem_call *c, const struct enrolled *e)
{
	json_t *json;
	bool is_well;

	if (!c->json) {
		printf("Configuration saved to: %s\n"
		       "✓ User '%s' enrolled and configuration saved!\n"
		       "Configuration file: %s\n",
		       e->path, e->id, e->path);
		return EXIT_DONE;
	}
	json = json_pack("{s:s, s:s, s:b}", "client_id", e->id, "file", e->path, "set_up",
			 (int)e->is_set_up);
	is_well = json && local_command_print(json);
	json_decref(json);
	return is_well ? EXIT_DONE : EXIT_FAILED;
}

int ephem_enroll(struct ephem_call *c, const char *url, const char *token, const char *name)
{
	struct enrolled e = { .id = NULL };
	json_t *user = NULL;
	int code = check(c, url, name);

	if (code == EXIT_DONE)
		code = ask(c, token, name, &e.key, &user);
	if (code == EXIT_DONE)
		code = save(c, &e, user);
	if (code == EXIT_DONE)
		code = print(c, &e);
	secret_key_done(&e.key);
	json_decref(user);
	return code;
}

static int enroll(struct ephem_call *c)
{
	return ephem_enroll(c, c->line.words[0], c->line.words[1],
			    c->line.n_words > 2 ? c->line.words[2] : NULL);
}

static const struct ephem_verb verb = {
	.arguments = "<api-url> <token> [<client-id>]",
	.help = "Becomes a user of the gateway with a token that its operator made, once. The private\n"
		"key is made here and never sent. - reads the token from standard input.\n",
	.min_words = 2,
	.max_words = 3,
	.makes_state = true,
	.run = enroll,
};

int role_enroll(int argc, char **argv)
{
	return ephem_run(&verb, argc, argv);
}
