/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netdb.h>
#include <poll.h>
#include <sys/capability.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/carrier.h"
#include "cmd/command.h"
#include "sys/log.h"
#include "sys/notify.h"
#include "sys/privileges.h"

int carrier_process_open(struct carrier_process *p, struct diag *d)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct rlimit files;
	sigset_t set;

	*p = (struct carrier_process){ .signal_fd = -1, .watch_fd = -1 };
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* two for each connection */
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* TLS writes without MSG_NOSIGNAL */
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signal_fd >= 0 ? 0 : diag_set(d, -errno, 0, "signals: %s", err_text(-errno));
}

void carrier_process_close(struct carrier_process *p)
{
	for (size_t i = 0; i < p->n_paths; i++)
		free((void *)(uintptr_t)p->paths[i]);
	if (p->signal_fd >= 0)
		close(p->signal_fd);
	if (p->watch_fd >= 0)
		close(p->watch_fd);
}

/* The directory that @path is in, also where there is no such file yet. */
static bool directory_of(const char *path, char out[PATH_MAX])
{
	char *slash;

	snprintf(out, PATH_MAX, "%s", path);
	slash = strrchr(out, '/');
	if (slash)
		slash[slash == out] = '\0';
	else
		snprintf(out, PATH_MAX, ".");
	return out[0] != '\0';
}

/* The directory: a file that is replaced is another one under the same name. */
int carrier_process_watch(struct carrier_process *p, const char *path, struct diag *d)
{
	char directory[PATH_MAX];

	p->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (p->watch_fd >= 0 && directory_of(path, directory) &&
	    inotify_add_watch(p->watch_fd, directory, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0)
		return 0;
	return diag_set(d, -errno, 0, "%s cannot be watched: %s", path, err_text(-errno));
}

void carrier_process_read_later(struct carrier_process *p, const char *path, bool is_directory)
{
	char whole[PATH_MAX], directory[PATH_MAX];

	if (!path || p->n_paths == CARRIER_PATHS_MAX || !directory_of(path, directory) ||
	    !realpath(is_directory ? path : directory, whole))
		return;
	p->paths[p->n_paths] = strdup(whole);
	p->n_paths += p->paths[p->n_paths] != NULL;
}

/* Another user, and of the capabilities @caps alone. */
static int become_nobody(const int *caps, size_t n)
{
	int meanwhile[CARRIER_CAPS_MAX + 2] = { CAP_SETUID, CAP_SETGID };
	uid_t uid;
	gid_t gid;
	int err;

	if (geteuid() != 0)
		return privileges_keep_caps(caps, n);
	for (size_t i = 0; i < n; i++)
		meanwhile[2 + i] = caps[i];
	err = privileges_unprivileged_ids(&uid, &gid);
	if (err >= 0) /* of a user that others share, too */
		err = privileges_keep_caps(meanwhile, n + 2);
	if (err == 0)
		err = privileges_become(uid, gid, n > 0);
	return err == 0 ? privileges_keep_caps(caps, n) : err;
}

/* What the resolver reads for each name, and what OpenSSL reads only now. */
static int close_files(const struct carrier_process *p)
{
	const char *paths[CARRIER_PATHS_MAX + 2] = { "/etc", "/run/systemd/resolve" };
	struct addrinfo *list = NULL;
	size_t n = 2;

	for (size_t i = 0; i < p->n_paths; i++)
		paths[n++] = p->paths[i];
	if (getaddrinfo("localhost", NULL, NULL, &list) ==
	    0) /* loads what it needs for names */
		freeaddrinfo(list);
	if (privileges_is_sanitized())
		return 0;
	return privileges_landlock_reading(NULL, 0, paths, n);
}

int carrier_process_give_up(const struct carrier_process *p, const int *caps, size_t n,
			    struct diag *d)
{
	int err = privileges_no_dump();

	if (err == 0)
		err = close_files(p);
	if (err == 0 || err == -ENOTSUP)
		err = become_nobody(caps, n);
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_GATEWAY);
	if (err != 0)
		return diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
	if (privileges_gaps()[0])
		log_warning("not enforced here: %s", privileges_gaps());
	return 0;
}

int carrier_process_keep_user(struct diag *d, bool keeps_admin)
{
	static const int caps[] = { CAP_NET_ADMIN };
	int err = privileges_no_dump();

	if (err == 0)
		err = privileges_keep_caps(caps, keeps_admin);
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_GATEWAY);
	return err == 0 ? 0
			: diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
}

/* What exactly was put does not matter: it is looked at in any case. */
static bool was_put(const struct carrier_process *p)
{
	char events[4096] __attribute__((aligned(8)));
	bool is_any = false;

	while (read(p->watch_fd, events, sizeof(events)) > 0)
		is_any = true;
	return is_any;
}

int carrier_process_wait(const struct carrier_process *p, int fd, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
				{ .fd = p->signal_fd, .events = POLLIN },
				{ .fd = p->watch_fd, .events = POLLIN } };
	struct signalfd_siginfo info;

	if (poll(fds, 3, timeout_ms) <= 0)
		return 0;
	if (fds[1].revents && read(p->signal_fd, &info, sizeof(info)) == sizeof(info))
		return (int)info.ssi_signo;
	return fds[2].revents && was_put(p) ? CARRIER_PROCESS_PUT : 0;
}

void carrier_process_ready(const char *text)
{
	struct notify n;

	puts(text);
	fflush(stdout);
	if (notify_open(&n) != 0)
		return;
	notify_send(&n, "READY=1");
	notify_close(&n);
}

int carrier_complain(int code, const char *what)
{
	fprintf(stderr, "culvert carrier: %s\n", what);
	return code;
}

int carrier_refuse(const struct options *o, const char *name, const char *why)
{
	fprintf(stderr, "culvert carrier: %s: %s\n", options_origin(o, name), why);
	return options_is_argument(o, name) ? EXIT_USAGE : EXIT_REFUSED;
}

int carrier_exit_code(int err)
{
	switch (err) {
	case 0:
		return EXIT_DONE;
	case -EACCES:
	case -EPERM:
		return EXIT_PRIVILEGE;
	case ERR_FORMAT:
	case ERR_LIMIT:
	case -ENOENT:
		return EXIT_REFUSED;
	default:
		return EXIT_FAILED;
	}
}
