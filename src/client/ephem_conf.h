/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ephem_conf.h - A configuration that a gateway sent, before it becomes a file of ours
 *
 * wg-quick runs what PostUp and its like say, as root: a gateway has no business there.
 *
 * Threads: none here.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

/**
 * ephem_conf_check() - Is it a client's configuration, without commands?
 *
 * Return: 0; ERR_FORMAT, ERR_RANGE (it names programs to run, or wants to be written over), ERR_LIMIT,
 *	   -ENOMEM; with a sentence in @d.
 */
int ephem_conf_check(const char *text, size_t len, struct diag *d);
