/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "host/child.h"
#include "host/journal.h"
#include "host/signals.h"
#include "sys/clock.h"

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* Start a shell; it is only the program that is run. */
static int start(struct child *c, const char *script, int fd0, int fd1)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct child_plan plan = { .program = "/bin/sh", .argv = argv };

	plan.fds[0] = fd0;
	plan.fds[1] = fd1;
	plan.n_fds = fd0 < 0 ? 0 : fd1 < 0 ? 1 : 2;
	return child_start(c, &plan, clock_boot_ns());
}

static int wait_status(const struct child *c)
{
	int status = -1;

	for (int i = 0; i < 1000 && !child_reap(c, &status); i++)
		usleep(10000);
	return status;
}

static void a_child_gets_its_descriptors_and_no_others(void)
{
	struct child c = { 0 };
	char text[64] = { 0 };
	int ends[2], leak;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	leak = open("/etc/passwd", O_RDONLY); /* without O_CLOEXEC, on purpose */
	CHECK(start(&c,
		    "ls /proc/self/fd | tr '\\n' ' ' >&4; test ! -t 0 && read x || echo eof >&3",
		    ends[1], ends[1]) == 0);
	close(ends[1]);
	CHECK(wait_status(&c) == 0);
	CHECK(read(ends[0], text, sizeof(text) - 1) > 0);
	/* 0 to 4, and the directory that ls reads */
	CHECK(strcmp(text, "0 1 2 3 4 5 eof\n") == 0);
	close(ends[0]);
	close(leak);
}

static void a_child_gets_the_variables_it_is_given_and_no_others(void)
{
	static const char fixed[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n";
	static const char *const names[] = { "CHILD_MAY", "CHILD_NOT_SET", NULL };
	const char *const argv[] = { "env", NULL };
	const struct child_plan plan = {
		.program = "/usr/bin/env", .argv = argv, .inherits = names, .fds = { 0 }
	};
	struct child c = { 0 };
	char text[4096] = { 0 };
	int ends[2], out = dup(1);

	setenv("CHILD_MAY", "know=this", 1);
	setenv("CHILD_MAY_NOT", "know that", 1);
	setenv("LD_PRELOAD_X", "x", 1);
	unsetenv("JOURNAL_STREAM");
	CHECK(pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], 1) == 1);
	CHECK(child_start(&c, &plan, 1) == 0);
	dup2(out, 1);
	close(out);
	close(ends[1]);
	CHECK(wait_status(&c) == 0);
	CHECK(read(ends[0], text, sizeof(text) - 1) > 0);
	CHECK(strncmp(text, fixed, sizeof(fixed) - 1) == 0);
	CHECK(strstr(text, "\nCHILD_MAY=know=this\n"));
	CHECK(!strstr(text, "MAY_NOT") && !strstr(text, "PRELOAD") && !strstr(text, "NOT_SET"));
	close(ends[0]);
}

static void a_child_is_not_given_more_variables_than_there_is_room_for(void)
{
	const char *const argv[] = { "true", NULL };
	const char *names[CHILD_VARIABLES_MAX + 1] = { NULL };
	const struct child_plan plan = { .program = "/bin/true",
					 .argv = argv,
					 .inherits = names };
	struct child c = { 0 };

	for (size_t i = 0; i < CHILD_VARIABLES_MAX; i++)
		names[i] = "CHILD_MAY";
	setenv("CHILD_MAY", "x", 1);
	CHECK(child_start(&c, &plan, 1) == ERR_LIMIT && c.pid == 0);
}

static void waits_longer_after_each_failure_and_forgives(void)
{
	static const uint64_t expected_ms[] = { 100,  200,  400,   800,	 1600,
						3200, 6400, 10000, 10000 };
	struct child c = { .begun_ns = SECOND };

	for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++)
		CHECK(child_ended(&c, 2 * SECOND) == 2 * SECOND + expected_ms[i] * MS);
	CHECK(child_ended(&c, 62 * SECOND) ==
	      62 * SECOND + 100 * MS); /* it had lived a minute */
	CHECK(c.pid == 0);
}

static void stops_politely_then_not(void)
{
	struct child c = { 0 };
	uint64_t begin;

	CHECK(start(&c, "trap 'exit 0' TERM; while :; do sleep 0.05; done", -1, -1) == 0);
	usleep(100000);
	CHECK(child_stop(&c, 5 * SECOND) && c.pid == 0);
	CHECK(start(&c, "trap '' TERM; while :; do sleep 0.05; done", -1, -1) == 0);
	usleep(100000);
	begin = clock_boot_ns();
	CHECK(!child_stop(&c, SECOND / 5) && c.pid == 0);
	CHECK(clock_boot_ns() - begin < 4 * SECOND);
	CHECK(child_stop(&c, SECOND)); /* none: nothing to do */
}

static void a_program_that_cannot_run_ends_with_127(void)
{
	const char *const argv[] = { "x", NULL };
	const struct child_plan plan = { .program = "/no/such/program", .argv = argv };
	struct child c = { 0 };

	CHECK(child_start(&c, &plan, 1) == 0);
	CHECK(WEXITSTATUS(wait_status(&c)) == 127);
}

static void a_child_without_rights_has_none(void)
{
	const char *const argv[] = { "sh", "-c",
				     "grep -q '^CapPrm:.0000000000000000' /proc/self/status && "
				     "grep -q '^CapBnd:.0000000000000000' /proc/self/status && "
				     "grep -q '^NoNewPrivs:.1' /proc/self/status && "
				     "test $(id -u) = 65534 && test \"$(id -G)\" = 65534",
				     NULL };
	const struct child_plan plan = { .program = "/bin/sh",
					 .argv = argv,
					 .drops_rights = true,
					 .drops_user = true,
					 .uid = 65534,
					 .gid = 65534 };
	struct child c = { 0 };

	if (geteuid() != 0) {
		printf("# skipped: needs root\n");
		return;
	}
	CHECK(child_start(&c, &plan, 1) == 0 && wait_status(&c) == 0);
}

/* A host in between, which is killed; its child must go too. */
static void a_child_does_not_outlive_its_host(void)
{
	int ends[2];
	pid_t host, orphan = 0;
	uint64_t begin;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	host = fork();
	if (host == 0) {
		struct child c = { 0 };

		if (start(&c, "while :; do sleep 0.05; done", -1, -1) < 0 ||
		    write(ends[1], &c.pid, sizeof(c.pid)) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	CHECK(read(ends[0], &orphan, sizeof(orphan)) == (ssize_t)sizeof(orphan));
	usleep(100000); /* let it reach its program */
	CHECK(orphan > 0 && kill(orphan, 0) == 0);
	kill(host, SIGKILL);
	waitpid(host, NULL, 0);
	begin = clock_boot_ns();
	while (kill(orphan, 0) == 0 && clock_boot_ns() - begin < 5 * SECOND) {
		waitpid(orphan, NULL, WNOHANG); /* where we are the reaper */
		usleep(10000);
	}
	CHECK(kill(orphan, 0) < 0 && errno == ESRCH);
	close(ends[0]);
	close(ends[1]);
}

static void a_foreign_process_is_stopped_only_if_it_is_the_one(void)
{
	struct child c = { 0 };
	uint64_t started;

	CHECK(start(&c, "while :; do sleep 0.05; done", -1, -1) == 0);
	started = journal_process_started(c.pid);
	child_stop_foreign(c.pid, started + 1, SECOND);
	CHECK(journal_process_started(c.pid) == started);
	child_stop_foreign(c.pid, started, SECOND);
	CHECK(WTERMSIG(wait_status(&c)) == SIGTERM);
}

static void a_signal_to_stop_is_remembered_and_a_childs_end_is_not_one(void)
{
	struct signals s = { 0 };
	struct child c = { 0 };
	struct pollfd p;

	CHECK(signals_open(&s) == 0 && !signals_take(&s));
	CHECK(start(&c, "exit 0", -1, -1) == 0);
	p = (struct pollfd){ .fd = s.fd, .events = POLLIN };
	CHECK(poll(&p, 1, 10000) == 1 && !signals_take(&s));
	CHECK(wait_status(&c) == 0);
	kill(getpid(), SIGTERM);
	CHECK(signals_take(&s) && signals_take(&s));
	signals_close(&s);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	RUN(a_child_gets_its_descriptors_and_no_others);
	RUN(a_child_gets_the_variables_it_is_given_and_no_others);
	RUN(a_child_is_not_given_more_variables_than_there_is_room_for);
	RUN(waits_longer_after_each_failure_and_forgives);
	RUN(stops_politely_then_not);
	RUN(a_program_that_cannot_run_ends_with_127);
	RUN(a_child_without_rights_has_none);
	RUN(a_child_does_not_outlive_its_host);
	RUN(a_foreign_process_is_stopped_only_if_it_is_the_one);
	RUN(a_signal_to_stop_is_remembered_and_a_childs_end_is_not_one);
	return DONE();
}
