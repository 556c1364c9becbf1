/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What breaks in the middle of the protocol loses nothing acknowledged and keeps nothing by halves.
 *
 * A script of changes, drawn from a seed, runs once undisturbed; each state that it passes is kept as
 * a digest. Then it runs again through a proxy that cuts the connection at one enumerated message of
 * each step, before, in the midst of or behind it; half of the points are messages of its COMMIT.
 *
 *	cut	The store has to find out what became of the group, and acknowledge it or not: after
 *		each step its state is the same as undisturbed. Sometimes it is cut again on the way.
 *	die	The process ends with the connection; the next one must find the state after the
 *		last change that was acknowledged, or after the one that was under way.
 *	crash	The server ends with all its processes, and is started again.
 *
 * 60, 30 and 10 points; with CULVERT_SOAK 20 times as many. CULVERT_SEED chooses the script.
 */
#include <pthread.h>

#include "../test.h"
#include "pg_proxy.h"
#include "script.h"

enum {
	STEPS_MAX = 1200,
	COMMIT_MESSAGES = 8, /* Bind, Describe, Execute, Sync, and what answers them */
};

static const char *where;
static char direct[PG_CONNINFO_MAX], proxied[PG_CONNINFO_MAX];
static uint64_t seed;
static uint64_t states[STEPS_MAX + 1];
static unsigned int messages[STEPS_MAX + 1];

static struct store *open_store(void)
{
	struct store_config config = {
		.interface = "wg0", .public_key = { 7 }, .now_ns = 1000, .master = &master
	};
	struct store *s = NULL;
	struct diag d = { .line = 0 };

	if (store_open_postgres(where, &config, &s, &d) != 0)
		printf("# %s\n", d.text);
	return s;
}

/* The same step draws the same whatever came before, but for the ids. */
static int step(struct script *script, struct store *s, unsigned int n)
{
	draw_state = (seed + n) * UINT64_C(0x9e3779b97f4a7c15);
	return take_step(script, s, n);
}

static int know_peer(void *context, const struct store_peer *p)
{
	((struct script *)context)->peers[p->public_key[0] - 1] = p->id;
	return 0;
}

static int know_record(void *context, const struct store_record *r)
{
	((struct script *)context)->records[strtoul(r->name + 6, NULL, 10)] = r->id;
	return 0;
}

/* What the script knows, from the store. */
static void know(struct script *script, struct store *s)
{
	*script = (struct script){ .seed = seed };
	CHECK(store_load_peers(s, know_peer, script) == 0);
	CHECK(store_load_records(s, know_record, script) == 0);
}

static void disarm(void)
{
	proxy->cut_at = proxy->in_commit = proxy->again = 0;
}

static void begin_anew(void)
{
	pg_sql("DROP SCHEMA IF EXISTS culvert CASCADE");
	disarm();
	proxy->victim = proxy->server = 0;
	proxy->cuts = proxy->unanswered = 0;
}

/* Undisturbed, through the proxy, which counts. */
static void run_undisturbed(unsigned int steps)
{
	struct script script = { .seed = seed };
	unsigned int distinct = 0;
	struct store *s;

	begin_anew();
	where = proxied;
	s = open_store();
	if (!s)
		abort();
	states[0] = state_of(s);
	for (unsigned int n = 1; n <= steps; n++) {
		proxy->messages = 0;
		CHECK(step(&script, s, n) == 0);
		messages[n] = proxy->messages;
		states[n] = state_of(s);
		distinct += states[n] != states[n - 1];
	}
	CHECK(distinct > steps / 2); /* the digest tells states apart */
	store_free(s);
}

/* The point of step @n: any message, or one of its COMMIT. */
static void aim(unsigned int n)
{
	unsigned int all = messages[n] ? messages[n] : 1;

	proxy->messages = 0;
	proxy->how = (int)(n % 3);
	proxy->in_commit = n % 2 ? 1 + n / 2 % COMMIT_MESSAGES : 0;
	proxy->cut_at = n % 2 ? 0 : 1 + n * 37 % all;
}

static void complain(unsigned int n, int failed)
{
	if (test_failed != failed)
		printf("# seed %llu, step %u of %u messages\n", (unsigned long long)seed, n,
		       messages[n]);
}

/* Step @n under a cut. A group that was not done is done again, undisturbed. */
static void disturbed_step(struct script *script, struct store *s, unsigned int n)
{
	int failed = test_failed, err;

	aim(n);
	err = step(script, s, n);
	disarm();
	if (err == -EBUSY) {
		CHECK(state_of(s) == states[n - 1]);
		err = step(script, s, n);
	}
	CHECK(err == 0);
	CHECK(state_of(s) == states[n]);
	complain(n, failed);
}

static unsigned int points(unsigned int usual)
{
	bool is_soak = getenv("CULVERT_SOAK") != NULL;

	printf("# scale: %u points, full %u\n", is_soak ? 20 * usual : usual, 20 * usual);
	return is_soak ? 20 * usual : usual;
}

static void report(void)
{
	printf("# %u connections cut, %u of them with a COMMIT under way\n", proxy->cuts,
	       proxy->unanswered);
}

/* --- The connection --- */

static void a_connection_cut_anywhere_changes_no_outcome(void)
{
	unsigned int steps = points(60);
	struct script script = { .seed = seed };
	struct store *s;

	run_undisturbed(steps);
	begin_anew();
	s = open_store();
	CHECK(s);
	for (unsigned int n = 1; s && n <= steps; n++) {
		proxy->again = n % 4 == 3 ? 1 + n * 11 % 160 : 0;
		disturbed_step(&script, s, n);
	}
	report();
	CHECK(proxy->cuts > steps / 2 && proxy->unanswered > steps / 10);
	store_free(s);
}

/* --- The process --- */

/* Steps from @first on, until the proxy ends it. @done: the last that was acknowledged. */
_Noreturn static void run_until_killed(unsigned int first, unsigned int last,
				       volatile unsigned int *done)
{
	struct store *s;
	struct script script;

	where = proxied;
	s = open_store();
	if (!s)
		_exit(1);
	know(&script, s);
	for (unsigned int n = first; n <= last; n++) {
		if (step(&script, s, n) != 0)
			_exit(2);
		*done = n;
	}
	_exit(0);
}

static bool is_killed_at(unsigned int first, unsigned int last, unsigned int point,
			 volatile unsigned int *done)
{
	int status = 0;
	pid_t pid;

	*done = first - 1;
	proxy->messages = 0;
	proxy->how = (int)(point % 3);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		while (proxy->victim != getpid())
			;
		run_until_killed(first, last, done);
	}
	/* Opening takes some 200 messages; the steps behind it some hundred each. */
	proxy->in_commit = point % 2 ? 1 + point / 2 % COMMIT_MESSAGES : 0;
	proxy->cut_at = point % 2 ? 0 : 1 + point * 131 % 700;
	proxy->victim = pid;
	CHECK(waitpid(pid, &status, 0) == pid);
	disarm();
	proxy->victim = 0;
	CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

/* Return: the step that the store is at. */
static unsigned int look_behind(unsigned int acknowledged)
{
	unsigned int at = acknowledged;
	struct store *s;
	uint64_t state;

	where = direct;
	s = open_store();
	CHECK(s);
	if (!s)
		return at;
	state = state_of(s);
	if (state != states[at])
		CHECK(state == states[++at]);
	store_free(s);
	return at;
}

static void a_process_that_ends_anywhere_loses_nothing_acknowledged(void)
{
	unsigned int n = points(30), steps = 4 * n < STEPS_MAX - 10 ? 4 * n : STEPS_MAX - 10;
	unsigned int at = 0, under_way = 0, killed = 0;
	unsigned int *done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	run_undisturbed(steps);
	begin_anew();
	for (unsigned int i = 0; i < n && at < steps && !test_failed; i++) {
		killed += is_killed_at(at + 1, steps, i, done);
		at = look_behind(*done);
		under_way += at != *done;
		complain(at, 0);
	}
	printf("# %u processes killed at step %u, %u with a group that was committed\n", killed,
	       at, under_way);
	CHECK(killed > n / 2 && under_way > 0);
	munmap(done, sizeof(*done));
}

/* --- The server --- */

static void *restart_server(void *stop)
{
	while (!atomic_load((_Atomic bool *)stop)) {
		if (proxy->crashed) {
			pg_end(SIGKILL);
			CHECK(pg_start());
			proxy->crashed = false;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return NULL;
}

static void a_server_that_ends_anywhere_loses_nothing_acknowledged(void)
{
	unsigned int steps = points(10);
	struct script script = { .seed = seed };
	struct store *s;
	_Atomic bool stop = false;
	pthread_t thread;

	run_undisturbed(steps);
	begin_anew();
	s = open_store();
	CHECK(s && pthread_create(&thread, NULL, restart_server, &stop) == 0);
	for (unsigned int n = 1; s && n <= steps; n++) {
		proxy->server = pg_pid;
		disturbed_step(&script, s, n);
		while (proxy->crashed)
			pg_pause();
	}
	proxy->server = 0;
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	report();
	CHECK(proxy->cuts > steps / 2);
	store_free(s);
}

int main(void)
{
	const char *text = getenv("CULVERT_SEED"), *why = pg_prepare();
	int code = 0;

	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	script_ids_have_gaps = true;
	if (why) {
		printf("1..0 # SKIP %s\n", why);
	} else {
		printf("# seed %llu\n", (unsigned long long)seed);
		pg_conninfo(direct);
		proxy_conninfo(proxied);
		proxy_start();
		RUN(a_connection_cut_anywhere_changes_no_outcome);
		RUN(a_process_that_ends_anywhere_loses_nothing_acknowledged);
		RUN(a_server_that_ends_anywhere_loses_nothing_acknowledged);
		proxy_end();
		code = DONE();
	}
	pg_clean_up();
	return code;
}
