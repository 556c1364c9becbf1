/* SPDX-License-Identifier: Apache-2.0 */
/**
 * listen.h - The sockets a gateway serves on
 */
#pragma once

#include "base/err.h"

/**
 * listen_url() - Listen on "http://127.0.0.1:8000", "http://[::1]:0", "http://localhost"
 * @ret_shown:	Gets the address as it became, with the real port: for the ready line
 *
 * Return: a socket; ERR_FORMAT (not such a URL), -EADDRINUSE and the like, with what to do
 *	   in @d.
 */
int listen_url(const char *url, char ret_shown[80], struct diag *d);

/** listen_check() - Is @url one for listen_url()? Return: 0; ERR_FORMAT with a sentence in @d */
int listen_check(const char *url, struct diag *d);

/**
 * listen_local() - Listen on a local socket that only its owner may open
 *
 * A socket left by a process that is gone is replaced. Return: a socket; -EADDRINUSE when
 * somebody answers on it; -ENAMETOOLONG; -errno.
 */
int listen_local(const char *path, struct diag *d);
