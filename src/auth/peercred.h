/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peercred.h - Callers on the local socket, known by what the kernel says of them
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "auth/principal.h"

/**
 * peercred_judge() - May this process speak to us?
 * @caller:	From SO_PEERCRED
 * @own:	The user we run as
 *
 * The superuser and our own user may; nobody else.
 *
 * Return: 0, or ERR_AUTH.
 */
int peercred_judge(const struct ucred *caller, uid_t own, struct principal *ret);
