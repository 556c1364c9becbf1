/* SPDX-License-Identifier: Apache-2.0 */
/**
 * local_api.h - Asking a running gateway over its local socket
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"

/**
 * local_api_ask() - One request to the gateway whose state directory is @state
 * @body:	Borrowed; NULL for none
 * @ret:	The body of a success, owned by the caller
 *
 * Return: an enum command_exit: EXIT_REFUSED where the gateway refused the input,
 *	   EXIT_PRIVILEGE where it does not talk to us, EXIT_FAILED when it does not run or
 *	   cannot; with a sentence in @d.
 */
int local_api_ask(const char *state, const char *method, const char *path, const json_t *body,
		  json_t **ret, struct diag *d);

/**
 * local_api_send() - The same, whatever the gateway answers
 * @ret:	Its body is appended; text_done() in any case
 * @ret_status:	Of HTTP, where there was an answer
 *
 * Return: EXIT_DONE for any answer; else as local_api_ask().
 */
int local_api_send(const char *state, const char *method, const char *path, const json_t *body,
		   struct text *ret, long *ret_status, struct diag *d);

/**
 * local_api_judge() - What local_api_ask() makes of an answer
 *
 * Return: EXIT_DONE for a success, its body in *@ret, NULL where that is no JSON; else as
 *	   local_api_ask().
 */
int local_api_judge(const struct text *text, long status, json_t **ret, struct diag *d);

/* For json_set_alloc_funcs(): what held a key is wiped before it is freed. */
void local_api_wipe_and_free(void *p);
