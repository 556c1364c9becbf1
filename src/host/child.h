/* SPDX-License-Identifier: Apache-2.0 */
/**
 * child.h - The two processes the host starts, and when to start them again
 *
 * A child dies with the host (SIGTERM), has its own process group, so that Ctrl-C reaches
 * only the host and things end in order, and holds no descriptor but those it is given. Its
 * environment is made anew: a fixed PATH and LC_ALL, what the journal and the sanitizers of a
 * test build need, and what its plan names. A secret of one child reaches no other.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

enum {
	CHILD_FDS_MAX = 4,
	CHILD_VARIABLES_MAX = 64, /* in the environment of a child */
	CHILD_EXEC_FAILED = 127,  /* exit status of one whose program could not be run */
};

/**
 * struct child_plan - What to start
 * @program:	Path, or NULL for this very program
 * @argv:	Ends with NULL
 * @inherits:	Names of variables that it gets as this process has them; ends with NULL. NULL: none
 * @sets:	"NAME=VALUE" texts that it gets besides; ends with NULL. NULL: none
 * @fds:	Become descriptors 3, 4 …; @n_fds of them
 * @uid, @gid:	Run as; with @drops_user. All capabilities go along
 */
struct child_plan {
	const char *program;
	const char *const *argv;
	const char *const *inherits;
	const char *const *sets;
	int fds[CHILD_FDS_MAX];
	size_t n_fds;
	bool drops_rights; /* no capability, no new privileges */
	bool keeps_ports;  /* but for CAP_NET_BIND_SERVICE, if there is one */
	bool drops_user;
	uid_t uid;
	gid_t gid;
};

/**
 * struct child - One of them
 * @pid:	0: not running
 * @failures:	In a row; a minute of life forgets them
 */
struct child {
	const char *name;
	pid_t pid;
	uint64_t begun_ns;
	unsigned int failures;
};

/** child_start() - Return: 0; ERR_LIMIT for more than CHILD_VARIABLES_MAX variables; -errno */
int child_start(struct child *c, const struct child_plan *plan, uint64_t now_ns);

/** child_ended() - Note that it ended. Return: when to start it again (100 ms … 10 s later) */
uint64_t child_ended(struct child *c, uint64_t now_ns);

/**
 * child_reap() - Has it ended?
 * @ret_status:	As waitpid() gives it
 *
 * @c->pid stays until child_ended() is called.
 */
bool child_reap(const struct child *c, int *ret_status);

/** child_stop() - SIGTERM, wait up to @patience_ns, SIGKILL, wait. true: it went by itself */
bool child_stop(struct child *c, uint64_t patience_ns);

/* The same for a process that is not ours to wait for, known by its start. */
void child_stop_foreign(pid_t pid, uint64_t started, uint64_t patience_ns);
