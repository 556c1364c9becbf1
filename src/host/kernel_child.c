/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kernel_child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/messages.h"
#include "host/tunnel.h"
#include "sys/clock.h"
#include "sys/log.h"

#define KIND  "wireguard"
#define ALIAS "made by culvert gateway, which removes it"

bool kernel_child_is_ours(const struct netlink_link *link)
{
	return strcmp(link->kind, KIND) == 0 && strcmp(link->alias, ALIAS) == 0;
}

static int complain(const struct device_child *t, int err, struct diag *d)
{
	if (err == -EOPNOTSUPP)
		return diag_set(
			d, err, 0,
			"this kernel has no WireGuard: load it (modprobe wireguard), or choose"
			" --kind userspace");
	if (err == -EEXIST)
		return diag_set(
			d, err, 0,
			"the interface %s is there and is not ours: choose another with "
			"--interface, or remove it (ip link delete %s)",
			t->config->interface, t->config->interface);
	return diag_set(d, err, 0, "cannot make the interface %s: %s", t->config->interface,
			err_text(err));
}

/* Marked at once: what has no mark when we are killed is taken for somebody else's. */
static int make_and_mark(struct device_child *t, struct netlink_link *link)
{
	int err = netlink_link_create(t->nl, t->config->interface, KIND);

	if (err == 0)
		err = netlink_link_find(t->nl, t->config->interface, link);
	if (err < 0)
		return err;
	err = netlink_link_set_alias(t->nl, link->index, ALIAS);
	if (err < 0)
		(void)netlink_link_delete(t->nl, link->index);
	return err;
}

int kernel_child_make(struct device_child *t, struct diag *d)
{
	struct netlink_link link;
	int err = netlink_link_find(t->nl, t->config->interface, &link);

	if (err == 0 && !kernel_child_is_ours(&link))
		err = -EEXIST;
	if (err == -ENODEV)
		err = make_and_mark(t, &link);
	if (err < 0)
		return complain(t, err, d);
	t->index = link.index;
	return 0;
}

static int spawn(struct device_child *t, const char *program, int their_end, struct diag *d)
{
	const char *const argv[] = { "culvert", "kernel-serve", t->config->interface, NULL };
	char level[32];
	const char *const variables[] = { level, NULL };
	const struct child_plan plan = { .program = program,
					 .argv = argv,
					 .sets = variables,
					 .fds = { their_end },
					 .n_fds = 1 };
	int err;

	snprintf(level, sizeof(level), "LOG_LEVEL=%s", t->config->log_level);
	err = child_start(&t->child, &plan, clock_boot_ns());
	return err < 0 ? diag_set(d, err, 0, "cannot start the driver of %s: %s",
				  t->config->interface, err_text(err))
		       : 0;
}

static int start_driver(struct device_child *t, const char *program, struct diag *d)
{
	int ends[2];
	int err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return diag_set(d, -errno, 0, "cannot start the driver of %s: %s",
				t->config->interface, err_text(-errno));
	err = spawn(t, program, ends[1], d);
	close(ends[1]);
	if (t->control_fd > 0)
		close(t->control_fd);
	t->control_fd = ends[0];
	return err;
}

int kernel_child_start(struct device_child *t, struct diag *d)
{
	int err = kernel_child_make(t, d);

	return err < 0 ? err : start_driver(t, NULL, d);
}

/* By force: one that ends by itself removes the interface. The socket after it. */
static void end_driver(struct device_child *t)
{
	if (t->child.pid > 0) {
		kill(t->child.pid, SIGKILL);
		while (waitpid(t->child.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (t->control_fd > 0)
		close(t->control_fd);
}

int kernel_child_succeed(struct device_child *t, const char *program, struct diag *d)
{
	struct device_child old = *t, next = *t;
	int fd = -1, err;

	next.child = (struct child){ .pid = 0 };
	next.control_fd = 0;
	err = start_driver(&next, program, d);
	if (err == 0)
		fd = kernel_child_connect(&next, KERNEL_CHILD_LIMITED);
	if (err == 0)
		err = fd < 0 ? fd : tunnel_limit(fd);
	if (fd >= 0)
		close(fd);
	if (err < 0) {
		end_driver(&next);
		return diag_set(d, err, 0, "a driver of the new program does not answer: %s",
				err_text(err));
	}
	if (claim_add_child(t->claim, next.child.pid) < 0)
		log_warning("cannot enter the driver in the journal");
	end_driver(&old);
	t->child = next.child;
	t->control_fd = next.control_fd;
	return 0;
}

int kernel_child_connect(const struct device_child *t, enum kernel_child_right right)
{
	const struct host_message m = { .type = HOST_UAPI, .serial = (uint64_t)right };
	int ends[2];
	int err;

	if (t->control_fd <= 0)
		return -ENOTCONN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	err = host_message_send(t->control_fd, &m, ends[1]);
	close(ends[1]);
	if (err == 0)
		return ends[0];
	close(ends[0]);
	return err;
}
