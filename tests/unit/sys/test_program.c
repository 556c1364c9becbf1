/* SPDX-License-Identifier: Apache-2.0 */
/* Real programs of the base system; a shell only as the program that is run. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "../test.h"
#include "sys/clock.h"
#include "sys/program.h"

#define SECOND UINT64_C(1000000000)

static struct program_result result;

static int sh(const char *script, const void *input, size_t len, uint64_t timeout_ns)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	return program_run("/bin/sh", argv, input, len, timeout_ns, &result);
}

static void passes_input_and_keeps_output(void)
{
	const char *const argv[] = { "cat", NULL };

	CHECK(program_run("/bin/cat", argv, "hello", 5, SECOND * 10, &result) == 0);
	CHECK(result.status == 0 && strcmp(result.out, "hello") == 0);
	CHECK(result.complaint[0] == '\0');
}

static void the_input_can_be_opened_by_name(void)
{
	CHECK(sh("cat /dev/stdin", "again", 5, SECOND * 10) == 0);
	CHECK(strcmp(result.out, "again") == 0);
}

static void reports_exit_codes_and_signals(void)
{
	CHECK(sh("echo why >&2; exit 3", "", 0, SECOND * 10) == 0);
	CHECK(result.status == 3 && strcmp(result.complaint, "why\n") == 0);
	CHECK(sh("kill -TERM $$", "", 0, SECOND * 10) == 0 && result.status == 256 + SIGTERM);
}

static void says_when_there_is_no_such_program(void)
{
	const char *const argv[] = { "x", NULL };

	CHECK(program_run("/no/such/program", argv, "", 0, SECOND, &result) == -ENOENT);
	CHECK(program_run("/etc/passwd", argv, "", 0, SECOND, &result) == -EACCES);
}

static void a_program_that_ignores_a_large_input_is_no_harm(void)
{
	size_t len = 4 << 20;
	char *big = calloc(1, len);

	CHECK(sh("exit 5", big, len, SECOND * 10) == 0 && result.status == 5);
	free(big);
}

static void cuts_endless_output_and_does_not_stall(void)
{
	CHECK(sh("head -c 1000000 /dev/zero | tr '\\0' a; exit 4", "", 0, SECOND * 20) == 0);
	CHECK(result.status == 4 && strlen(result.out) == PROGRAM_TEXT_MAX - 1);
}

static void kills_what_takes_too_long(void)
{
	uint64_t begin = clock_boot_ns();

	CHECK(sh("exec sleep 60", "", 0, SECOND / 5) == -ETIMEDOUT);
	CHECK(clock_boot_ns() - begin < SECOND * 10 && result.status == 256 + SIGKILL);
}

static void does_not_wait_for_a_grandchild_that_holds_the_pipes(void)
{
	uint64_t begin = clock_boot_ns();

	CHECK(sh("sleep 20 & echo pid $!; exit 0", "", 0, SECOND * 15) == 0);
	CHECK(clock_boot_ns() - begin < SECOND * 10);
	CHECK(strncmp(result.out, "pid ", 4) == 0);
	kill((pid_t)strtol(result.out + 4, NULL, 10), SIGKILL);
}

static void gives_the_program_nothing_else_of_ours(void)
{
	int leak = open("/etc/passwd", O_RDONLY); /* without O_CLOEXEC, on purpose */

	setenv("CULVERT_TEST_SECRET", "x", 1);
	CHECK(sh("ls /proc/self/fd | wc -l; echo \"$CULVERT_TEST_SECRET$LC_ALL\"", "", 0,
		 SECOND * 10) == 0);
	CHECK(strcmp(result.out, "4\nC\n") == 0); /* 0, 1, 2, and the directory being read */
	close(leak);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(passes_input_and_keeps_output);
	RUN(the_input_can_be_opened_by_name);
	RUN(reports_exit_codes_and_signals);
	RUN(says_when_there_is_no_such_program);
	RUN(a_program_that_ignores_a_large_input_is_no_harm);
	RUN(cuts_endless_output_and_does_not_stall);
	RUN(kills_what_takes_too_long);
	RUN(does_not_wait_for_a_grandchild_that_holds_the_pipes);
	RUN(gives_the_program_nothing_else_of_ours);
	return DONE();
}
