/* SPDX-License-Identifier: Apache-2.0 */
#include "host/device_child.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/kernel_child.h"
#include "host/tunnel.h"
#include "host/usernet_child.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum {
	SOCKET_POLL_MS = 5,
	EXIT_NO_PRIVILEGE = 4, /* as every command of ours says it */

	LINK_MTU = DEVICE_CHILD_MTU,
	KERNEL_LINK_MTU = 1420, /* level off only */
};

#define SOCKET_PATIENCE_NS (UINT64_C(10) * 1000000000)
#define STOP_PATIENCE_NS   (UINT64_C(5) * 1000000000)
#define REPAIR_PAUSE_NS	   UINT64_C(1000000000)

/* One that does not take over yet has nothing to put in order. */
#define DISMISS_PATIENCE_NS (UINT64_C(1) * 1000000000)

/* @word: One more argument, or NULL. */
static int start_process(const struct device_child *t, struct child *c, const char *program,
			 const char *word, struct diag *d)
{
	const char *const argv[] = { "culvert-device", "-f", t->config->interface, word, NULL };
	char level[32];
	const char *const variables[] = { level, NULL };
	const struct child_plan plan = { .program = program, .argv = argv, .sets = variables };

	snprintf(level, sizeof(level), "LOG_LEVEL=%s", t->config->log_level);

	int err = child_start(c, &plan, clock_boot_ns());

	if (err < 0)
		return diag_set(d, err, 0, "cannot start the tunnel process: %s",
				err_text(err));
	return 0;
}

static void enter_in_journal(const struct device_child *t, const struct child *c)
{
	int err = claim_add_child(t->claim, c->pid);

	if (err < 0)
		log_warning("cannot enter the tunnel process in the journal: %s",
			    err_text(err));
}

/* It ended while we waited. It has written its reason to standard error. */
static int explain_end(int status, struct diag *d)
{
	if (WIFSIGNALED(status))
		return diag_set(d, -EPIPE, 0, "the tunnel process was ended by signal %d",
				WTERMSIG(status));
	if (WEXITSTATUS(status) == CHILD_EXEC_FAILED)
		return diag_set(d, -ENOEXEC, 0, "the tunnel process could not be started");
	diag_set(d, 0, 0, "%s", "");
	return WEXITSTATUS(status) == EXIT_NO_PRIVILEGE ? -EACCES : -EPIPE;
}

/* Somebody else may serve a socket of that name: a tunnel of another network namespace
 * that shares our file system. Ours then ends with a sentence about it. */
static bool is_ours(const struct device_child *t, int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.pid == t->child.pid;
}

/* Return: a connection to the tunnel as soon as it listens. */
static int wait_for_socket(struct device_child *t, struct diag *d)
{
	uint64_t deadline_ns = clock_boot_ns() + SOCKET_PATIENCE_NS;
	struct pollfd wake = { .fd = t->signals->fd, .events = POLLIN };

	for (;;) {
		int fd = tunnel_connect(t->config->interface);
		int status = 0;

		if (fd >= 0 && is_ours(t, fd))
			return fd;
		if (fd >= 0)
			close(fd);
		if (child_reap(&t->child, &status)) {
			t->child.pid = 0;
			return explain_end(status, d);
		}
		if (clock_boot_ns() > deadline_ns)
			return diag_set(d, -ETIMEDOUT, 0,
					"the tunnel process does not answer on its socket: %s",
					err_text(fd));
		poll(&wake, 1, SOCKET_POLL_MS);
		if (signals_take(t->signals))
			return diag_set(d, -ECANCELED, 0, "%s", "");
	}
}

static int set_key(struct device_child *t, int fd, struct diag *d)
{
	struct secret_key key;
	int err = state_dir_private_key(t->state, &key);

	if (err < 0)
		return diag_set(d, err, 0, "%s/server.key: %s", t->state->path, err_text(err));
	err = tunnel_configure(fd, &key, t->config->port, d);
	secret_key_done(&key);
	return err;
}

/* An interface of ours: its own switch may be on because new ones are born that way. */
static void allow_ipv6(const char *interface)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/disable_ipv6", interface);
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	file_write_all(fd, "0", 1);
	close(fd);
}

static int add_address(struct device_child *t, const struct ip_prefix *subnet, struct diag *d)
{
	struct netlink_address a = { .ip = subnet->ip,
				     .bits = subnet->bits,
				     .index = t->index };
	char text[ADDR_TEXT_MAX];
	int err;

	a.ip.b[ip_addr_bits(&a.ip) / 8 - 1] |= 1; /* the first host */
	err = netlink_address_add(t->nl, &a);
	if (err == 0 || err == -EEXIST)
		return 0;
	return diag_set(d, err, 0, "cannot set %s on %s: %s", ip_addr_format(&a.ip, text),
			t->config->interface, err_text(err));
}

static int set_addresses(struct device_child *t, struct diag *d)
{
	struct netlink_link link;
	int err = netlink_link_find(t->nl, t->config->interface, &link);

	if (err < 0)
		return diag_set(d, err, 0, "the interface %s did not come up: %s",
				t->config->interface, err_text(err));
	t->index = link.index;
	err = add_address(t, &t->config->subnet4, d);
	if (err < 0)
		return err;
	allow_ipv6(t->config->interface);
	if (add_address(t, &t->config->subnet6, d) < 0)
		log_warning("%s; going on without IPv6 inside the tunnel", d->text);
	err = netlink_link_set_mtu(t->nl, t->index, t->is_kernel ? KERNEL_LINK_MTU : LINK_MTU);
	if (err < 0)
		log_warning("cannot set the MTU of %s: %s", t->config->interface,
			    err_text(err));
	err = netlink_link_set_up(t->nl, t->index, true);
	return err < 0 ? diag_set(d, err, 0, "cannot switch on %s: %s", t->config->interface,
				  err_text(err))
		       : 0;
}

int device_child_choose(struct device_child *t, struct diag *d)
{
	const struct host_config *c = t->config;
	int err;

	if (t->is_usernet || c->kind == HOST_KIND_USERSPACE || c->kind == HOST_KIND_TUN ||
	    (c->kind == HOST_KIND_AUTO && strcmp(c->obfuscation, "off") != 0))
		return 0;
	err = kernel_child_make(t, d);
	t->is_kernel = err == 0;
	if (err == -EOPNOTSUPP && c->kind == HOST_KIND_AUTO) {
		*d = (struct diag){ 0 };
		return 0;
	}
	return err;
}

static int start_any(struct device_child *t, struct diag *d)
{
	if (t->is_usernet)
		return usernet_child_start(t, d);
	return t->is_kernel ? kernel_child_start(t, d)
			    : start_process(t, &t->child, NULL, NULL, d);
}

/* A connection that may do everything. */
static int connect_fully(const struct device_child *t)
{
	if (t->is_usernet)
		return tunnel_connect_at(t->socket);
	return t->is_kernel ? kernel_child_connect(t, KERNEL_CHILD_FULL)
			    : tunnel_connect(t->config->interface);
}

/* Return: a connection that may do everything, as soon as there is one. */
static int begin(struct device_child *t, struct diag *d)
{
	int err = start_any(t, d);

	if (err < 0)
		return err;
	enter_in_journal(t, &t->child);
	if (t->is_usernet) {
		err = connect_fully(t);
		return err < 0 ? diag_set(d, err, 0, "%s: %s", t->socket, err_text(err)) : err;
	}
	if (!t->is_kernel)
		return wait_for_socket(t, d);
	err = kernel_child_connect(t, KERNEL_CHILD_FULL);
	return err < 0 ? diag_set(d, err, 0, "the driver of %s does not answer: %s",
				  t->config->interface, err_text(err))
		       : err;
}

/* It listens from the beginning: why it does not answer is known when it has ended. */
static int explain_usernet(struct device_child *t, int err, struct diag *d)
{
	uint64_t deadline_ns = clock_boot_ns() + REPAIR_PAUSE_NS;
	int status = 0;

	if (err == -EADDRINUSE)
		return err;
	while (clock_boot_ns() < deadline_ns) {
		if (child_reap(&t->child, &status)) {
			t->child.pid = 0;
			return explain_end(status, d);
		}
		poll(NULL, 0, SOCKET_POLL_MS);
	}
	return err;
}

int device_child_start(struct device_child *t, struct diag *d)
{
	int fd = begin(t, d);
	int err;

	if (fd < 0)
		return fd;
	err = set_key(t, fd, d);
	close(fd);
	if (t->is_usernet)
		return err < 0 ? explain_usernet(t, err, d) : 0;
	return err < 0 ? err : set_addresses(t, d);
}

int device_child_succeed(struct device_child *t, const char *program, struct diag *d)
{
	t->successor = (struct child){ .name = t->child.name };
	if (t->is_kernel)
		return kernel_child_succeed(t, program, d);

	int err = start_process(t, &t->successor, program, "--take-over", d);

	if (err == 0)
		enter_in_journal(t, &t->successor);
	return err;
}

/* An old one that ends well was relieved: it does so once it has acknowledged that. */
enum device_succession device_child_succession(struct device_child *t)
{
	int status = 0;

	if (t->is_kernel) /* it was done at once */
		return DEVICE_SUCCEEDED;
	if (t->successor.pid == 0)
		return DEVICE_REMAINS;
	if (child_reap(&t->successor, &status)) {
		t->successor.pid = 0;
		return DEVICE_REMAINS;
	}
	if (!child_reap(&t->child, &status))
		return DEVICE_PENDING;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		t->child = t->successor;
		t->successor.pid = 0;
		return DEVICE_SUCCEEDED;
	}
	device_child_dismiss(t);
	t->index = 0;
	t->due_ns = child_ended(&t->child, clock_boot_ns());
	return DEVICE_LOST;
}

void device_child_dismiss(struct device_child *t)
{
	child_stop(&t->successor, DISMISS_PATIENCE_NS);
}

int device_child_connect_limited(const struct device_child *t)
{
	if (t->is_usernet)
		return tunnel_connect_limited_at(t->socket);
	return t->is_kernel ? kernel_child_connect(t, KERNEL_CHILD_LIMITED)
			    : tunnel_connect_limited(t->config->interface);
}

void device_child_repair(struct device_child *t)
{
	uint64_t now_ns = clock_boot_ns();
	struct diag d = { 0 };
	int fd;

	if (t->child.pid == 0 || now_ns - t->repaired_ns < REPAIR_PAUSE_NS)
		return;
	t->repaired_ns = now_ns;
	fd = connect_fully(t);
	if (fd < 0 || set_key(t, fd, &d) < 0)
		log_error("key and port of %s cannot be set again: %s", t->config->interface,
			  d.text[0] ? d.text : err_text(fd));
	else
		log_warning("somebody changed key or port of %s: set again",
			    t->config->interface);
	if (fd >= 0)
		close(fd);
}

void device_child_stop(struct device_child *t)
{
	struct netlink_link link;
	char path[64];
	int fd;

	device_child_dismiss(t);
	if (t->is_usernet) {
		child_stop(&t->child, STOP_PATIENCE_NS);
		usernet_child_remove_socket(t);
		return;
	}
	if (t->child.pid == 0 && t->index == 0)
		return;
	child_stop(&t->child, STOP_PATIENCE_NS);
	/* An interface that outlives its process was made persistent by somebody. */
	if (t->index && netlink_link_find(t->nl, t->config->interface, &link) == 0 &&
	    link.index == t->index)
		netlink_link_delete(t->nl, t->index);
	t->index = 0;
	if (t->control_fd > 0)
		close(t->control_fd);
	t->control_fd = 0;
	if (t->is_kernel)
		return;
	/* Ours, left behind by force; not one that another process answers on. */
	fd = tunnel_connect(t->config->interface);
	if (fd == -ECONNREFUSED)
		unlink(tunnel_socket_path(t->config->interface, path));
	if (fd >= 0)
		close(fd);
}
