/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/program.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/file.h"

enum { EXEC_FAILED = 127 };

/* What the program is tied to. -1: not open, or closed already. */
struct run {
	pid_t pid;
	int pidfd;
	int output;  /* read end */
	int errors;  /* read end */
	int started; /* read end: errno of a failed exec, or nothing */
	size_t out_len;
	size_t complaint_len;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* After fork: only calls that are safe there, then exec. */
_Noreturn static void become_program(const char *path, const char *const argv[],
				     const int fds[3], int started)
{
	static char env_path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	static char env_locale[] = "LC_ALL=C";
	char *const environment[] = { env_path, env_locale, NULL };
	ssize_t ignored;
	sigset_t none;
	int err;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0)
			_exit(EXEC_FAILED);
	}
	if (dup2(started, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0)
		_exit(EXEC_FAILED);
	syscall(SYS_close_range, 4U, ~0U,
		0U); /* ours close on exec anyway: this is for others' */
	execve(path, (char *const *)(uintptr_t)argv, environment);
	err = errno;
	ignored = write(3, &err, sizeof(err));
	(void)ignored;
	_exit(EXEC_FAILED);
}

/* Descriptors above 3, so that dup2() onto 0..3 overwrites none that is still needed. */
static int raise_fd(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 4);
	int saved = errno;

	close(fd);
	errno = saved;
	return high;
}

static int open_pipe(int *ret_read, int *ret_write)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_read = raise_fd(ends[0]);
	*ret_write = raise_fd(ends[1]);
	return *ret_read < 0 || *ret_write < 0 ? -EMFILE : 0;
}

/* The whole input as a file in memory: nothing to feed, and a program that opens
 * /dev/stdin by name (nft does) can, which it could not with a socket. */
static int open_input(const void *data, size_t len, int *ret)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	*ret = raise_fd(fd);
	if (*ret < 0)
		return -errno;
	err = file_write_all(*ret, data, len);
	if (err == 0 && lseek(*ret, 0, SEEK_SET) < 0)
		err = -errno;
	return err;
}

static int start(struct run *r, const char *path, const char *const argv[], const void *input,
		 size_t len)
{
	int theirs[3] = { -1, -1, -1 };
	int started = -1;
	int err = open_input(input, len, &theirs[0]);

	if (err == 0)
		err = open_pipe(&r->output, &theirs[1]);
	if (err == 0)
		err = open_pipe(&r->errors, &theirs[2]);
	if (err == 0)
		err = open_pipe(&r->started, &started);
	if (err == 0) {
		r->pid = fork();
		if (r->pid == 0)
			become_program(path, argv, theirs, started);
		if (r->pid < 0)
			err = -errno;
	}
	for (int i = 0; i < 3; i++)
		close_fd(&theirs[i]);
	close_fd(&started);
	return err;
}

/* The pipe closes by itself when exec succeeds. */
static int wait_for_exec(struct run *r)
{
	int err = 0;
	ssize_t n;

	do {
		n = read(r->started, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	close_fd(&r->started);
	return n == (ssize_t)sizeof(err) ? -err : 0;
}

static void collect(int *fd, char text[PROGRAM_TEXT_MAX], size_t *len)
{
	char scratch[1024];
	ssize_t n = read(*fd, scratch, sizeof(scratch));
	size_t room = PROGRAM_TEXT_MAX - 1 - *len;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close_fd(fd);
		return;
	}
	if ((size_t)n < room)
		room = (size_t)n;
	memcpy(text + *len, scratch, room);
	*len += room;
	text[*len] = '\0';
}

/* Until it ended and its last words were read. A grandchild may hold the pipes: the end of
 * the program is enough. */
static int converse(struct run *r, uint64_t deadline_ns, struct program_result *result)
{
	bool ended = false;

	while (!ended) {
		struct pollfd fds[3] = {
			{ .fd = r->pidfd, .events = POLLIN },
			{ .fd = r->output, .events = POLLIN },
			{ .fd = r->errors, .events = POLLIN },
		};
		uint64_t now_ns = clock_boot_ns();
		int n;

		if (now_ns >= deadline_ns)
			return -ETIMEDOUT;
		n = poll(fds, 3, (int)((deadline_ns - now_ns) / 1000000 % INT32_MAX) + 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		if (fds[1].revents)
			collect(&r->output, result->out, &r->out_len);
		if (fds[2].revents)
			collect(&r->errors, result->complaint, &r->complaint_len);
		ended = fds[0].revents && !fds[1].revents && !fds[2].revents;
	}
	return 0;
}

static void finish(struct run *r, struct program_result *result)
{
	int status = 0;

	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	result->status = WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

int program_run(const char *path, const char *const argv[], const void *input, size_t len,
		uint64_t timeout_ns, struct program_result *ret)
{
	struct run r = { .pid = -1, .pidfd = -1, .output = -1, .errors = -1, .started = -1 };
	int err;

	memset(ret, 0, sizeof(*ret));
	err = start(&r, path, argv, input, len);
	if (err == 0)
		err = wait_for_exec(&r);
	if (err == 0) {
		r.pidfd = (int)syscall(SYS_pidfd_open, r.pid, 0);
		err = r.pidfd < 0 ? -errno : 0;
	}
	if (err == 0)
		err = converse(&r, clock_boot_ns() + timeout_ns, ret);
	if (r.pid > 0) {
		if (err < 0)
			kill(r.pid, SIGKILL);
		finish(&r, ret);
	}
	close_fd(&r.pidfd);
	close_fd(&r.output);
	close_fd(&r.errors);
	close_fd(&r.started);
	return err;
}
