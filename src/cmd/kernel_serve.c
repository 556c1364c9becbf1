/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert kernel-serve: speaks UAPI for an interface of the kernel's WireGuard. Started by
 * `culvert gateway` with descriptor 3, over which it gets its connections; host/kernel_child.h.
 *
 * It lives as long as its host. When that one is gone, or asks it to end, it removes the
 * interface: nobody would count, cut off or clean up any more.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/capability.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/command.h"
#include "host/kernel_child.h"
#include "host/messages.h"
#include "iface/kernel_server.h"
#include "net/netlink.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/privileges.h"

enum {
	CONTROL_FD = 3,
	WATCHED_CONTROL = KERNEL_CONNECTIONS_MAX, /* behind the server's */
	WATCHED_SIGNAL,
	WATCHED,
};

/* Everything there is. All zeroes and a @signal_fd of -1 is nothing yet. */
struct driver {
	const char *name;
	uint32_t index;
	struct netlink *nl;
	struct wg_genl *asking; /* two: a change may come while an answer is on its way */
	struct wg_genl *changing;
	struct kernel_server *server;
	int signal_fd;
	bool is_over; /* the host is gone, or wants it */
	bool is_gone; /* the interface */
};

static int get(void *context, struct wg_genl_snapshot *ret)
{
	const struct driver *r = context;

	return wg_genl_get(r->asking, r->name, ret);
}

static int set(void *context, const struct wg_genl_set *change)
{
	const struct driver *r = context;

	return wg_genl_set(r->changing, r->name, change);
}

static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_all(struct driver *r, struct diag *d)
{
	const struct kernel_backend backend = { get, set, r };
	struct netlink_link link;
	int err = netlink_open(&r->nl);

	if (err == 0)
		err = netlink_link_find(r->nl, r->name, &link);
	if (err == 0 && strcmp(link.kind, "wireguard") != 0)
		err = -EOPNOTSUPP;
	if (err == 0) {
		r->index = link.index;
		err = wg_genl_open(&r->asking);
	}
	if (err == 0)
		err = wg_genl_open(&r->changing);
	if (err == 0)
		err = kernel_server_new(&backend, &r->server);
	if (err == 0 && (r->signal_fd = open_signals()) < 0)
		err = -errno;
	return err == 0 ? 0
			: diag_set(d, err, 0, "cannot drive %s: %s", r->name, err_text(err));
}

static int give_up_rights(struct diag *d)
{
	static const int caps[] = { CAP_NET_ADMIN };
	int err = privileges_no_dump();

	if (err == 0 && !privileges_is_sanitized())
		err = privileges_landlock(NULL, 0);
	if (err == -ENOTSUP)
		err = 0;
	if (err == 0)
		err = privileges_keep_caps(caps, 1);
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_DRIVER);
	return err == 0 ? 0
			: diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
}

/* One message: a connection. Whatever else comes means that nobody sane is there. */
static void hear_host(struct driver *r)
{
	struct host_message m;
	int fd = -1;
	int n = host_message_receive(CONTROL_FD, &m, &fd);

	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n == 1 && m.type == HOST_UAPI && fd >= 0) {
		int err = kernel_server_add(r->server, fd, m.serial != KERNEL_CHILD_FULL);

		if (err < 0)
			log_warning("refused a connection: %s", err_text(err));
		return;
	}
	if (fd >= 0)
		close(fd);
	r->is_over = true;
}

/* Between two pieces of what the kernel was asked: neither host nor gateway waits for the end of it. */
static void pause_kernel(void *context, bool is_spoiled)
{
	struct driver *r = context;

	if (!r->is_over)
		hear_host(r);
	kernel_server_pause(r->server, is_spoiled);
}

static void turn(struct driver *r)
{
	struct pollfd fds[WATCHED];
	int timeout_ms;
	size_t n = kernel_server_watch(r->server, clock_boot_ns(), fds, &timeout_ms);

	for (; n < WATCHED_CONTROL; n++)
		fds[n] = (struct pollfd){ .fd = -1 };
	fds[WATCHED_CONTROL] = (struct pollfd){ .fd = CONTROL_FD, .events = POLLIN };
	fds[WATCHED_SIGNAL] = (struct pollfd){ .fd = r->signal_fd, .events = POLLIN };
	if (poll(fds, WATCHED, timeout_ms) < 0)
		return; /* interrupted: the next turn looks again */
	if (fds[WATCHED_CONTROL].revents)
		hear_host(r);
	if (fds[WATCHED_SIGNAL].revents)
		r->is_over = true;
	r->is_gone = !kernel_server_run(r->server);
}

/* By its number: one of the same name that somebody made since is not ours. */
static void remove_interface(const struct driver *r)
{
	int err = netlink_link_delete(r->nl, r->index);

	if (err < 0 && err != -ENODEV)
		log_error("%s cannot be removed: %s", r->name, err_text(err));
}

static void close_all(struct driver *r)
{
	kernel_server_free(r->server);
	wg_genl_close(r->asking);
	wg_genl_close(r->changing);
	netlink_close(r->nl);
	if (r->signal_fd >= 0)
		close(r->signal_fd);
}

static int serve(struct driver *r)
{
	wg_genl_on_pause(r->asking, pause_kernel, r);
	wg_genl_on_pause(r->changing, pause_kernel, r);
	while (!r->is_over && !r->is_gone)
		turn(r);
	if (r->is_over)
		remove_interface(r);
	else
		log_error("the interface %s is gone", r->name);
	return r->is_over ? EXIT_DONE : EXIT_FAILED;
}

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert kernel-serve: %s\n", what);
	return code;
}

static void begin_log(const char *name)
{
	enum log_level level = LOG_LEVEL_INFO;
	const char *text = getenv("LOG_LEVEL");
	char title[32];

	if (text && !log_level_find(text, &level))
		level = LOG_LEVEL_INFO;
	snprintf(title, sizeof(title), "driver %.15s", name);
	log_init(title, level, false);
}

int cmd_kernel_serve(int argc, char **argv)
{
	struct driver r = { .signal_fd = -1 };
	struct diag d = { .text = "" };
	int code = EXIT_FAILED, err;

	if (argc != 2 || strlen(argv[1]) >= LINK_NAME_MAX || fcntl(CONTROL_FD, F_GETFD) < 0)
		return complain(EXIT_USAGE, "this command is started by 'culvert gateway'");
	r.name = argv[1];
	begin_log(r.name);
	(void)fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	err = open_all(&r, &d);
	if (err == 0)
		err = give_up_rights(&d);
	if (err == 0) {
		if (privileges_gaps()[0])
			log_warning("not enforced here: %s", privileges_gaps());
		code = serve(&r);
	} else {
		complain(0, d.text);
	}
	close_all(&r);
	return code;
}
