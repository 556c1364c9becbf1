/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_server.h - A PostgreSQL server of the test's own
 *
 * In a directory of its own, on a socket there and on no address; it ends with the test. fsync is
 * on, as it must be.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/libpq.h"
#include "sys/program.h"

#define PG_CONNINFO_MAX 160
#define ROOM		((unsigned long)512 << 20)

static char pg_bin[128]; /* "/usr/lib/postgresql/15/bin" */
static char pg_base[64]; /* also where the socket is */
static uid_t pg_uid;
static gid_t pg_gid;
static pid_t pg_pid;
static const struct libpq *pq;

static void pg_pause(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static const char *pg_conninfo(char out[PG_CONNINFO_MAX])
{
	snprintf(out, PG_CONNINFO_MAX, "host=%s port=5499 user=culvert dbname=postgres",
		 pg_base);
	return out;
}

/* An unprivileged child that execs @words in the directory of the programs. */
static pid_t pg_spawn(const char *const words[])
{
	const char *argv[24];
	char path[256], log[96];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", pg_bin, words[0]);
	argv[0] = path; /* by which they find each other */
	for (size_t i = 1; i < 24 && (i == 1 || words[i - 1]); i++)
		argv[i] = words[i];
	snprintf(log, sizeof(log), "%s/log", pg_base);
	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;

	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);

	setpgid(0, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setgid(pg_gid) < 0 || setuid(pg_uid) < 0))
		_exit(126);
	/* After the change of user, which forgets it: the server ends with us, at once. */
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (chdir(pg_base) < 0)
		_exit(126);
	execve(path, (char *const *)(uintptr_t)argv,
	       (char *const[]){ (char[]){ "LC_ALL=C" }, (char[]){ "PATH=/usr/bin" }, NULL });
	_exit(127);
}

static bool pg_run(const char *const words[])
{
	pid_t pid = pg_spawn(words);
	int status = 0;

	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static bool pg_answers(void)
{
	char where[PG_CONNINFO_MAX];
	const char *const names[] = { "dbname", NULL };
	const char *const values[] = { pg_conninfo(where), NULL };
	PGconn *c = pq->connect_params(names, values, 1);
	bool is_good = pq->status(c) == CONNECTION_OK;

	pq->finish(c);
	return is_good;
}

/* Also after a crash, while processes of the former server are about to notice. */
static bool pg_start(void)
{
	char data[96];
	const char *const words[] = { "postgres",
				      "-D",
				      data,
				      "-k",
				      pg_base,
				      "-p",
				      "5499",
				      "-c",
				      "listen_addresses=",
				      "-c",
				      "shared_buffers=4MB",
				      "-c",
				      "max_connections=20",
				      NULL };

	snprintf(data, sizeof(data), "%s/data", pg_base);
	for (int i = 0; i < 500; i++) {
		if (pg_pid == 0)
			pg_pid = pg_spawn(words);
		if (pg_answers())
			return true;
		if (waitpid(pg_pid, NULL, WNOHANG) == pg_pid)
			pg_pid = 0;
		pg_pause();
	}
	return false;
}

/* @how: SIGKILL: a crash; SIGINT: sessions are ended; SIGQUIT: at once. */
static void pg_end(int how)
{
	if (pg_pid == 0)
		return;
	kill(pg_pid, how);
	waitpid(pg_pid, NULL, 0);
	pg_pid = 0;
}

/* Return: why there is no server; NULL when there is one. */
static const char *pg_prepare(void)
{
	char directory[] = "/dev/shm/culvert-pg-XXXXXX", data[96];
	const struct passwd *user = getpwnam("postgres");
	struct statvfs room;
	glob_t found = { 0 };

	if (libpq_load(&pq, NULL) != 0)
		return "no libpq";
	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0)
		snprintf(pg_bin, sizeof(pg_bin), "%.*s", (int)strlen(found.gl_pathv[0]) - 7,
			 found.gl_pathv[0]);
	globfree(&found);
	if (!pg_bin[0])
		return "no PostgreSQL server is installed";
	if (geteuid() == 0 && !user)
		return "no user postgres";
	pg_uid = geteuid() == 0 ? user->pw_uid : geteuid();
	pg_gid = geteuid() == 0 ? user->pw_gid : getegid();
	/* Memory is enough: it is processes that crash here, not machines. */
	if (statvfs("/dev/shm", &room) < 0 || room.f_bavail * room.f_frsize < ROOM ||
	    access("/dev/shm", W_OK) < 0)
		snprintf(directory, sizeof(directory), "/tmp/culvert-pg-XXXXXX");
	if (!mkdtemp(directory) || chown(directory, pg_uid, pg_gid) < 0 ||
	    chmod(directory, 0755) < 0)
		return "no directory";
	snprintf(pg_base, sizeof(pg_base), "%s", directory);
	snprintf(data, sizeof(data), "%s/data", pg_base);
	if (!pg_run((const char *const[]){ "initdb", "-N", "-A", "trust", "-E", "UTF8",
					   "--locale=C", "-U", "culvert", "-D", data, NULL }) ||
	    !pg_start())
		return "the server does not start";
	return NULL;
}

static void pg_clean_up(void)
{
	static struct program_result result;

	pg_end(SIGQUIT);
	if (pg_base[0])
		program_run("/usr/bin/rm", (const char *[]){ "rm", "-rf", pg_base, NULL }, "",
			    0, UINT64_C(60000000000), &result);
}

/* The first number that @sql answers with; 0: none. A server that does not answer aborts. */
static int pg_sql(const char *sql)
{
	char where[PG_CONNINFO_MAX];
	const char *const names[] = { "dbname", "options", NULL };
	const char *const values[] = { pg_conninfo(where),
				       "-c search_path=culvert -c client_min_messages=error",
				       NULL };
	PGconn *c = pq->connect_params(names, values, 1);
	PGresult *r = pq->exec(c, sql);
	ExecStatusType status = pq->result_status(r);
	int n = 0;

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		printf("# %s: %s\n", sql, pq->error_message(c));
		fflush(stdout);
		abort();
	}
	if (pq->ntuples(r) > 0)
		n = (int)strtol(pq->getvalue(r, 0, 0), NULL, 10);
	pq->clear(r);
	pq->finish(c);
	return n;
}
