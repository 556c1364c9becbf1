/* SPDX-License-Identifier: Apache-2.0 */
#include "host/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "sys/log.h"

/* Nothing depends on an answer, and a full queue empties itself: the next line tells more. */
static void say(const struct report *r, const char *lines)
{
	int err = notify_send(&r->notify, lines);

	if (err < 0)
		log_debug("the service manager does not hear us: %s", err_text(err));
}

void report_open(struct report *r)
{
	int err = notify_open(&r->notify);

	r->was_ready = false;
	r->is_serving = false;
	r->watchdog_due_ns = 0;
	if (err < 0)
		log_warning(
			"NOTIFY_SOCKET or WATCHDOG_USEC: %s; the service manager is not told",
			err_text(err));
}

void report_close(struct report *r)
{
	notify_close(&r->notify);
}

static void feed(struct report *r, uint64_t now_ns)
{
	if (r->notify.watchdog_ns == 0 || now_ns < r->watchdog_due_ns)
		return;
	/* Set even when nothing is said, or the caller would not sleep any more. */
	r->watchdog_due_ns = now_ns + r->notify.watchdog_ns / 3;
	if (r->is_serving)
		say(r, "WATCHDOG=1");
}

void report_state(struct report *r, bool is_serving, uint64_t now_ns)
{
	if (is_serving && !r->was_ready)
		say(r, "READY=1\nSTATUS=The gateway serves");
	else if (is_serving && !r->is_serving)
		say(r, "STATUS=The gateway serves");
	else if (!is_serving && r->is_serving)
		say(r, "STATUS=The gateway or its tunnel ended and is started again");
	r->was_ready = r->was_ready || is_serving;
	r->is_serving = is_serving;
	feed(r, now_ns);
}

uint64_t report_deadline_ns(const struct report *r)
{
	return r->notify.watchdog_ns > 0 ? r->watchdog_due_ns : UINT64_MAX;
}

void report_reloading(const struct report *r)
{
	struct timespec now;
	char lines[96];

	clock_gettime(CLOCK_MONOTONIC, &now); /* the clock that sd_notify(3) asks for */
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	say(r, lines);
}

void report_reloaded(const struct report *r, const char *status)
{
	char lines[160];

	snprintf(lines, sizeof(lines), "READY=1\nSTATUS=%s", status);
	say(r, lines);
}

void report_stopping(const struct report *r)
{
	say(r, "STOPPING=1\nSTATUS=The host is put back as it was");
}
