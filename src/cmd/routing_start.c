/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert routing start: a client between a note of the routes and their return.
 *
 * Theory of operation. Three processes: this one waits for the client and then brings the routes back. The
 * guard, made before anything is changed, waits for nothing but the end of this one, by a pipe that
 * only this one holds open: who is killed cannot tidy up. The client gets SIGTERM when this one is gone. If
 * the guard is killed as well, the session's note is left, and the next start begins with a restore.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "client/routing.h"
#include "cmd/command.h"
#include "cmd/routing.h"
#include "net/resolve.h"
#include "sys/own_path.h"

enum { PATIENCE_S = 10, PLACE_MAX = 300, KEY_MAX = 512, POLL_MS = 100 };

/**
 * struct session - One run of a client
 * @guard_pipe:	Write end; closed: the guard restores, unless it got an octet before
 * @ends:	Signals that end it, blocked in this process
 */
struct session {
	const struct routing_call *call;
	const char *client;
	char place[PLACE_MAX];
	struct endpoint server;
	pid_t guard;
	pid_t child;
	int guard_pipe;
	sigset_t ends;
	sigset_t before;
};

static void sleep_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* --- The guard --- */

_Noreturn static void guard(int fd)
{
	struct diag d = { .text = "" };
	char octet, path[PATH_MAX];
	ssize_t n;

	setsid(); /* whatever ends the terminal's processes */
	do {
		n = read(fd, &octet, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_DONE);
	for (int i = 0; i < PATIENCE_S * 1000 / POLL_MS && routing_has_device(); i++)
		sleep_ms(POLL_MS); /* the client is on its way out */
	_exit(routing_restore(path, &d) == 0 ? EXIT_DONE : EXIT_FAILED);
}

static int start_guard(struct session *s)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	s->guard = fork();
	if (s->guard == 0) {
		close(ends[1]);
		guard(ends[0]);
	}
	close(ends[0]);
	s->guard_pipe = ends[1];
	return s->guard < 0 ? -errno : 0;
}

static void dismiss_guard(struct session *s)
{
	ssize_t ignored = write(s->guard_pipe, "d", 1);

	(void)ignored; /* it is gone: nobody restores twice */
	close(s->guard_pipe);
	while (waitpid(s->guard, NULL, 0) < 0 && errno == EINTR)
		;
}

/* --- The client --- */

_Noreturn static void become_client(const struct session *s, pid_t parent)
{
	static char connect_word[] = "connect", stay_word[] = "--foreground";
	static char name[] = "culvert", proxy_word[] = "--connect-proxy";
	char own[PATH_MAX], place[PLACE_MAX];
	const char *path = s->client;
	char *const argv[] = { name, connect_word, stay_word, proxy_word, place, NULL };

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* gone before that was said */
		_exit(EXIT_FAILED);
	memcpy(place, s->place, sizeof(place));
	sigprocmask(SIG_SETMASK, &s->before, NULL);
	if (!path && own_path(own) == 0)
		path = own;
	if (path)
		execv(path, argv);
	fprintf(stderr, "culvert routing: %s: %s\n", path ? path : "culvert", err_text(-errno));
	_exit(127);
}

static int start_client(struct session *s)
{
	pid_t parent = getpid();

	s->child = fork();
	if (s->child == 0)
		become_client(s, parent);
	return s->child < 0 ? -errno : 0;
}

/* Until it ends; it is asked to when somebody asks us, and made to when it does not listen. */
static int wait_for_client(struct session *s, bool *ret_asked)
{
	struct timespec patience = { .tv_sec = 3600 };
	int status = 0, asked = 0;

	while (waitpid(s->child, &status, WNOHANG) == 0) {
		int number = sigtimedwait(&s->ends, NULL, &patience);

		if (number == SIGCHLD || (number < 0 && (errno != EAGAIN || !asked)))
			continue;
		kill(s->child, asked++ ? SIGKILL : SIGTERM);
		patience.tv_sec = PATIENCE_S;
	}
	*ret_asked = asked > 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- The session --- */

static int judge_server(struct session *s, const char *host, const char *port)
{
	uint64_t number = 0;
	int err;

	if (decimal_parse(port, strlen(port), 65535, &number) != 0 || number == 0)
		return routing_complain(s->call, ERR_RANGE,
					"the port is a number from 1 to 65535");
	if (strlen(host) > 253 || host[0] == '-' || strpbrk(host, " /@\t\n"))
		return routing_complain(s->call, ERR_RANGE,
					"this is no name or address of a host");
	snprintf(s->place, sizeof(s->place), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		 (unsigned int)number);
	err = resolve_endpoint(host, (uint16_t)number, &s->server);
	if (err)
		return routing_complain(s->call, err, "the host of the proxy is not known");
	return EXIT_DONE;
}

static int set_key(const struct routing_call *c, const char *key)
{
	if (!key)
		return EXIT_DONE;
	if (strlen(key) > KEY_MAX || setenv("VPN_API_KEY", key, 1) != 0)
		return routing_complain(c, ERR_RANGE, "this is no key");
	return EXIT_DONE;
}

/* What one left that was killed, guard and all. */
static int tidy_up(const struct session *s)
{
	struct diag d = { .text = "" };
	char path[PATH_MAX];
	int err = routing_is_open() ? routing_restore(path, &d) : 0;

	if (err)
		return routing_complain(s->call, err, d.text);
	return EXIT_DONE;
}

static int begin(struct session *s)
{
	struct diag d = { .text = "" };
	int err = routing_backup(&d);

	if (!err)
		err = start_guard(s);
	if (!err)
		err = routing_begin(&s->server.ip, &d);
	if (!err && routing_has_device())
		err = routing_setup(&d);
	if (!err)
		err = start_client(s);
	if (err)
		return routing_complain(s->call, err, d.text[0] ? d.text : err_text(err));
	return EXIT_DONE;
}

static int end(struct session *s, int code)
{
	struct diag d = { .text = "" };
	char path[PATH_MAX];
	int err = routing_restore(path, &d);

	if (err)
		code = routing_complain(s->call, err, d.text);
	else
		puts("✓ Routing restored");
	dismiss_guard(s);
	return code;
}

static void block(struct session *s)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD };

	sigemptyset(&s->ends);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&s->ends, numbers[i]);
	sigprocmask(SIG_BLOCK, &s->ends, &s->before);
	signal(SIGPIPE, SIG_IGN);
}

int routing_start(const struct routing_call *c, const char *host, const char *port,
		  const char *key, const char *client)
{
	struct session s = { .call = c, .client = client, .guard_pipe = -1 };
	bool asked = false;
	int code = judge_server(&s, host, port);

	if (code == EXIT_DONE)
		code = set_key(c, key);
	if (code == EXIT_DONE)
		code = tidy_up(&s);
	if (code != EXIT_DONE)
		return code;
	block(&s);
	code = begin(&s);
	if (code == EXIT_DONE)
		code = wait_for_client(&s, &asked);
	if (s.guard_pipe >= 0)
		code = end(&s, asked ? EXIT_DONE : code);
	return c->is_old && code ? EXIT_FAILED : code;
}
