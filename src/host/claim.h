/* SPDX-License-Identifier: Apache-2.0 */
/**
 * claim.h - One gateway's entry in the journal, from its start to its end
 *
 * Taking a claim first finishes what gateways that were killed left behind: their
 * processes, their firewall table and, when nobody uses them any more, the host's settings.
 *
 * Threads: one.
 */
#pragma once

#include <stdint.h>

#include <sys/types.h>

#include "base/err.h"

/** struct claim - All zeroes holds nothing. @dir, @interface are borrowed */
struct claim {
	const char *dir;
	const char *interface;
	uint64_t netns;
	uint64_t started;
	pid_t pid;
};

/**
 * claim_take() - Clean up after the dead, then enter @interface and today's settings
 * @dir:	RUN_DIR, the same for everybody on the host
 *
 * Return: 0; -EEXIST when a living gateway has @interface; otherwise as journal_open() and
 *	   forwarding_note(). With a sentence in @d.
 */
int claim_take(struct claim *c, const char *dir, const char *interface, struct diag *d);

/* Switch forwarding on; see forwarding_enable(). */
int claim_forwarding(const struct claim *c, struct diag *d);

/* Enter a process that must not outlive this one. Failure leaves less to clean up with. */
int claim_add_child(const struct claim *c, pid_t pid);

/** claim_release() - Leave; the last one of the namespace puts the settings back */
int claim_release(struct claim *c, struct diag *d);
