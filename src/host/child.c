/* SPDX-License-Identifier: Apache-2.0 */
#include "host/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "host/journal.h"
#include "sys/clock.h"
#include "sys/privileges.h"

enum {
	FIRST_FD = 3,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 10000,
};

#define MS_NS	   UINT64_C(1000000)
#define FORGIVE_NS (UINT64_C(60) * 1000000000)

/* Duplicates above all targets first: a source may sit where another must go. */
static bool place_fds(const struct child_plan *plan)
{
	int high[CHILD_FDS_MAX];
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return false;
	for (size_t i = 0; i < plan->n_fds; i++) {
		high[i] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, FIRST_FD + CHILD_FDS_MAX);
		if (high[i] < 0)
			return false;
	}
	for (size_t i = 0; i < plan->n_fds; i++) {
		if (dup2(high[i], FIRST_FD + (int)i) < 0)
			return false;
	}
	/* Ours close on exec anyway; this is for those somebody started us with. */
	syscall(SYS_close_range, (unsigned int)FIRST_FD + (unsigned int)plan->n_fds, ~0U, 4U);
	return true;
}

/* Past exec, as a user that is not root: only what is inheritable and ambient gets there. */
static bool hand_on_ports(void)
{
	const cap_value_t ports = CAP_NET_BIND_SERVICE;
	cap_t caps = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR;
	bool is_done = caps && cap_get_flag(caps, ports, CAP_PERMITTED, &has) == 0;

	if (is_done && has == CAP_SET)
		is_done = cap_set_flag(caps, CAP_INHERITABLE, 1, &ports, CAP_SET) == 0 &&
			  cap_set_proc(caps) == 0 && cap_set_ambient(ports, CAP_SET) == 0;
	if (caps)
		cap_free(caps);
	return is_done;
}

static bool drop(const struct child_plan *plan)
{
	static const int ports[] = { CAP_NET_BIND_SERVICE };

	if (plan->drops_user && privileges_become(plan->uid, plan->gid, plan->keeps_ports) < 0)
		return false;
	return privileges_no_dump() == 0 &&
	       privileges_keep_caps(ports, plan->keeps_ports) == 0 &&
	       (!plan->keeps_ports || hand_on_ports());
}

static char *find_variable(const char *name)
{
	size_t len = strlen(name);

	for (char **at = environ; *at; at++) {
		if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
			return *at;
	}
	return NULL;
}

struct environment {
	char *variables[CHILD_VARIABLES_MAX + 1]; /* borrowed; ends with NULL */
	size_t n;
};

/* false: there is no room for it. */
static bool add_variable(struct environment *e, const char *variable)
{
	if (e->n == CHILD_VARIABLES_MAX)
		return false;
	e->variables[e->n++] = (char *)(uintptr_t)variable; /* as execve() wants it */
	return true;
}

/* Those of @names that are set. */
static bool inherit(struct environment *e, const char *const *names)
{
	bool has_room = true;

	for (; has_room && names && *names; names++) {
		const char *variable = find_variable(*names);

		has_room = !variable || add_variable(e, variable);
	}
	return has_room;
}

static bool add_all(struct environment *e, const char *const *variables)
{
	bool has_room = true;

	for (; has_room && variables && *variables; variables++)
		has_room = add_variable(e, *variables);
	return has_room;
}

static bool make_environment(struct environment *e, const struct child_plan *plan)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C";
	static const char *const always[] = { "JOURNAL_STREAM", "ASAN_OPTIONS", "LSAN_OPTIONS",
					      "UBSAN_OPTIONS",	"TSAN_OPTIONS", NULL };

	*e = (struct environment){ .variables = { path, locale }, .n = 2 };
	return inherit(e, always) && inherit(e, plan->inherits) && add_all(e, plan->sets);
}

_Noreturn static void become_child(const struct child_plan *plan, struct environment *e,
				   pid_t host)
{
	const char *program = plan->program ? plan->program : "/proc/self/exe";
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	if (!place_fds(plan) || (plan->drops_rights && !drop(plan)))
		_exit(CHILD_EXEC_FAILED);
	/* After the change of user, which forgets it. The host may be gone already. */
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() == host)
		execve(program, (char *const *)(uintptr_t)plan->argv, e->variables);
	_exit(CHILD_EXEC_FAILED);
}

int child_start(struct child *c, const struct child_plan *plan, uint64_t now_ns)
{
	struct environment environment;
	pid_t host = getpid();
	pid_t pid;

	if (!make_environment(&environment, plan))
		return ERR_LIMIT;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become_child(plan, &environment, host);
	c->pid = pid;
	c->begun_ns = now_ns;
	return 0;
}

uint64_t child_ended(struct child *c, uint64_t now_ns)
{
	uint64_t wait_ms = BACKOFF_FIRST_MS;

	if (now_ns - c->begun_ns >= FORGIVE_NS)
		c->failures = 0;
	for (unsigned int i = 0; i < c->failures && wait_ms < BACKOFF_MAX_MS; i++)
		wait_ms *= 2;
	c->failures++;
	c->pid = 0;
	return now_ns + (wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS) * MS_NS;
}

bool child_reap(const struct child *c, int *ret_status)
{
	pid_t pid;

	do {
		pid = waitpid(c->pid, ret_status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	return pid == c->pid;
}

/* Wait for the end of a process, not to be confused with a later one of the same number. */
static bool wait_for_end(int pidfd, uint64_t patience_ns)
{
	uint64_t deadline_ns = clock_boot_ns() + patience_ns;

	for (;;) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		uint64_t now_ns = clock_boot_ns();
		int n = poll(&p, 1,
			     now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / MS_NS) + 1
						  : 0);

		if (n > 0)
			return true;
		if (now_ns >= deadline_ns)
			return false;
	}
}

static bool end(int pidfd, uint64_t patience_ns)
{
	syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
	if (wait_for_end(pidfd, patience_ns))
		return true;
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	wait_for_end(pidfd, patience_ns);
	return false;
}

bool child_stop(struct child *c, uint64_t patience_ns)
{
	bool by_itself;
	int pidfd;

	if (c->pid == 0)
		return true;
	pidfd = (int)syscall(SYS_pidfd_open, c->pid,
			     0); /* ours and not reaped: it is the one */
	by_itself = pidfd >= 0 && end(pidfd, patience_ns);
	if (pidfd >= 0)
		close(pidfd);
	else
		kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	c->pid = 0;
	return by_itself;
}

void child_stop_foreign(pid_t pid, uint64_t started, uint64_t patience_ns)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0)
		return;
	if (journal_process_started(pid) == started) /* asked while @pidfd keeps the number */
		end(pidfd, patience_ns);
	close(pidfd);
}
