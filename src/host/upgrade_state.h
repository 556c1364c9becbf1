/* SPDX-License-Identifier: Apache-2.0 */
/**
 * upgrade_state.h - What a host process tells the program that takes its place
 *
 * It stays the same process, so its children, locks and open descriptors stay as well; only
 * what it knew about them is lost in exec. That travels as this, in sealed memory:
 *
 *	octets 0 to 7	"culvertU"
 *	le32		version of the format
 *	le32		how many numbers follow
 *	le64 each	enum upgrade_number, in its order
 *	texts		each ends with NUL: the program, the view's state directory and program,
 *			then name and value of each option, then an empty one. Nothing follows.
 *
 * Versions: a program reads UPGRADE_VERSION_OLDEST to UPGRADE_VERSION and writes
 * UPGRADE_VERSION. A new number or text is a new version; the reader keeps that of the
 * release before, and gives what an older writer did not know the value it had for it. Any
 * other version is refused, and the old program goes on.
 *
 * Threads: any; pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

enum {
	UPGRADE_VERSION = 1,
	UPGRADE_VERSION_OLDEST = 1,
	UPGRADE_OPTIONS_MAX = 64,
	UPGRADE_OCTETS_MAX = 1 << 17,
};

/* PID 0: that child does not run. FAILURES and BEGUN: as in struct child. FD: a descriptor that
 * stays open across exec. */
enum upgrade_number {
	UPGRADE_UID, /* of the gateway process */
	UPGRADE_GID,
	UPGRADE_NETNS, /* of the claim */
	UPGRADE_STARTED,
	UPGRADE_FILTER, /* fingerprint of the filter of system calls in force; 0: none */
	UPGRADE_HAS_TABLE,
	UPGRADE_DEVICE_PID,
	UPGRADE_DEVICE_BEGUN,
	UPGRADE_DEVICE_FAILURES,
	UPGRADE_DEVICE_INDEX,
	UPGRADE_DEVICE_IS_KERNEL,
	UPGRADE_GATEWAY_PID, /* it serves */
	UPGRADE_GATEWAY_BEGUN,
	UPGRADE_GATEWAY_FAILURES,
	UPGRADE_FD_STATE,
	UPGRADE_FD_LOCK,
	UPGRADE_FD_KEY,
	UPGRADE_FD_GATEWAY,
	UPGRADE_FD_SHELF_IN,
	UPGRADE_FD_SHELF_OUT,
	UPGRADE_FD_CONTROL, /* of a driver; 0: none */
	UPGRADE_NUMBERS,
};

/**
 * struct upgrade_state - All of it. Texts are borrowed: from the octets that were read, or from
 *			  whoever fills it in to be written
 * @program:	Path of the program that is to run
 * @options:	Name, value, name, value …; NULL behind the last
 */
struct upgrade_state {
	uint64_t numbers[UPGRADE_NUMBERS];
	const char *program;
	const char *view_state;
	const char *view_program;
	const char *options[2 * UPGRADE_OPTIONS_MAX + 1];
};

/* The numbers that are descriptors. */
#define UPGRADE_FD_FIRST UPGRADE_FD_STATE

/** upgrade_state_write() - Append it to @out, whose @err says whether it fitted */
void upgrade_state_write(const struct upgrade_state *s, struct text *out);

/**
 * upgrade_state_read() - Take it apart
 *
 * Return: 0; ERR_VERSION for a version we do not read; ERR_FORMAT; ERR_RANGE for a number out
 *	   of its range or a descriptor named twice. With a sentence in @d.
 */
int upgrade_state_read(struct upgrade_state *ret, const void *data, size_t len, struct diag *d);
