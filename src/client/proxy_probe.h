/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_probe.h - Does the proxy let us through? Asked before anything of the host is changed
 *
 * Threads: any; it waits.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "usernet/usernet.h"

/**
 * proxy_probe() - Ask for a tunnel to the first resolver of @options, and hang up
 * @wait_ns:	At most so long
 *
 * Return: 0; -EKEYREJECTED: it wants a key, or another one; -EACCES: it does not let us to that
 *	   destination; -ENETUNREACH: it is not there; -ETIMEDOUT; -EPROTO: it speaks something else;
 *	   another -errno: what way_go_on() has. The sentence is in @d.
 */
int proxy_probe(const struct usernet_options *options, uint64_t wait_ns, struct diag *d);
