/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_status.h - A local socket on which a proxy tells what it has done
 *
 * Whoever connects and says something gets metrics in the text format of Prometheus, as a response of HTTP:
 * `curl --unix-socket PATH http://proxy/metrics`. What they say does not matter.
 *
 * Threads: one.
 */
#pragma once

#include "base/err.h"
#include "base/text.h"

/**
 * proxy_status_open() - Listen at @path, for the process's own user
 *
 * A socket that a process left behind is replaced. Return: a socket; -EADDRINUSE when somebody answers
 * there, -ENAMETOOLONG, -errno, with a sentence in @d.
 */
int proxy_status_open(const char *path, struct diag *d);

/** proxy_status_answer() - Take one connection and give it @body; waits a fifth of a second at most */
void proxy_status_answer(int listener, const struct text *body);
