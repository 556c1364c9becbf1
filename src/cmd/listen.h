/* SPDX-License-Identifier: Apache-2.0 */
/**
 * listen.h - The sockets a gateway serves on
 *
 * One that the process before left on the shelf (cmd/shelf.h) comes before a new one.
 */
#pragma once

#include "base/err.h"
#include "cmd/serving.h"

enum { LISTEN_SHOWN_MAX = 128 };

/**
 * listen_open() - Listen where @place says
 * @ret_shown:	Gets the URL as it became, with the real port: for the ready line
 *
 * Return: a socket; -EADDRINUSE and the like, with what to do in @d.
 */
int listen_open(const struct serving_place *place, char ret_shown[LISTEN_SHOWN_MAX],
		struct diag *d);

/**
 * listen_local() - Listen on a local socket that only its owner may open
 *
 * A socket left by a process that is gone is replaced. Return: a socket; -EADDRINUSE when
 * somebody answers on it; -ENAMETOOLONG; -errno.
 */
int listen_local(const char *path, struct diag *d);
