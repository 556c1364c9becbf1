/* SPDX-License-Identifier: Apache-2.0 */
/**
 * report.h - What the service manager hears of the host process
 *
 * READY=1 when the gateway serves for the first time, a STATUS whenever that changes,
 * STOPPING=1 at the end. WATCHDOG=1 goes out only while the tunnel process runs and the
 * gateway serves: one that does not come back is the service manager's to start anew.
 *
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sys/notify.h"

/**
 * struct report - All zeroes tells nobody
 * @watchdog_due_ns: When WATCHDOG=1 is due; meaningless without notify.watchdog_ns
 */
struct report {
	struct notify notify;
	uint64_t watchdog_due_ns;
	bool was_ready;
	bool is_serving;
};

/* An environment that cannot be understood is logged, and nobody is told. */
void report_open(struct report *r);
void report_close(struct report *r);

/** report_state() - Say what is new. Call it at every wake */
void report_state(struct report *r, bool is_serving, uint64_t now_ns);

/* When to call report_state() even if nothing happened. UINT64_MAX: never */
uint64_t report_deadline_ns(const struct report *r);

/* Between these two the program is being replaced: RELOADING=1, READY=1 with a status. */
void report_reloading(const struct report *r);
void report_reloaded(const struct report *r, const char *status);

void report_stopping(const struct report *r);
