/* SPDX-License-Identifier: Apache-2.0 */
/**
 * listeners.h - The sockets a proxy listens on
 *
 * Threads: none here.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"

/**
 * listeners_open() - Listen at @at
 *
 * The IPv6 wildcard takes IPv4 as well; where there is no IPv6 it stands for the IPv4 wildcard alone.
 *
 * Return: a socket that does not block; -EADDRINUSE and the like, with a sentence in @d.
 */
int listeners_open(const struct endpoint *at, struct diag *d);

/** listeners_address() - Where a socket really listens. Return: 0 or -errno */
int listeners_address(int fd, struct endpoint *ret);
