/* SPDX-License-Identifier: Apache-2.0 */
/**
 * users.h - The users' API: who calls it, and what its routes share
 *
 * Threads: the main loop's.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

struct call;
struct user;
struct users_secrets;

/**
 * users_authenticate() - The master key, or, unless @needs_master, a user's own
 *
 * Return: false: the call has been answered.
 */
bool users_authenticate(struct call *call, bool needs_master);

/** users_json() - A user, as shown. Return: NULL: no memory, or the peer was removed a moment ago */
json_t *users_json(const struct call *call, const struct user *user,
		   const struct users_secrets *secrets);

/** users_fail() - Answer with what users_create() and the like came to */
void users_fail(struct call *call, int err);

void users_enroll_route(struct call *call); /* POST /enroll */
