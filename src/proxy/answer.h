/* SPDX-License-Identifier: Apache-2.0 */
/**
 * answer.h - What a client that gets no tunnel is told
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>

#include "proxy/counters.h"

enum { ANSWER_MAX = 1024 };

/**
 * answer_write() - A whole response that ends the connection
 * @status:	400, 403, 405, 407, 408, 429, 431, 502, 503, 504 or 505
 * @why:	One line of the body; cut where it is long
 *
 * Return: its length.
 */
size_t answer_write(int status, const char *why, char out[ANSWER_MAX]);

/** answer_count() - What is counted with that status */
enum proxy_count answer_count(int status);
