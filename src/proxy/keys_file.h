/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keys_file.h - Lines "ID HASH": who may use the proxy, in a file
 *
 * HASH is the SHA-256 of a key, 64 hex digits, with or without "sha256:" before them. Empty lines, and lines
 * that begin with '#', say nothing. A file with one wrong line is refused whole.
 *
 * Threads: none here.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "proxy/keys.h"

enum { KEYS_FILE_MAX = 16 << 20 };

/** keys_file_check() - Is it right? Return: how many keys it has; ERR_FORMAT, with the line in @d */
long keys_file_check(const char *text, size_t len, struct diag *d);

/**
 * keys_file_apply() - Make @k what a file says that was checked
 *
 * Return: 0; ERR_LIMIT, -ENOMEM with a part of it in force and nobody locked out.
 */
int keys_file_apply(const char *text, size_t len, struct proxy_keys *k);
