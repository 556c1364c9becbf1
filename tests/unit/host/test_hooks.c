/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's programs: real ones, made by the test; the time is the test's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "host/hooks.h"
#include "sys/file.h"

#define SECOND_NS UINT64_C(1000000000)

static char directory[] = "/tmp/culvert-hooks-XXXXXX";
static char note[64]; /* where the program writes what it was called with */

/* A program in the directory. Return: its path. */
static const char *make(const char *name, const char *body, mode_t mode)
{
	static char paths[8][96];
	static int n;
	char *path = paths[n++ % 8];
	FILE *f;

	snprintf(path, 96, "%s/%s", directory, name);
	f = fopen(path, "w");
	if (!f)
		abort();
	fprintf(f, "#!/usr/bin/python3\nimport os, sys, time\n%s\n", body);
	fclose(f);
	if (chmod(path, mode) < 0)
		abort();
	return path;
}

static const char *noted(void)
{
	static char text[512];
	size_t len = 0;

	memset(text, 0, sizeof(text));
	return file_read(AT_FDCWD, note, text, sizeof(text) - 1, &len) == 0 ? text : "";
}

/* Until it has ended by itself. */
static bool answered(struct hooks *h, uint64_t now_ns, uint64_t *serial, uint32_t *error)
{
	for (int i = 0; i < 2000; i++) {
		const struct timespec pause = { .tv_nsec = 5000000 };

		hooks_tick(h, now_ns);
		if (hooks_take_answer(h, serial, error))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static uint32_t run(struct hooks *h, enum host_action action, uint64_t now_ns)
{
	uint64_t serial = 0;
	uint32_t error = hooks_ask(h, action, 7 << 8 | action, now_ns);

	if (error != 0)
		return error;
	CHECK(answered(h, now_ns, &serial, &error) && serial == (7 << 8 | (uint64_t)action));
	return error;
}

static void gets_fixed_arguments_and_a_clean_environment(void)
{
	char body[512];
	struct hooks h = { .child = { .name = "hook" } };

	setenv("SECRET", "of the host", 1);
	snprintf(
		body, sizeof(body),
		"open('%s', 'w').write(' '.join(sys.argv[1:]) + '|' + os.environ.get('SECRET', '') + '|'"
		" + os.environ['PATH'] + '|' + str(len([f for f in os.listdir('/proc/self/fd') if int(f) > 2]) - 2))",
		note);
	h.paths[HOOKS_STOP] = h.paths[HOOKS_WIPE] = make("ok", body, 0755);
	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, SECOND_NS) == 0);
	CHECK(strcmp(noted(), "stop wg-manager||/usr/sbin:/usr/bin:/sbin:/bin|0") == 0);
	CHECK(run(&h, HOST_ACTION_STOP_WHISPER, SECOND_NS) == 0);
	CHECK(strncmp(noted(), "stop whisper-node|", 18) == 0);
	CHECK(run(&h, HOST_ACTION_WIPE, SECOND_NS) == 0);
	CHECK(strncmp(noted(), "wipe|", 5) == 0);
}

static void what_no_program_is_there_for_is_refused(void)
{
	struct hooks h = { .paths = { [HOOKS_START] = "/bin/true" } };

	CHECK(hooks_actions(&h) ==
	      (1U << HOST_ACTION_START_MANAGER | 1U << HOST_ACTION_START_WHISPER));
	CHECK(run(&h, HOST_ACTION_WIPE, 0) == EPERM && run(&h, HOST_ACTION_REBOOT, 0) == EPERM);
	CHECK(run(&h, HOST_ACTION_START_MANAGER, 0) == 0);
}

static void one_runs_at_a_time_and_three_in_a_minute(void)
{
	struct hooks h = { .paths = { [HOOKS_STOP] = "/bin/true" } };
	uint64_t serial, now_ns = 100 * SECOND_NS;
	uint32_t error;

	CHECK(hooks_ask(&h, HOST_ACTION_STOP_MANAGER, 2, now_ns) == 0);
	CHECK(hooks_ask(&h, HOST_ACTION_STOP_WHISPER, 4, now_ns) == EBUSY);
	CHECK(answered(&h, now_ns, &serial, &error) && serial == 2 && error == 0);
	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, now_ns) == 0);
	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, now_ns) == 0);
	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, now_ns + 59 * SECOND_NS) == EBUSY);
	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, now_ns + 60 * SECOND_NS) == 0);
}

static void failures_are_told(void)
{
	struct hooks h = { .paths = {
				   [HOOKS_STOP] = "/bin/false", [HOOKS_WIPE] = "/bin/true" } };

	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, SECOND_NS) == EIO);
	h.paths[HOOKS_STOP] = make("gone", "", 0755);
	unlink(h.paths[HOOKS_STOP]);
	CHECK(run(&h, HOST_ACTION_STOP_MANAGER, SECOND_NS) == EACCES);
	CHECK(run(&h, HOST_ACTION_WIPE, SECOND_NS) == 0); /* nothing is stuck */
}

static void one_that_takes_too_long_is_killed(void)
{
	struct hooks h = { .paths = { [HOOKS_WIPE] = make("slow", "time.sleep(600)", 0755) } };
	uint64_t serial, now_ns = 5 * SECOND_NS;
	uint32_t error;

	CHECK(hooks_ask(&h, HOST_ACTION_WIPE, 6, now_ns) == 0);
	hooks_tick(&h, now_ns);
	CHECK(h.child.pid > 0 && hooks_deadline_ns(&h) == now_ns + HOOKS_TIMEOUT_S * SECOND_NS);
	hooks_tick(&h, hooks_deadline_ns(&h) - 1);
	CHECK(!hooks_take_answer(&h, &serial, &error));
	CHECK(answered(&h, now_ns + HOOKS_TIMEOUT_S * SECOND_NS, &serial, &error));
	CHECK(serial == 6 && error == ETIMEDOUT && h.child.pid == 0);
}

static void a_reboot_is_answered_at_once_and_begins_later(void)
{
	char body[256];
	struct hooks h = { .child = { .name = "hook" } };
	uint64_t serial, now_ns = SECOND_NS, due_ns = now_ns + HOOKS_REBOOT_DELAY_S * SECOND_NS;
	uint32_t error;

	unlink(note);
	snprintf(body, sizeof(body), "open('%s', 'w').write(sys.argv[1])", note);
	h.paths[HOOKS_REBOOT] = make("reboot", body, 0755);
	CHECK(hooks_ask(&h, HOST_ACTION_REBOOT, 1, now_ns) == 0);
	CHECK(hooks_take_answer(&h, &serial, &error) && serial == 1 && error == 0);
	hooks_tick(&h, due_ns - 1);
	CHECK(h.child.pid == 0 && hooks_deadline_ns(&h) == due_ns);
	CHECK(hooks_ask(&h, HOST_ACTION_REBOOT, 2, now_ns) == EBUSY);
	for (int i = 0; i < 2000 && !*noted(); i++) {
		hooks_tick(&h, due_ns);
		usleep(5000);
	}
	CHECK(strcmp(noted(), "reboot") == 0);
	for (int i = 0; i < 2000 && h.action != 0; i++) {
		hooks_tick(&h, due_ns);
		usleep(5000);
	}
	CHECK(!hooks_take_answer(&h, &serial, &error) && h.action == 0);
}

static void it_is_idle_when_nothing_would_be_forgotten(void)
{
	struct hooks h = { .paths = { [HOOKS_REBOOT] = make("idle", "", 0755) } };
	uint64_t serial;
	uint32_t error;

	CHECK(hooks_is_idle(&h));
	CHECK(hooks_ask(&h, HOST_ACTION_REBOOT, 1, 1000 * SECOND_NS) == 0);
	CHECK(!hooks_is_idle(&h));
	CHECK(hooks_take_answer(&h, &serial, &error) && !hooks_is_idle(&h)); /* it is due */
	for (int i = 0; i < 2000 && !hooks_is_idle(&h); i++) {
		const struct timespec pause = { .tv_nsec = 5000000 };

		hooks_tick(&h, 1005 * SECOND_NS);
		nanosleep(&pause, NULL);
	}
	CHECK(hooks_is_idle(&h) && h.child.pid == 0);
	h.is_closed = true;
	CHECK(hooks_ask(&h, HOST_ACTION_REBOOT, 2, 1010 * SECOND_NS) == EBUSY);
	CHECK(hooks_is_idle(&h));
	h.is_closed = false;
	CHECK(hooks_ask(&h, HOST_ACTION_REBOOT, 3, 1010 * SECOND_NS) == 0);
}

static void programs_that_others_may_change_are_not_run(void)
{
	struct diag d = { .text = "" };

	CHECK(hooks_check(make("good", "", 0755), &d) == 0);
	CHECK(hooks_check(make("group", "", 0775), &d) == ERR_RANGE &&
	      strstr(d.text, "changed"));
	CHECK(hooks_check(make("all", "", 0757), &d) == ERR_RANGE);
	CHECK(hooks_check(make("plain", "", 0644), &d) == ERR_RANGE &&
	      strstr(d.text, "no program"));
	CHECK(hooks_check("bin/true", &d) == ERR_RANGE && strstr(d.text, "absolute"));
	CHECK(hooks_check("/nonexistent/x", &d) == ERR_RANGE &&
	      strstr(d.text, "/nonexistent/x"));
	CHECK(hooks_check("/tmp", &d) == ERR_RANGE);
}

int main(void)
{
	static const char *const names[] = { "ok",    "slow", "reboot", "good",
					     "group", "all",  "plain",	"note" };

	if (!mkdtemp(directory))
		abort();
	snprintf(note, sizeof(note), "%s/note", directory);
	RUN(gets_fixed_arguments_and_a_clean_environment);
	RUN(what_no_program_is_there_for_is_refused);
	RUN(one_runs_at_a_time_and_three_in_a_minute);
	RUN(failures_are_told);
	RUN(one_that_takes_too_long_is_killed);
	RUN(a_reboot_is_answered_at_once_and_begins_later);
	RUN(it_is_idle_when_nothing_would_be_forgotten);
	RUN(programs_that_others_may_change_are_not_run);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
	return DONE();
}
