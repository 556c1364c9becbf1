/* SPDX-License-Identifier: Apache-2.0 */
/**
 * forwarding.h - Make this host forward packets, and be able to take it back exactly
 *
 * Switching forwarding on moves more than one switch: the kernel changes every interface
 * along with it, starts to ignore router advertisements (and a host that got its own IPv6
 * route from one would lose it), and changes how it takes redirects. All of these are
 * written down first, and the ones that would hurt are set so that nothing changes. So is one
 * that the kernel's WireGuard moves: whether the host sends redirects.
 *
 * Source:  ip-sysctl in the kernel's documentation; addrconf_fixup_forwarding() keeps
 *	    routes of advertisements only where accept_ra is 2.
 * Threads: one. All calls concern the network namespace of the caller.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "host/journal.h"

/**
 * forwarding_note() - Write the settings of today into the journal, for @netns
 *
 * Leaves out what is on already, and what another holder noted before.
 * Save the journal before the next call.
 */
int forwarding_note(struct journal *j, uint64_t netns, struct diag *d);

/**
 * forwarding_enable() - Switch on what is off
 *
 * A kernel without IPv6 is no error. Return: 0; -EROFS and others with a sentence in @d.
 */
int forwarding_enable(struct diag *d);

/**
 * forwarding_restore() - Give every noted setting of @netns its old value
 *
 * Settings of interfaces that are gone are skipped. Goes on after a failure.
 * Return: 0, or the first failure with a sentence in @d.
 */
int forwarding_restore(const struct journal *j, uint64_t netns, struct diag *d);
