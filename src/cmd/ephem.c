/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ephem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ephem_conf.h"
#include "cmd/command.h"
#include "cmd/output.h"
#include "crypto/secret.h"
#include "http/json.h"

enum { SAID_MAX = 4096, ANSWER_SAID_MAX = 2048 };

static const struct option_row rows[] = {
	{ "dir", "DIR", NULL, NULL, "instead of .ephem-vpn in the home directory", NULL },
	{ "insecure", NULL, NULL, NULL, "plain HTTP to another machine, anybody's to read",
	  NULL },
	{ "ca", "FILE", NULL, NULL, "certificates to trust instead of the system's", NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
	/* Last, as only setup has them: */
	{ "token", "TOKEN", NULL, NULL, "instead of a key; the same as enroll", NULL },
	{ "name", "NAME", NULL, NULL, "with --token: become a user of this name", NULL },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), ROWS_OF_TOKEN = 2 };

/* --- What is said --- */

/* A gateway's words on a terminal: no escape sequences, neither of one octet nor of two. */
static void put_visible(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];

		if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			text++;
		else if (c >= ' ' && c != 0x7f)
			putc(c, out);
		else
			putc(' ', out);
	}
}

void ephem_say_failure(const struct ephem_call *c, const char *format, ...)
{
	char text[SAID_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fputs("✗ ", c->complaints);
	put_visible(c->complaints, text);
	putc('\n', c->complaints);
}

int ephem_code(const struct ephem_call *c, int err)
{
	if (err == 0)
		return EXIT_DONE;
	if (c->is_old)
		return EXIT_FAILED;
	switch (err) {
	case ERR_FORMAT:
	case ERR_RANGE:
		return EXIT_REFUSED;
	case -EPERM:
	case -EACCES:
		return EXIT_PRIVILEGE;
	default:
		return EXIT_FAILED;
	}
}

int ephem_check_id(const struct ephem_call *c, const char *id)
{
	if (ephem_id_ok(id))
		return EXIT_DONE;
	ephem_say_failure(c, "%.100s is no name: 1 to 64 of A-Z a-z 0-9 . _ -, not first a dot",
			  id);
	return ephem_code(c, ERR_RANGE);
}

/* --- Secrets --- */

int ephem_get_secret(const char *word, char out[EPHEM_KEY_MAX])
{
	if (strcmp(word, "-") != 0) {
		snprintf(out, EPHEM_KEY_MAX, "%s", strlen(word) < EPHEM_KEY_MAX ? word : "");
		return ephem_key_ok(out) ? 0 : ERR_RANGE;
	}
	if (!fgets(out, EPHEM_KEY_MAX, stdin))
		return ERR_RANGE;
	out[strcspn(out, "\r\n")] = '\0';
	return ephem_key_ok(out) ? 0 : ERR_RANGE;
}

/* --- Asking --- */

static int refuse_status(const struct ephem_call *c, const char *failure, long status,
			 const struct text *answer)
{
	const char *text = answer->data && answer->len ? answer->data : "no words";

	if (c->is_old) {
		ephem_say_failure(c, "%s: %s: %.*s", failure, failure, ANSWER_SAID_MAX, text);
	} else {
		json_t *json = NULL;
		const char *detail;

		json_parse(text, strlen(text), &json, NULL);
		detail = json_string_value(json_object_get(json, "detail"));
		ephem_say_failure(c, "%s: %.*s", failure, ANSWER_SAID_MAX,
				  detail ? detail : text);
		json_decref(json);
	}
	if (c->is_old || status >= 500)
		return EXIT_FAILED;
	return status == 401 || status == 403 ? EXIT_PRIVILEGE : EXIT_REFUSED;
}

static int judge(const struct ephem_call *c, const char *failure, long status,
		 const struct text *answer, json_t **ret)
{
	json_t *json = NULL;

	if (status != 200)
		return refuse_status(c, failure, status, answer);
	if (json_parse(answer->data ? answer->data : "", answer->len, &json, NULL) != 0 ||
	    !json_is_object(json)) {
		json_decref(json);
		ephem_say_failure(c, "%s: the gateway's answer is not understood", failure);
		return EXIT_FAILED;
	}
	*ret = json;
	return EXIT_DONE;
}

int ephem_call_api(const struct ephem_call *c, const char *method, const char *path,
		   const json_t *body, const char *failure, json_t **ret)
{
	struct text text = { .data = NULL }, answer = { .data = NULL };
	struct ephem_request r = {
		.method = method,
		.base = c->setup.url,
		.path = path,
		.key = c->setup.key[0] ? c->setup.key : NULL,
		.ca_file = c->setup.ca_file,
		.is_insecure = c->setup.is_insecure,
	};
	struct diag d = { .text = "" };
	long status = 0;
	int err = body ? json_write(body, &text) : 0, code;

	r.body = body ? text.data : NULL;
	if (!err)
		err = ephem_ask(&r, &status, &answer, &d);
	if (err) {
		ephem_say_failure(c, "%s: %s", failure, d.text[0] ? d.text : err_text(err));
		code = ephem_code(c, err);
	} else {
		code = judge(c, failure, status, &answer, ret);
	}
	text_done(&text);
	text_done(&answer);
	return code;
}

/* --- Saving --- */

int ephem_save_key(struct ephem_call *c, const char *id, const json_t *user, struct diag *d)
{
	const char *key = json_string_value(json_object_get(user, "api_key"));
	char path[PATH_MAX], line[EPHEM_KEY_MAX + 2];
	int err;

	if (!key || !ephem_key_ok(key))
		return 0;
	snprintf(line, sizeof(line), "%s\n", key);
	err = ephem_state_save(&c->state, id, "key", line, strlen(line), path, d);
	secret_wipe(line, sizeof(line));
	return err;
}

int ephem_save_user(struct ephem_call *c, const char *id, const json_t *user,
		    const char *failure, char ret_path[PATH_MAX])
{
	const char *conf = json_string_value(json_object_get(user, "client_config"));
	struct diag d = { .text = "" };
	int err = ERR_UNKNOWN;

	if (conf)
		err = ephem_conf_check(conf, strlen(conf), &d);
	else
		diag_set(&d, err, 0,
			 "the gateway has no configuration of %s: its private key is kept "
			 "where it was made",
			 id);
	if (!err)
		err = ephem_state_save(&c->state, id, "conf", conf, strlen(conf), ret_path, &d);
	if (!err)
		err = ephem_save_key(c, id, user, &d);
	if (err)
		ephem_say_failure(c, "%s: %s", failure, d.text);
	return ephem_code(c, err);
}

/* --- The command line --- */

static const char *verb_name(const struct ephem_call *c)
{
	const char *space = strrchr(c->program, ' ');

	return space ? space + 1 : c->program;
}

static void print_usage(const struct ephem_call *c, const struct ephem_verb *v, FILE *out)
{
	fprintf(out, "Usage: %s %s%s[OPTIONS]\n", c->program, v->arguments,
		*v->arguments ? " " : "");
}

static int complain_of_usage(const struct ephem_call *c, const struct ephem_verb *v,
			     const char *why)
{
	if (*why)
		fprintf(c->complaints, "%s: %s\n", c->program, why);
	print_usage(c, v, c->complaints);
	return c->is_old ? EXIT_FAILED : EXIT_USAGE;
}

static int read_setup(struct ephem_call *c, const struct ephem_verb *v, struct diag *d)
{
	const char *ca = options_get(&c->line.options, "ca");
	int err = 0;

	if (v->needs_setup)
		err = ephem_state_read_setup(&c->state, &c->setup, d);
	if (!err && options_get(&c->line.options, "insecure"))
		c->setup.is_insecure = true;
	if (!err && ca && !realpath(ca, c->setup.ca_file))
		err = diag_set(d, -errno, 0, "--ca %.200s: %s", ca, err_text(-errno));
	return err;
}

static int say_not_set_up(const struct ephem_call *c)
{
	fprintf(c->complaints,
		"ERROR: Not set up yet...\n"
		"Say where the gateway is: %.*s setup <api-url> <master-key>\n",
		(int)(verb_name(c) - c->program - 1), c->program);
	return EXIT_FAILED;
}

static int run(struct ephem_call *c, const struct ephem_verb *v)
{
	const char *path = options_get(&c->line.options, "dir");
	struct diag d = { .text = "" };
	int err = ephem_state_open(path, v->makes_state, &c->state, &d);

	if (!err)
		err = read_setup(c, v, &d);
	if (err == -ENOENT && v->needs_setup)
		return say_not_set_up(c);
	if (err && !(err == -ENOENT && !v->makes_state)) {
		ephem_say_failure(c, "%s", d.text);
		return ephem_code(c, err);
	}
	return v->run(c);
}

int ephem_run(const struct ephem_verb *verb, int argc, char **argv)
{
	struct ephem_call c = {
		.line.options = { .command = "client",
				  .rows = rows,
				  .n = verb->takes_token ? ROWS : ROWS - ROWS_OF_TOKEN },
		.program = argv[0],
		.is_old = strncmp(argv[0], "vpn-client", strlen("vpn-client")) == 0,
		.state.dir = -1,
	};
	struct diag d = { .text = "" };
	int code;

	c.complaints = c.is_old ? stdout : stderr;
	if (local_command_words(&c.line, argc, argv, &d) != 0) {
		code = complain_of_usage(&c, verb, d.text);
	} else if (c.line.options.wants_help) {
		print_usage(&c, verb, stdout);
		printf("\n%s\n", verb->help);
		options_print_help(&c.line.options, stdout);
		code = EXIT_DONE;
	} else if (c.line.n_words < verb->min_words || c.line.n_words > verb->max_words ||
		   (verb->is_complete && !verb->is_complete(&c))) {
		code = complain_of_usage(&c, verb, "");
	} else {
		c.json = options_get(&c.line.options, "json") != NULL;
		code = run(&c, verb);
	}
	ephem_state_close(&c.state);
	secret_wipe(&c.setup, sizeof(c.setup));
	options_done(&c.line.options);
	return code;
}
