/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of the test are asked in the place of `culvert users-key`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "host/tree_key.h"
#include "sys/clock.h"

#define SECOND_NS UINT64_C(1000000000)
#define KEY	  "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

static char directory[] = "/tmp/culvert-tree-key-XXXXXX";
static struct signals signals;
static uint64_t took_ns; /* by the last one asked */

static int ask(const char *script, const char *own, char ret[KEY_BASE64_LEN + 1])
{
	const struct host_config config = { .state = directory };
	const struct state_dir state = { .uid = geteuid(), .gid = getegid() };
	struct view view = { .state = "" };
	const struct tree_key t = { &config, &state, &view, &signals };
	uint64_t began = clock_boot_ns();
	struct diag d = { .text = "" };
	FILE *f;
	int err;

	snprintf(view.program, sizeof(view.program), "%s/program", directory);
	f = fopen(view.program, "w");
	if (!f)
		abort();
	fprintf(f, "#!/bin/sh\n%s\n", script);
	if (fclose(f) != 0 || chmod(view.program, 0755) < 0)
		abort();
	err = tree_key_ask(&t, own, ret, &d);
	took_ns = clock_boot_ns() - began;
	unlink(view.program);
	return err;
}

static void a_key_and_the_lack_of_one_are_answers(void)
{
	char key[KEY_BASE64_LEN + 1] = "";

	CHECK(ask("printf %s " KEY " >&3", NULL, key) == 0 && strcmp(key, KEY) == 0);
	CHECK(ask("exit 0", NULL, key) == 0 && key[0] == '\0');
	CHECK(ask("read k <&3; printf %s \"$k\" >&3", KEY, key) == 0 && strcmp(key, KEY) == 0);
}

static void its_exit_code_counts_more_than_what_it_said(void)
{
	char key[KEY_BASE64_LEN + 1];

	CHECK(ask("printf %s " KEY " >&3; exit 3", NULL, key) == ERR_RANGE);
	CHECK(ask("exit 4", NULL, key) == -EACCES);
	CHECK(ask("kill -KILL $$", NULL, key) == -EPIPE);
	CHECK(ask("printf short >&3", NULL, key) == -EPIPE);
}

static void one_that_answers_and_stays_is_ended(void)
{
	char key[KEY_BASE64_LEN + 1];

	CHECK(ask("exec 3>&-; sleep 0.2; exit 0", NULL, key) == 0);
	CHECK(took_ns > SECOND_NS / 10 && took_ns < 4 * SECOND_NS);
	CHECK(ask("trap '' TERM; printf %s " KEY " >&3; exec 3>&-; exec sleep 30", NULL, key) ==
	      -ETIMEDOUT);
	CHECK(took_ns < 15 * SECOND_NS);
}

/* The last one: from then on we are to end. */
static void whoever_wants_us_to_end_is_heard_while_it_stays(void)
{
	char key[KEY_BASE64_LEN + 1];

	CHECK(ask("exec 3>&-; sleep 0.5; kill -TERM $PPID; exec sleep 30", NULL, key) ==
	      -ECANCELED);
	CHECK(took_ns < 4 * SECOND_NS);
}

int main(void)
{
	if (!mkdtemp(directory) || signals_open(&signals) < 0)
		return 1;
	RUN(a_key_and_the_lack_of_one_are_answers);
	RUN(its_exit_code_counts_more_than_what_it_said);
	RUN(one_that_answers_and_stays_is_ended);
	RUN(whoever_wants_us_to_end_is_heard_while_it_stays);
	signals_close(&signals);
	rmdir(directory);
	return DONE();
}
