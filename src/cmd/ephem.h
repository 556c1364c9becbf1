/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ephem.h - What the commands of a client of the users' API have in common
 *
 * setup, create, pull, list and enroll have the texts of the ephemeral client. Called by that
 * program's name (argv[0] is "vpn-client …") they print all of them on standard output, as it does, and a
 * wrong command line is exit code 1; else failures are on standard error, and that is EXIT_USAGE.
 */
#pragma once

#include <jansson.h>

#include "client/ephem_http.h"
#include "client/ephem_state.h"
#include "cmd/local_command.h"

/**
 * struct ephem_call - One call of one command
 * @complaints:	Where failures are told
 * @state:	Open while the command runs
 * @setup:	Read before it runs, if it needs that
 */
struct ephem_call {
	struct local_command line;
	const char *program;
	bool is_old;
	bool json;
	FILE *complaints;
	struct ephem_state state;
	struct ephem_setup setup;
};

/**
 * struct ephem_verb - One command
 * @arguments:	For the usage: "NAME"
 * @help:	What it does, sentences with their newlines
 * @min_words, @max_words: Besides options
 * @is_complete: Are they what is wanted, with the options there are? NULL: yes
 * @takes_token: --token and --name are its options
 * @makes_state: The directory need not be there yet
 */
struct ephem_verb {
	const char *arguments;
	const char *help;
	int min_words;
	int max_words;
	bool (*is_complete)(const struct ephem_call *c);
	bool makes_state;
	bool takes_token;
	bool needs_setup;
	int (*run)(struct ephem_call *c);
};

/** ephem_run() - Read the command line and run @verb. Return: an enum command_exit */
int ephem_run(const struct ephem_verb *verb, int argc, char **argv);

/** ephem_say_failure() - "✗ " and what went wrong; octets that steer a terminal are not printed */
__attribute__((format(printf, 2, 3))) void ephem_say_failure(const struct ephem_call *c,
							     const char *format, ...);

/** ephem_code() - The exit code that @err means */
int ephem_code(const struct ephem_call *c, int err);

/** ephem_get_secret() - @word, or for "-" the first line of standard input. Return: 0; ERR_RANGE: no key */
int ephem_get_secret(const char *word, char out[EPHEM_KEY_MAX]);

/**
 * ephem_call_api() - Ask the gateway that @c->setup names
 * @failure:	"Failed to create user"; stands before what went wrong
 * @ret:	An object, owned
 *
 * Return: EXIT_DONE; else what to exit with, and it has been said.
 */
int ephem_call_api(const struct ephem_call *c, const char *method, const char *path,
		   const json_t *body, const char *failure, json_t **ret);

/**
 * ephem_save_user() - The configuration of a reply, and the key if it has one
 *
 * Return: EXIT_DONE with the file's path; else what to exit with, and it has been said.
 */
int ephem_save_user(struct ephem_call *c, const char *id, const json_t *user,
		    const char *failure, char ret_path[PATH_MAX]);

/** ephem_save_key() - The user's own key, if the reply has one, as ID.key. Return: 0, or an error with a
 *  sentence in @d */
int ephem_save_key(struct ephem_call *c, const char *id, const json_t *user, struct diag *d);

/** ephem_enroll() - Become a user of the gateway at @url. @name: NULL: the token says. Return: an enum
 *  command_exit; everything has been said */
int ephem_enroll(struct ephem_call *c, const char *url, const char *token, const char *name);

/** ephem_check_id() - Return: EXIT_DONE, or it has been said that @id can be nobody's */
int ephem_check_id(const struct ephem_call *c, const char *id);
