/* SPDX-License-Identifier: Apache-2.0 */
/**
 * networks.h - How many peers have a network behind them
 *
 * An interface gives each network to one peer: of two that ask for the same, the last would have it,
 * and after a restart perhaps the other. So each is counted, and one that is had is refused. Networks
 * that lie within each other are no matter: the longer prefix decides.
 *
 * Bounds:  those of the texts that are counted.
 * Threads: none here.
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"

struct networks;

int networks_new(struct networks **ret);	    /* 0 or -ENOMEM */
struct networks *networks_free(struct networks *n); /* takes NULL, returns NULL */

/** networks_claim() - One more has it. Return: 0; -ENOMEM: it is not counted */
int networks_claim(struct networks *n, const struct ip_prefix *p);
/** networks_release() - One fewer; nothing when nobody had it */
void networks_release(struct networks *n, const struct ip_prefix *p);

size_t networks_count(const struct networks *n, const struct ip_prefix *p);
