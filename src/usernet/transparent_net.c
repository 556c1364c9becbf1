/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/transparent_net.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/netlink.h"

enum {
	TABLE = 100,
	RULE_PRIORITY = 100,
	BACKLOG = 4096,
	TXQUEUELEN = 4096,
	GSO_SIZE = 65536,
	GSO_SEGMENTS = 44, /* as many as one block of the engine holds */
	PASSED_MAX = 1 + TRANSPARENT_LISTENERS_MAX,
};

static const char tun_name[] = "peers";

/* What the child says: how it went, and with which step it ended. */
struct word {
	int err;
	char step[64];
};

void transparent_net_done(struct transparent_net *net)
{
	tun_close(&net->tun);
	for (size_t i = 0; i < net->n_listeners; i++)
		close(net->listeners[i]);
	net->n_listeners = 0;
}

/* --- In the child --- */

/* Everything that comes out of the TUN is for this host, and everything else leaves by it. */
static int route_family(struct netlink *nl, uint8_t family, uint32_t tun, uint32_t loopback)
{
	const struct ip_prefix all = { .ip = { .family = family } };
	const struct netlink_route routes[] = {
		{ .destination = all, .index = loopback, .table = TABLE, .is_local = true },
		{ .destination = all, .index = tun },
	};
	const struct netlink_rule rule = { .family = family,
					   .came_by = tun_name,
					   .table = TABLE,
					   .priority = RULE_PRIORITY,
					   .suppress_bits = -1 };
	int err = netlink_rule_add(nl, &rule);

	for (size_t i = 0; i < 2 && err == 0; i++)
		err = netlink_route_add(nl, &routes[i]);
	return err;
}

static int shape(struct netlink *nl, uint32_t mtu, uint32_t *ret_tun, uint32_t *ret_loopback)
{
	struct netlink_link tun = { 0 }, loopback = { 0 };
	int err = netlink_link_find(nl, tun_name, &tun);

	if (err == 0)
		err = netlink_link_find(nl, "lo", &loopback);
	if (err == 0)
		err = netlink_link_set_mtu(nl, tun.index, mtu);
	if (err < 0)
		return err;
	netlink_link_set_txqueuelen(nl, tun.index, TXQUEUELEN);
	netlink_link_set_gso(nl, tun.index, GSO_SIZE, GSO_SEGMENTS);
	err = netlink_link_set_up(nl, loopback.index, true);
	if (err == 0)
		err = netlink_link_set_up(nl, tun.index, true);
	*ret_tun = tun.index;
	*ret_loopback = loopback.index;
	return err;
}

/* Without IPv6 in this kernel what peers send over it is refused, as by its sockets outside. */
static int configure(uint32_t mtu)
{
	struct netlink *nl = NULL;
	uint32_t tun = 0, loopback = 0;
	int err = netlink_open(&nl);

	if (err == 0)
		err = shape(nl, mtu, &tun, &loopback);
	if (err == 0)
		err = route_family(nl, ADDR_V4, tun, loopback);
	if (err == 0)
		err = route_family(nl, ADDR_V6, tun, loopback);
	netlink_close(nl);
	return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}

static bool set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* What accepted sockets are to have is set here once: they inherit it. */
static int listen_on(uint16_t port, int *ret)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool is_v6 = fd >= 0;
	int err = 0;

	if (!is_v6)
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!set(fd, IPPROTO_IP, IP_TRANSPARENT, 1) ||
	    (is_v6 && (!set(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1) ||
		       !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0))) ||
	    !set(fd, IPPROTO_TCP, TCP_NODELAY, 1) || !set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) ||
	    !set(fd, SOL_SOCKET, SO_OOBINLINE, 1) ||
	    (is_v6 ? bind(fd, (const struct sockaddr *)&any6, sizeof(any6))
		   : bind(fd, (const struct sockaddr *)&any4, sizeof(any4))) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret = fd;
	return 0;
}

static int fail(struct word *w, int err, const char *step)
{
	w->err = err;
	strncpy(w->step, step, sizeof(w->step) - 1);
	return err;
}

static int build(uint32_t mtu, size_t n_listeners, struct transparent_net *net, struct word *w)
{
	int err = unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? -errno : 0;

	if (err < 0)
		return fail(w, err, "a user and network namespace");
	err = tun_open(tun_name, false, &net->tun);
	if (err < 0)
		return fail(w, err, "/dev/net/tun in a namespace");
	if (!net->tun.has_tso)
		return fail(w, -EOPNOTSUPP, "a TUN with segmentation offload");
	err = configure(mtu);
	if (err < 0)
		return fail(w, err, "routes of a namespace");
	for (size_t i = 0; i < n_listeners; i++) {
		err = listen_on((uint16_t)(TRANSPARENT_PORT + i), &net->listeners[i]);
		if (err < 0)
			return fail(w, err, "a transparent listener");
		net->n_listeners++;
	}
	return 0;
}

static void say(int fd, const struct word *w, const struct transparent_net *net)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSED_MAX * sizeof(int))] = { 0 };
	struct word copy = *w;
	struct iovec slice = { &copy, sizeof(copy) };
	struct msghdr msg = { .msg_iov = &slice, .msg_iovlen = 1 };
	size_t n = 1 + net->n_listeners;

	if (w->err == 0) {
		struct cmsghdr *c = NULL;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), &net->tun.fd, sizeof(int));
		memcpy(CMSG_DATA(c) + sizeof(int), net->listeners, (n - 1) * sizeof(int));
	}
	/* Who does not get this sees our end. */
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static _Noreturn void be_child(int fd, uint32_t mtu, size_t n_listeners)
{
	struct transparent_net net = { .tun.fd = -1 };
	struct word w = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	build(mtu, n_listeners, &net, &w);
	say(fd, &w, &net);
	_exit(0);
}

/* --- Outside --- */

/* Descriptors of a message; what is more than expected is closed by the kernel (MSG_CTRUNC). */
static int take_descriptors(struct msghdr *msg, size_t n_listeners, struct transparent_net *net)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fds[PASSED_MAX];

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN((1 + n_listeners) * sizeof(int)) ||
	    msg->msg_flags & MSG_CTRUNC)
		return ERR_FORMAT;
	memcpy(fds, CMSG_DATA(c), (1 + n_listeners) * sizeof(int));
	memcpy(net->listeners, fds + 1, n_listeners * sizeof(int));
	net->n_listeners = n_listeners;
	return tun_adopt(fds[0], &net->tun);
}

static int hear(int fd, size_t n_listeners, struct transparent_net *net, struct word *w)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSED_MAX * sizeof(int))] = { 0 };
	struct iovec slice = { w, sizeof(*w) };
	struct msghdr msg = { .msg_iov = &slice,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = 0;

	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail(w, -errno, "a word of the child that makes a namespace");
	if (n != sizeof(*w))
		return fail(w, -ECHILD, "a word of the child that makes a namespace");
	w->step[sizeof(w->step) - 1] = '\0';
	if (w->err < 0)
		return w->err;
	return fail(w, take_descriptors(&msg, n_listeners, net), "descriptors of a namespace");
}

int transparent_net_open(uint32_t mtu, size_t n_listeners, struct transparent_net *ret,
			 struct diag *d)
{
	struct transparent_net net = { .tun.fd = -1 };
	struct word w = { 0 };
	int pair[2], err = 0;
	pid_t child = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return diag_set(d, -errno, 0, "cannot make a pair of sockets: %s",
				err_text(-errno));
	child = fork();
	if (child == 0)
		be_child(pair[1], mtu, n_listeners);
	err = child < 0 ? fail(&w, -errno, "a process") : 0;
	close(pair[1]);
	if (err == 0)
		err = hear(pair[0], n_listeners, &net, &w);
	close(pair[0]);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (err < 0) {
		transparent_net_done(&net);
		return diag_set(d, err, 0, "cannot have %s: %s", w.step, err_text(err));
	}
	*ret = net;
	return 0;
}
