/* SPDX-License-Identifier: Apache-2.0 */
/**
 * running.h - Interfaces that run: where they listen, and a way in
 */
#pragma once

#include <stdbool.h>

#include "iface/snapshot.h"

/**
 * running_open() - An interface behind a UAPI socket: of `awg`'s directory, else of `wg`'s
 * @name:	Of the interface
 *
 * Return: 0 and the connected interface; -ENOENT (no socket of that name), -ECONNREFUSED (nobody
 *	   listens there), -EACCES, -errno; with the reason in @d.
 */
int running_open(const char *name, struct iface **ret, struct diag *d);

/** running_exists() - Is there a socket of that name, whether or not it answers? */
bool running_exists(const char *name);
