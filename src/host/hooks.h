/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hooks.h - Programs of the operator that the gateway may ask the host to run
 *
 * Rebooting, stopping, starting and wiping a machine is not the gateway's to do: an operator who wants
 * callers of the API to be able to names a program for it. The gateway asks by a number; which program
 * that is, and its arguments, are fixed when the host starts:
 *
 *	PATH reboot | PATH stop SERVICE | PATH start SERVICE | PATH wipe
 *
 * No shell, an environment of its own (host/child.h), no descriptor of ours, and no more rights than the
 * host has left. One runs at a time, HOOKS_MAX_IN_WINDOW of them in HOOKS_WINDOW_S seconds; one that takes
 * longer than HOOKS_TIMEOUT_S is killed. A reboot is answered at once and begins HOOKS_REBOOT_DELAY_S
 * later, so that the answer arrives.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "host/child.h"
#include "host/messages.h"

enum {
	HOOKS_TIMEOUT_S = 20,
	HOOKS_REBOOT_DELAY_S = 5,
	HOOKS_WINDOW_S = 60,
	HOOKS_MAX_IN_WINDOW = 3,
};

/* The programs; one may serve several actions of messages.h. */
enum hooks_program {
	HOOKS_REBOOT,
	HOOKS_STOP,
	HOOKS_START,
	HOOKS_WIPE,
	HOOKS_PROGRAMS,
};

/**
 * struct hooks - All zeroes but @paths is ready
 * @paths:	NULL: not allowed. Borrowed
 * @is_closed:	None is begun any more: this process is about to become another
 * @answers:	An answer waits for hooks_take_answer()
 */
struct hooks {
	const char *paths[HOOKS_PROGRAMS];
	struct child child;
	enum host_action action; /* of the one that runs or is due; 0: none */
	uint64_t serial;
	uint64_t due_ns;
	uint64_t kill_ns;
	uint64_t window_ns;
	unsigned int in_window;
	bool is_killed;
	bool is_closed;
	bool answers;
	uint64_t answer_serial;
	uint32_t answer_error;
};

/** hooks_check() - May @path be run? Whoever may change it decides what we run
 *
 * Return: 0; ERR_RANGE with a sentence in @d.
 */
int hooks_check(const char *path, struct diag *d);

/** hooks_actions() - 1 << enum host_action, for each that is allowed */
uint32_t hooks_actions(const struct hooks *h);

/**
 * hooks_ask() - The gateway wants @action
 *
 * Return: 0: hooks_take_answer() will tell; EPERM (not allowed), EBUSY (another one runs, or too many lately, or
 *	   @is_closed).
 */
uint32_t hooks_ask(struct hooks *h, enum host_action action, uint64_t serial, uint64_t now_ns);

/** hooks_tick() - Start what is due, kill what takes too long, bury what ended */
void hooks_tick(struct hooks *h, uint64_t now_ns);
uint64_t hooks_deadline_ns(
	const struct hooks *h); /* UINT64_MAX: nothing to wait for but its end */

/** hooks_take_answer() - @ret_error: 0, ETIMEDOUT, EIO (it ended with another status), -errno of its start */
bool hooks_take_answer(struct hooks *h, uint64_t *ret_serial, uint32_t *ret_error);

/** hooks_is_idle() - None runs or is due, and every answer was taken */
bool hooks_is_idle(const struct hooks *h);

void hooks_stop(struct hooks *h); /* end one that runs */
