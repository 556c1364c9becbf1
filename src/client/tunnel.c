/* SPDX-License-Identifier: Apache-2.0 */
#include "client/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/tunnel.h"
#include "iface/from_conf.h"
#include "net/resolve.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum {
	SOCKET_POLL_NS = 5000000,
	EXIT_NO_PRIVILEGE = 4, /* as every command of ours says it */
	PATH_MTU = 1500,
	CALL_KEEPALIVE_S = 25,
};

#define SOCKET_PATIENCE_NS (UINT64_C(10) * 1000000000)
#define STOP_PATIENCE_NS   (UINT64_C(5) * 1000000000)

/* --- The process --- */

static int connect_to_it(void *context, int *ret_fd)
{
	const struct client_tunnel *t = context;
	int fd = tunnel_connect(t->plan->interface);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* It ended while we waited. It has written its reason to standard error. */
static int explain_end(int status, struct diag *d)
{
	if (WIFSIGNALED(status))
		return diag_set(d, -EPIPE, 0, "the tunnel process was ended by signal %d",
				WTERMSIG(status));
	if (WEXITSTATUS(status) == CHILD_EXEC_FAILED)
		return diag_set(d, -ENOEXEC, 0, "the tunnel process could not be started");
	return diag_set(d, WEXITSTATUS(status) == EXIT_NO_PRIVILEGE ? -EACCES : -EPIPE, 0,
			"the tunnel process ended with status %d", WEXITSTATUS(status));
}

static bool is_ours(const struct client_tunnel *t, int fd)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.pid == t->child.pid;
}

/* Is it ready? One that has no peers has no socket, and makes its interface when it is. */
static bool is_ready(const struct client_tunnel *t)
{
	struct netlink_link link;
	bool found = false;
	int fd = -1;

	if (t->proxy)
		return netlink_link_find(t->nl, t->plan->interface, &link) == 0;
	fd = tunnel_connect(t->plan->interface);
	if (fd >= 0) {
		found = is_ours(t, fd);
		close(fd);
	}
	return found;
}

static int wait_until_ready(struct client_tunnel *t, struct diag *d)
{
	const struct timespec pause = { .tv_nsec = SOCKET_POLL_NS };
	uint64_t deadline_ns = clock_boot_ns() + SOCKET_PATIENCE_NS;

	for (;;) {
		int status = 0;

		if (is_ready(t))
			return 0;
		client_tunnel_listen(t);
		if (child_reap(&t->child, &status)) {
			client_tunnel_listen(t);
			t->child.pid = 0;
			return explain_end(status, d);
		}
		if (clock_boot_ns() > deadline_ns)
			return diag_set(d, -ETIMEDOUT, 0,
					"the tunnel process does not get ready");
		nanosleep(&pause, NULL);
	}
}

void client_tunnel_listen(struct client_tunnel *t)
{
	char said[1024];
	ssize_t n;

	while (t->log_fd > 0 && (n = read(t->log_fd, said, sizeof(said))) > 0) {
		if (file_write_all(STDERR_FILENO, said, (size_t)n) < 0)
			return;
	}
}

/* Put @fd in the place of standard output and error, or those of @saved back. */
static void place_output(int fd, int saved[2])
{
	for (int i = 0; i < 2; i++) {
		int target = STDOUT_FILENO + i;

		if (fd >= 0) {
			saved[i] = fcntl(target, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
			dup2(fd, target);
		} else if (saved[i] >= 0) {
			dup2(saved[i], target);
			close(saved[i]);
		}
	}
}

/* The child is born with a pipe to us as its output. */
static int start_process(struct client_tunnel *t, const struct child_plan *plan)
{
	int ends[2], saved[2] = { -1, -1 }, err;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	fflush(stdout);
	place_output(ends[1], saved);
	err = child_start(&t->child, plan, clock_boot_ns());
	place_output(-1, saved);
	close(ends[1]);
	if (t->log_fd > 0)
		close(t->log_fd);
	t->log_fd = ends[0];
	return err;
}

int client_tunnel_start(struct client_tunnel *t, struct diag *d)
{
	const char *const argv[] = { "culvert-device", "-f", t->plan->interface, NULL };
	static const char *const inherits[] = { "LOG_LEVEL", NULL };
	static const char *const inherits_key[] = { "LOG_LEVEL", "VPN_API_KEY", NULL };
	struct proxy_child words;
	struct child_plan plan = { .argv = argv, .inherits = inherits };
	int err;

	t->child.name = "device";
	if (t->proxy) {
		proxy_child_make(t->proxy, t->plan, &words);
		plan = (struct child_plan){ .argv = words.argv, .inherits = inherits_key };
		t->child.name = "proxy-tunnel";
	}
	err = start_process(t, &plan);
	if (err < 0)
		return diag_set(d, err, 0, "cannot start the tunnel process: %s",
				err_text(err));
	return wait_until_ready(t, d);
}

bool client_tunnel_has_ended(struct client_tunnel *t)
{
	int status = 0;

	if (t->child.pid == 0)
		return t->due_ns != 0;
	if (!child_reap(&t->child, &status))
		return false;
	t->due_ns = child_ended(&t->child, clock_boot_ns());
	t->iface = iface_free(t->iface);
	t->index = 0;
	return true;
}

void client_tunnel_stop(struct client_tunnel *t)
{
	t->iface = iface_free(t->iface);
	if (t->child.pid)
		child_stop(&t->child, STOP_PATIENCE_NS);
	client_tunnel_listen(t);
	if (t->log_fd > 0)
		close(t->log_fd);
	t->log_fd = 0;
	t->index = 0;
}

/* --- What it is told --- */

static int set_peers(struct client_tunnel *t, struct diag *d)
{
	struct iface_snapshot now = { .n_peers = 0 };
	struct uapi_set set = { .n_peers = 0 };
	struct from_conf from = { .conf = t->conf, .endpoints = t->endpoints, .now = &now };
	int err = iface_snapshot_take(t->iface, &now, d);

	if (err == 0) {
		err = from_conf_make(&from, &set);
		if (err < 0)
			diag_set(d, err, 0, "%s", err_text(err));
	}
	set.has_fwmark = true;
	set.fwmark = t->plan->mark;
	if (err == 0)
		err = iface_set(t->iface, &set, d);
	uapi_set_done(&set);
	iface_snapshot_done(&now);
	return err;
}

/* The interface was born as new ones are on this host, which may be without IPv6. */
static void allow_ipv6(const char *interface)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/disable_ipv6", interface);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (file_write_all(fd, "0", 1) < 0)
		log_warning("%s: cannot switch on IPv6", interface);
	close(fd);
}

static uint32_t find_mtu(const struct client_tunnel *t)
{
	uint32_t least = PATH_MTU, path;

	for (size_t i = 0; i < t->plan->n_endpoints; i++) {
		if (resolve_path_mtu(&t->plan->endpoints[i], t->plan->mark, &path) == 0 &&
		    path < least)
			least = path;
	}
	return client_plan_mtu(t->plan, least, t->conf->interface.framing.pad[3]);
}

static int add_addresses(struct client_tunnel *t, struct diag *d)
{
	for (size_t i = 0; i < t->plan->n_addresses; i++) {
		struct netlink_address a = t->plan->addresses[i];
		char text[ADDR_TEXT_MAX];
		int err;

		if (a.ip.family == ADDR_V6 && !t->plan->has_tunnel6)
			continue;
		a.index = t->index;
		err = netlink_address_add(t->nl, &a);
		if (err < 0 && err != -EEXIST)
			return diag_set(d, err, 0, "address %s: %s",
					ip_addr_format(&a.ip, text), err_text(err));
	}
	return 0;
}

static int add_routes(struct client_tunnel *t, struct diag *d)
{
	struct netlink_route route;

	for (size_t i = 0; client_plan_route(t->plan, i, &route); i++) {
		char text[ADDR_TEXT_MAX];
		int err;

		if (route.is_unreachable)
			continue;
		route.index = t->index;
		err = netlink_route_add(t->nl, &route);
		if (err < 0 && err != -EEXIST)
			return diag_set(d, err, 0, "route to %s: %s",
					ip_prefix_format(&route.destination, text),
					err_text(err));
	}
	return 0;
}

static int set_link(struct client_tunnel *t, struct diag *d)
{
	struct netlink_link link;
	int err = netlink_link_find(t->nl, t->plan->interface, &link);

	if (err == 0) {
		t->index = link.index;
		if (t->plan->has_tunnel6)
			allow_ipv6(t->plan->interface);
		err = netlink_link_set_mtu(t->nl, t->index, find_mtu(t));
	}
	if (err < 0)
		return diag_set(d, err, 0, "interface %s: %s", t->plan->interface,
				err_text(err));
	err = add_addresses(t, d);
	if (err < 0)
		return err;
	err = netlink_link_set_up(t->nl, t->index, true);
	if (err < 0)
		return diag_set(d, err, 0, "cannot switch on %s: %s", t->plan->interface,
				err_text(err));
	return add_routes(t, d);
}

int client_tunnel_configure(struct client_tunnel *t, struct diag *d)
{
	int err = 0;

	if (t->proxy) /* it has been told all */
		return set_link(t, d);
	if (!t->iface)
		err = iface_userspace_new(-1, connect_to_it, t, &t->iface);
	if (err < 0)
		return diag_set(d, err, 0, "%s", err_text(err));
	err = set_peers(t, d);
	return err < 0 ? err : set_link(t, d);
}

int client_tunnel_look(struct client_tunnel *t, struct iface_snapshot *ret, struct diag *d)
{
	if (!t->iface)
		return diag_set(d, -ENOTCONN, 0, "the tunnel process does not run");
	return iface_snapshot_take(t->iface, ret, d);
}

/* --- Calling a peer --- */

/* A peer that gets an interval for keepalives sends the first at once, and for that a handshake. */
static int set_peer(struct client_tunnel *t, struct uapi_set_peer *peer, struct diag *d)
{
	struct uapi_set set = { .peers = peer, .n_peers = 1 };

	return iface_set(t->iface, &set, d);
}

static int forget_peer(struct client_tunnel *t, const struct wgconf_peer *peer, struct diag *d)
{
	struct uapi_set_peer gone = { .remove = true, .budget_bytes = UINT64_MAX };

	memcpy(gone.public_key, peer->public_key, sizeof(gone.public_key));
	return set_peer(t, &gone, d);
}

/* All of the peer again, as the file has it. */
static int make_peer(struct client_tunnel *t, const struct wgconf_peer *peer,
		     const struct endpoint *endpoint, struct diag *d)
{
	struct uapi_allowed_ip allowed[CLIENT_PREFIXES_MAX];
	struct uapi_set_peer new = { .endpoint = *endpoint,
				     .has_endpoint = true,
				     .has_preshared_key = true,
				     .preshared_key = peer->preshared_key,
				     .budget_bytes = UINT64_MAX,
				     .replace_allowed_ips = true,
				     .keepalive = { CALL_KEEPALIVE_S, CALL_KEEPALIVE_S },
				     .has_keepalive = true };
	struct uapi_set set = { .peers = &new, .n_peers = 1, .allowed_ips = allowed };
	int err;

	if (peer->n_allowed_ips > CLIENT_PREFIXES_MAX)
		return ERR_LIMIT;
	memcpy(new.public_key, peer->public_key, sizeof(new.public_key));
	for (size_t i = 0; i < peer->n_allowed_ips; i++)
		allowed[i] = (struct uapi_allowed_ip){
			.prefix = t->conf->allowed_ips[peer->first_allowed_ip + i]
		};
	set.n_allowed_ips = peer->n_allowed_ips;
	new.n_allowed_ips = (uint32_t)peer->n_allowed_ips;
	err = iface_set(t->iface, &set, d);
	secret_key_done(&new.preshared_key);
	return err;
}

/* Off, and on: only a change calls. */
static int nudge_peer(struct client_tunnel *t, const struct wgconf_peer *peer,
		      const struct endpoint *endpoint, struct diag *d)
{
	struct uapi_set_peer change = { .endpoint = *endpoint,
					.has_endpoint = true,
					.update_only = true,
					.budget_bytes = UINT64_MAX,
					.has_keepalive = true };
	int err;

	memcpy(change.public_key, peer->public_key, sizeof(change.public_key));
	err = set_peer(t, &change, d);
	change.keepalive = (struct frame_range){ CALL_KEEPALIVE_S, CALL_KEEPALIVE_S };
	return err < 0 ? err : set_peer(t, &change, d);
}

/* The interval of the file, once the call is on its way. */
static int restore_keepalive(struct client_tunnel *t, const struct wgconf_peer *peer,
			     struct diag *d)
{
	struct uapi_set_peer change = { .update_only = true,
					.budget_bytes = UINT64_MAX,
					.has_keepalive = true,
					.keepalive = peer->keepalive };

	memcpy(change.public_key, peer->public_key, sizeof(change.public_key));
	return set_peer(t, &change, d);
}

int client_tunnel_call(struct client_tunnel *t, size_t index, const struct endpoint *endpoint,
		       bool afresh, struct diag *d)
{
	const struct wgconf_peer *peer = &t->conf->peers[index];
	int err;

	if (!t->iface)
		return diag_set(d, -ENOTCONN, 0, "the tunnel process does not run");
	err = afresh ? forget_peer(t, peer, d) : 0;
	if (err == 0)
		err = afresh ? make_peer(t, peer, endpoint, d)
			     : nudge_peer(t, peer, endpoint, d);
	return err < 0 ? err : restore_keepalive(t, peer, d);
}
