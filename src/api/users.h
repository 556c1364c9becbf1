/* SPDX-License-Identifier: Apache-2.0 */
/**
 * users.h - Who calls the users' API
 *
 * Threads: the main loop's.
 */
#pragma once

#include <stdbool.h>

struct call;

/**
 * users_authenticate() - The master key, or, unless @needs_master, a user's own
 *
 * Return: false: the call has been answered.
 */
bool users_authenticate(struct call *call, bool needs_master);
