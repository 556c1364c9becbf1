/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access_name.h - An access list of a running gateway, by its name
 */
#pragma once

#include <jansson.h>

#include "base/err.h"

/**
 * access_name_all() - Every list there is
 * @state:	The gateway's directory
 * @ret:	An array; the caller owns it
 *
 * Return: EXIT_DONE; or as local_api_ask().
 */
int access_name_all(const char *state, json_t **ret, struct diag *d);

/** access_name_find() - EXIT_REFUSED: there is none of that name. @ret: owned */
int access_name_find(const char *state, const char *name, json_t **ret, struct diag *d);
