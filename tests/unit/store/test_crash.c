/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that ends at any point loses nothing acknowledged and keeps nothing by halves.
 *
 * A script of changes, drawn from a seed, runs once to the end; each state that it passes is
 * kept as a digest. Then it runs again and again in children that end at one enumerated point:
 * before, in the midst of or behind one call that changes a file. What of the files is left is
 * either all that was written, or only what an fsync confirmed, as after a failure of power. A
 * store opened on that must be in the state after the last change that was acknowledged, or
 * after the one that was under way; it must take changes; and its audit trail must be unbroken.
 *
 * 120 points; with CULVERT_SOAK 3 000. CULVERT_SEED chooses the first script.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "faults.h"
#include "script.h"
#include "store/store.h"

enum { STEPS = 60 };

static char directory[] = "/dev/shm/culvert-crash-XXXXXX"; /* else /tmp */
static char path[64];

static struct store *open_store(void)
{
	struct store_config config = {
		.interface = "wg0", .public_key = { 7 }, .now_ns = 1000, .master = &master
	};
	struct store *s = NULL;
	struct diag d = { .line = 0 };

	if (store_open_sqlite(path, &config, &s, &d) != 0)
		printf("# %s\n", d.text);
	return s;
}

/* Run the script of @seed; @ret_done counts its steps, @states keeps what each led to. */
static void run_script(uint64_t seed, volatile unsigned int *ret_done, uint64_t *states)
{
	struct script script = { .seed = seed };
	struct store *s;

	draw_state = seed;
	s = open_store();
	if (!s)
		abort();
	if (states)
		states[0] = state_of(s);
	for (unsigned int step = 1; step <= STEPS; step++) {
		if (take_step(&script, s, step) != 0)
			abort();
		*ret_done = step;
		if (states)
			states[step] = state_of(s);
	}
	store_free(s);
}

/* --- Points --- */

static const char *const suffixes[] = { "", "-wal", "-journal", "-shm" };

static void fresh_path(void)
{
	static unsigned int n;

	for (unsigned int i = 0; i < 4 && n > 0; i++) {
		char name[96];

		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
		unlink(synced_name(name));
	}
	snprintf(path, sizeof(path), "%s/%u.db", directory, n++);
}

/* Nothing is left but what an fsync has confirmed. The index of the log is never synced. */
static void cut_power(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		char name[96];

		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		if (access(synced_name(name), F_OK) == 0)
			copy_file(synced_name(name), name);
		else if (i == 3)
			unlink(name);
		else if (access(name, F_OK) == 0 && truncate(name, 0) != 0)
			abort();
	}
}

struct point {
	uint64_t seed;
	long call;
	enum faults_end end;
	bool cuts_power;
};

/* Let a child run into the point. Return: how many steps it was told were done. */
static unsigned int crash(const struct point *at, volatile unsigned int *done)
{
	int status = 0;
	pid_t pid;

	*done = 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		faults_calls = 0;
		faults_end_at = at->call;
		faults_end = at->end;
		faults_keeps_synced = true;
		run_script(at->seed, done, NULL);
		_exit(9); /* the point was never reached */
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return *done;
}

static void take_one_more(struct store *s)
{
	struct store_change c = {
		.kind = STORE_ADD_PEER, .now_ns = 99999, .who = "after", .action = "peer.create"
	};

	c.peer.public_key[31] = 1;
	c.peer.status = STORE_PEER_ACTIVE;
	CHECK(store_apply(s, &c) == 0 && c.result == 0);
}

static void check_point(const struct point *at, const uint64_t *states,
			volatile unsigned int *done)
{
	unsigned int acknowledged;
	int failed = test_failed;
	struct store *s;
	uint64_t state;

	fresh_path();
	acknowledged = crash(at, done);
	if (at->cuts_power)
		cut_power();
	s = open_store();
	CHECK(s);
	if (s) {
		state = state_of(s);
		CHECK(state == states[acknowledged] ||
		      (acknowledged < STEPS && state == states[acknowledged + 1]));
		take_one_more(s);
		CHECK(state_of(s) != state); /* and the trail goes on behind its last row */
		store_free(s);
	}
	if (test_failed != failed)
		printf("# seed %llu, call %ld, end %d, power %s, %u acknowledged\n",
		       (unsigned long long)at->seed, at->call, (int)at->end,
		       at->cuts_power ? "cut" : "kept", acknowledged);
}

/* @n points spread over all calls of the script; the first begins at another place each time. */
static void check_script(uint64_t seed, unsigned int n, volatile unsigned int *done)
{
	static uint64_t states[STEPS + 1];
	unsigned int distinct = 0;
	long calls;

	fresh_path();
	faults_calls = 0;
	run_script(seed, done, states);
	calls = faults_calls;
	for (unsigned int i = 0; i < STEPS; i++)
		distinct += states[i] != states[i + 1];
	CHECK(distinct > STEPS / 2); /* the digest tells states apart */
	CHECK(calls > STEPS);
	printf("# seed %llu: %ld calls, %u points\n", (unsigned long long)seed, calls, n);
	for (unsigned int i = 0; i < n; i++) {
		struct point at = {
			.seed = seed,
			.call = 1 + (long)((seed + (uint64_t)i * (uint64_t)calls / n) %
					   (uint64_t)calls),
			.end = (enum faults_end)(i % 3),
			.cuts_power = i / 3 % 2,
		};

		check_point(&at, states, done);
	}
}

static void a_process_that_ends_anywhere_loses_nothing_acknowledged(void)
{
	const char *text = getenv("CULVERT_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	unsigned int scripts = getenv("CULVERT_SOAK") ? 50 : 2;
	unsigned int *done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (done == MAP_FAILED)
		abort();
	for (unsigned int i = 0; i < scripts; i++)
		check_script(seed + i, 60, done);
	munmap(done, sizeof(*done));
}

int main(void)
{
	if (!mkdtemp(directory)) {
		snprintf(directory, sizeof(directory), "/tmp/culvert-crash-XXXXXX");
		if (!mkdtemp(directory))
			abort();
	}
	faults_install();
	RUN(a_process_that_ends_anywhere_loses_nothing_acknowledged);
	fresh_path();
	rmdir(directory);
	return DONE();
}
