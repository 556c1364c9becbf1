/* SPDX-License-Identifier: Apache-2.0 */
/**
 * upgrade.h - Another program takes the place of this one, and nobody outside notices
 *
 * Theory of operation. What can fail is tried by the new program while the old one still
 * stands behind it, the least dear first; the old host process goes last:
 *
 *	TRIAL      the new program reads this host's state and says whether it can go on from it
 *	GATEWAY    the gateway process finishes what it was asked, and ends; one of the new
 *	           program takes its database and its listening sockets, and has to serve
 *	DEVICE     a tunnel process of the new program takes the tunnel over (device/handover.h)
 *	READY      the host process executes the new program: the same process, with its
 *	           children, locks and descriptors
 *	BACK       one of them failed: a gateway process of the old program serves again
 *
 * The database is never open twice, because the next gateway process starts when the one
 * before has ended. Meanwhile connections wait in the sockets' queues. Addresses, firewall
 * and journal are not touched. Options stay as they were; to change them, restart.
 *
 * A SIGTERM at any time ends everything as usual.
 *
 * Threads: one.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

#include "base/err.h"
#include "base/text.h"
#include "host/device_child.h"
#include "host/gateway_child.h"
#include "host/report.h"
#include "host/upgrade_state.h"

/* Names the descriptor with the state, for the program that was executed. */
#define UPGRADE_VARIABLE "CULVERT_UPGRADE_FD"

/* What the new program prints in its trial when it can go on from the state on its input. */
#define UPGRADE_WORD	"ready: culvert "
#define UPGRADE_COMMAND "gateway-upgrade"

enum upgrade_phase {
	UPGRADE_IDLE,
	UPGRADE_GATEWAY,
	UPGRADE_DEVICE,
	UPGRADE_READY,
	UPGRADE_BACK,
};

/**
 * struct upgrade - Set @program, @view and the three pointers behind it, the rest to zero
 * @program:	Where this program was started, and where the new one lies
 * @device_number, @inode: Of the file that was tried: no other is executed
 * @is_tried:	A gateway process of the new program was started
 */
struct upgrade {
	char program[PATH_MAX];
	const struct view *view;
	struct device_child *device;
	struct gateway_child *gateway;
	struct report *report;
	enum upgrade_phase phase;
	char gateway_program[PATH_MAX];
	uint64_t deadline_ns;
	dev_t device_number;
	ino_t inode;
	bool is_tried;
};

/**
 * upgrade_begin() - Try the new program, and begin. Only while IDLE and the gateway serves
 * @state:	What upgrade_state_write() made of this host
 *
 * Waits up to 5 s for the trial. What is wrong with the new program is logged.
 */
void upgrade_begin(struct upgrade *u, const struct text *state);

/** upgrade_recheck() - Call it before a gateway process is started: one of a program that is no longer
 * what was tried gives way to one of the old program, and the upgrade is given up */
void upgrade_recheck(struct upgrade *u);

/** upgrade_step() - Go on with it. Call it at every wake, after the dead are buried */
void upgrade_step(struct upgrade *u, uint64_t now_ns);

/* When to call upgrade_step() even if nothing happened. UINT64_MAX: never */
uint64_t upgrade_deadline_ns(const struct upgrade *u);

/**
 * upgrade_execute() - Become the new program. In the phase READY
 * @state:	As for upgrade_begin(), as it is now
 *
 * Returns only if that failed: logged, and the old program goes on with children of the new.
 */
void upgrade_execute(struct upgrade *u, const struct text *state);

/**
 * upgrade_receive() - In the new program: what the old one left
 * @ret_octets:	The texts in @ret point there; the caller frees it
 *
 * Return: 1; 0 when nobody left anything; ERR_... or -errno with a sentence in @d.
 */
int upgrade_receive(struct upgrade_state *ret, void **ret_octets, struct diag *d);
