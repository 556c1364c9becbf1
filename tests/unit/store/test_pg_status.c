/* SPDX-License-Identifier: Apache-2.0 */
/* A primary that archives and its replica, both real, on sockets in a directory of their own. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <glob.h>
#include <pwd.h>
#include <unistd.h>

#include "../test.h"
#include "store/pg_status.h"
#include "sys/program.h"

#define TIMEOUT_NS (UINT64_C(60) * 1000000000)

static char bin[128]; /* "/usr/lib/postgresql/15/bin" */
static char base[64];

/* Run a program of the server's as its user. */
static bool run(const char *program, const char *const words[])
{
	static struct program_result result;
	char path[256];
	const char *argv[24] = { "runuser", "-u", "postgres", "--", path };

	snprintf(path, sizeof(path), "%s/%s", bin, program);
	for (size_t i = 0; words[i]; i++)
		argv[5 + i] = words[i];
	if (program_run("/usr/sbin/runuser", argv, "", 0, TIMEOUT_NS, &result) == 0 &&
	    result.status == 0)
		return true;
	printf("# %s: %d %.300s\n", program, result.status, result.complaint);
	return false;
}

static const char *below(const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", base, name);
	return out;
}

static bool start(const char *name, const char *port)
{
	char data[128], log[128], options[400];

	snprintf(options, sizeof(options),
		 "-k %s -p %s -c listen_addresses= -c fsync=off -c archive_mode=on "
		 "-c archive_command=/bin/true -c shared_buffers=1MB",
		 base, port);
	snprintf(log, sizeof(log), "%s/%s.log", base, name);
	return run("pg_ctl", (const char *[]){ "-D", below(name, data), "-w", "-l", log, "-o",
					       options, "start", NULL });
}

static void stop(const char *name)
{
	char data[128];

	run("pg_ctl",
	    (const char *[]){ "-D", below(name, data), "-m", "immediate", "stop", NULL });
}

static bool sql(const char *text)
{
	return run("psql",
		   (const char *[]){ "-h", base, "-p", "5499", "-qc", text, "postgres", NULL });
}

static struct pg_status_source *source(const char *port)
{
	struct pg_status_source *s = NULL;
	struct diag d = { 0 };
	char where[128];

	snprintf(where, sizeof(where), "host=%s port=%s user=postgres dbname=postgres", base,
		 port);
	CHECK(pg_status_new(where, &s, &d) == 0);
	return s;
}

static void a_primary_says_what_it_is_and_when_it_archived(void)
{
	struct pg_status_source *s = source("5499"), *other = source("5499");
	struct pg_status status, first;
	struct diag d = { 0 };

	CHECK(pg_status_read(s, &first, &d) == 0);
	CHECK(!first.is_replica && !first.has_lag && first.archives && first.connections >= 1);
	CHECK(pg_status_read(other, &status, &d) == 0);
	CHECK(status.connections == first.connections + 1);
	other = pg_status_free(other);

	CHECK(sql("SELECT pg_switch_wal()"));
	for (int i = 0; i < 50 && !first.last_backup[0]; i++) {
		usleep(100000);
		CHECK(pg_status_read(s, &first, &d) == 0);
	}
	CHECK(strlen(first.last_backup) == strlen("2026-01-01T00:00:00Z"));
	CHECK(first.last_backup[10] == 'T' && first.last_backup[19] == 'Z');
	pg_status_free(s);
}

static void a_replica_says_how_far_behind_it_is(void)
{
	struct pg_status_source *s = source("5498");
	struct pg_status status = { .is_replica = false };
	struct diag d = { 0 };

	CHECK(pg_status_read(s, &status, &d) == 0);
	CHECK(status.is_replica);
	for (int i = 0; i < 50 && !(status.has_lag && status.lag_s == 0); i++) {
		usleep(100000);
		CHECK(pg_status_read(s, &status, &d) == 0);
	}
	CHECK(status.has_lag && status.lag_s == 0);
	pg_status_free(s);
}

static void a_server_that_goes_away_is_no_crash_and_is_found_again(void)
{
	struct pg_status_source *s = source("5499");
	struct pg_status status;
	struct diag d = { 0 };

	CHECK(pg_status_read(s, &status, &d) == 0);
	stop("primary");
	CHECK(pg_status_read(s, &status, &d) == -ENOTCONN);
	CHECK(pg_status_read(s, &status, &d) == -ENOTCONN);
	CHECK(d.text[0]);
	CHECK(start("primary", "5499"));
	CHECK(pg_status_read(s, &status, &d) == 0);
	pg_status_free(s);
}

static const char *prepare(void)
{
	char data[128], replica[128], directory[] = "/tmp/culvert-pg-XXXXXX";
	const struct passwd *user = getpwnam("postgres");
	glob_t found = { 0 };

	if (geteuid() != 0 || !user || access("/usr/sbin/runuser", X_OK) < 0)
		return "needs root, the user postgres and runuser";
	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0)
		snprintf(bin, sizeof(bin), "%.*s", (int)strlen(found.gl_pathv[0]) - 7,
			 found.gl_pathv[0]);
	globfree(&found);
	if (!bin[0])
		return "no PostgreSQL server";
	if (!mkdtemp(directory) || chown(directory, user->pw_uid, user->pw_gid) < 0)
		return "no directory";
	snprintf(base, sizeof(base), "%s", directory);
	if (!run("initdb",
		 (const char *[]){ "-N", "-A", "trust", "-D", below("primary", data), NULL }) ||
	    !start("primary", "5499"))
		return "the server does not start";
	if (!run("pg_basebackup",
		 (const char *[]){ "-h", base, "-p", "5499", "-N", "-R", "-c", "fast", "-D",
				   below("replica", replica), NULL }) ||
	    !start("replica", "5498"))
		return "the replica does not start";
	return NULL;
}

static int run_all(void)
{
	RUN(a_primary_says_what_it_is_and_when_it_archived);
	RUN(a_replica_says_how_far_behind_it_is);
	RUN(a_server_that_goes_away_is_no_crash_and_is_found_again);
	return DONE();
}

static void clean_up(void)
{
	static struct program_result result;

	stop("replica");
	stop("primary");
	program_run("/usr/bin/rm", (const char *[]){ "rm", "-rf", base, NULL }, "", 0,
		    TIMEOUT_NS, &result);
}

int main(void)
{
	const char *why = prepare();
	int code = 0;

	if (why)
		printf("1..0 # SKIP %s\n", why);
	else
		code = run_all();
	if (base[0])
		clean_up();
	return code;
}
