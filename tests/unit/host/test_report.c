/* SPDX-License-Identifier: Apache-2.0 */
/* A socket of ours stands where the service manager's would; times are made up. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../test.h"
#include "host/report.h"

#define NAME	"culvert-report-test"
#define SECOND	UINT64_C(1000000000)
#define SERVES	"STATUS=The gateway serves"
#define IS_LOST "STATUS=The gateway or its tunnel ended and is started again"

static int manager(struct report *r, const char *watchdog_usec)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path + 1, NAME, strlen(NAME));
	CHECK(bind(fd, (struct sockaddr *)&at,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(NAME))) ==
	      0);
	setenv("NOTIFY_SOCKET", "@" NAME, 1);
	unsetenv("WATCHDOG_PID");
	if (watchdog_usec)
		setenv("WATCHDOG_USEC", watchdog_usec, 1);
	else
		unsetenv("WATCHDOG_USEC");
	report_open(r);
	return fd;
}

/* "": there is nothing to hear */
static const char *heard(int fd)
{
	static char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void readiness_is_said_once_and_changes_as_they_come(void)
{
	struct report r;
	int fd = manager(&r, NULL);

	report_state(&r, false, 1);
	CHECK(strcmp(heard(fd), "") == 0);
	report_state(&r, true, 2);
	CHECK(strcmp(heard(fd), "READY=1\n" SERVES) == 0);
	report_state(&r, true, 3);
	CHECK(strcmp(heard(fd), "") == 0);
	report_state(&r, false, 4);
	CHECK(strcmp(heard(fd), IS_LOST) == 0);
	report_state(&r, true, 5);
	CHECK(strcmp(heard(fd), SERVES) == 0);
	CHECK(report_deadline_ns(&r) == UINT64_MAX);
	report_stopping(&r);
	CHECK(strncmp(heard(fd), "STOPPING=1\n", 11) == 0);
	report_close(&r);
	close(fd);
}

static void the_watchdog_is_fed_three_times_per_period_while_it_serves(void)
{
	struct report r;
	int fd = manager(&r, "30000000"), fed = 0;

	report_state(&r, true, SECOND);
	CHECK(strcmp(heard(fd), "READY=1\n" SERVES) == 0);
	CHECK(strcmp(heard(fd), "WATCHDOG=1") == 0);
	CHECK(report_deadline_ns(&r) == 11 * SECOND);
	for (uint64_t s = 2; s <= 31; s++) {
		report_state(&r, true, s * SECOND);
		fed += strcmp(heard(fd), "WATCHDOG=1") == 0;
	}
	CHECK(fed == 3);
	report_close(&r);
	close(fd);
}

static void the_watchdog_starves_while_nothing_serves_and_the_caller_sleeps_on(void)
{
	struct report r;
	int fd = manager(&r, "30000000");

	report_state(&r, true, SECOND);
	while (heard(fd)[0])
		;
	report_state(&r, false, 11 * SECOND);
	CHECK(strcmp(heard(fd), IS_LOST) == 0);
	CHECK(strcmp(heard(fd), "") == 0);
	CHECK(report_deadline_ns(&r) == 21 * SECOND);
	report_state(&r, true, 21 * SECOND);
	CHECK(strcmp(heard(fd), SERVES) == 0);
	CHECK(strcmp(heard(fd), "WATCHDOG=1") == 0);
	report_close(&r);
	close(fd);
}

static void nobody_to_tell_is_no_failure(void)
{
	struct report r;

	unsetenv("NOTIFY_SOCKET");
	report_open(&r);
	report_state(&r, true, 1);
	report_stopping(&r);
	CHECK(report_deadline_ns(&r) == UINT64_MAX);
	report_close(&r);
}

int main(void)
{
	RUN(readiness_is_said_once_and_changes_as_they_come);
	RUN(the_watchdog_is_fed_three_times_per_period_while_it_serves);
	RUN(the_watchdog_starves_while_nothing_serves_and_the_caller_sleeps_on);
	RUN(nobody_to_tell_is_no_failure);
	return DONE();
}
