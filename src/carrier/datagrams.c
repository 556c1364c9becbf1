/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/datagrams.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/clock.h"

#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#	define UDP_GRO 104
#endif

static_assert(offsetof(struct sockaddr_in, sin_port) ==
		      offsetof(struct sockaddr_in6, sin6_port),
	      "datagrams_port() reads either");

enum {
	BUFFER_OCTETS = 4 << 20, /* as far as the system lets us */
	SEND_OCTETS_MAX = 65507,
	FOREIGN_AT_ONCE = 64, /* are thrown away, before others have their turn */
};

static socklen_t to_name(const struct endpoint *e, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (e->ip.family == ADDR_V4) {
		struct sockaddr_in *sin = (struct sockaddr_in *)(void *)ret;

		sin->sin_family = AF_INET;
		sin->sin_port = htons(e->port);
		memcpy(&sin->sin_addr, e->ip.b, 4);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)ret;

	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(e->port);
	sin6->sin6_scope_id = e->scope;
	memcpy(&sin6->sin6_addr, e->ip.b, 16);
	return sizeof(*sin6);
}

static int open_socket(struct datagrams *u, int family)
{
	int on = 1, octets = BUFFER_OCTETS;

	memset(u, 0, sizeof(*u));
	u->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return -errno;
	/* Each of them is a help; without, it is slower. */
	(void)setsockopt(u->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	(void)setsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &octets, sizeof(octets));
	(void)setsockopt(u->fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
	return 0;
}

int datagrams_connect(struct datagrams *u, const struct endpoint *to)
{
	struct sockaddr_storage name;
	socklen_t len = to_name(to, &name);
	int err = open_socket(u, name.ss_family);

	if (err == 0 && connect(u->fd, (struct sockaddr *)&name, len) < 0) {
		err = -errno;
		datagrams_close(u);
	}
	u->is_connected = err == 0;
	return err;
}

int datagrams_listen(struct datagrams *u, const struct endpoint *at)
{
	struct sockaddr_storage name;
	socklen_t len = to_name(at, &name);
	int err = open_socket(u, name.ss_family);

	if (err == 0 && bind(u->fd, (struct sockaddr *)&name, len) < 0) {
		err = -errno;
		datagrams_close(u);
	}
	return err;
}

void datagrams_hear_only(struct datagrams *u, uint16_t port)
{
	atomic_store(&u->only_port, port);
}

uint16_t datagrams_port(const struct datagrams *u)
{
	struct sockaddr_in6 sin6 = { .sin6_port = 0 }; /* the port is where that of IPv4 is */
	socklen_t len = sizeof(sin6);

	return getsockname(u->fd, (struct sockaddr *)&sin6, &len) < 0 ? 0
								      : ntohs(sin6.sin6_port);
}

void datagrams_close(struct datagrams *u)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

/* What the kernel reports about something we sent earlier says nothing about receiving. */
static bool is_passing(int err)
{
	return err == EAGAIN || err == EINTR || err == ECONNREFUSED || err == EHOSTUNREACH ||
	       err == ENETUNREACH || err == EMSGSIZE;
}

static size_t segment_of(struct msghdr *m, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int segment = 0;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&segment, CMSG_DATA(c), sizeof(segment));
		return segment > 0 ? (size_t)segment : len;
	}
	return len;
}

static uint16_t port_of(const struct sockaddr_storage *name)
{
	struct sockaddr_in6 sin6;

	memcpy(&sin6, name, sizeof(sin6));
	return ntohs(sin6.sin6_port);
}

/* Whether @from is heard; it is then who is answered. */
static bool is_heard(struct datagrams *u, const struct sockaddr_storage *from, socklen_t len)
{
	uint64_t now_ns = clock_boot_ns();
	unsigned int only = atomic_load(&u->only_port);
	bool is_same = len == u->to_len && memcmp(from, &u->to, len) == 0;

	if (only != 0
		    ? port_of(from) != only
		    : !is_same && u->to_len > 0 && now_ns - u->heard_ns < DATAGRAMS_SILENT_NS) {
		u->foreign++;
		return false;
	}
	u->to = *from;
	u->to_len = len;
	u->heard_ns = now_ns;
	return true;
}

/* Return: octets; 0: there is none; -ENOMSG: it was not for us; -errno. */
static int receive_one(struct datagrams *u, uint8_t out[DATAGRAMS_BLOCK], size_t *ret_segment)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
	struct iovec iov = { out, DATAGRAMS_BLOCK };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(u->fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return is_passing(errno) ? 0 : -errno;
	if (!u->is_connected && !is_heard(u, &from, m.msg_namelen))
		return -ENOMSG;
	*ret_segment = segment_of(&m, (size_t)n);
	return (int)n;
}

int datagrams_receive(struct datagrams *u, uint8_t out[DATAGRAMS_BLOCK], size_t *ret_segment)
{
	int n = -ENOMSG;

	for (int i = 0; n == -ENOMSG && i < FOREIGN_AT_ONCE; i++)
		n = receive_one(u, out, ret_segment);
	return n == -ENOMSG ? 0 : n;
}

static int send_message(struct datagrams *u, struct iovec *iov, size_t n, uint16_t segment)
{
	char control[CMSG_SPACE(sizeof(segment))] __attribute__((aligned(8))) = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };

	if (!u->is_connected) {
		m.msg_name = &u->to;
		m.msg_namelen = u->to_len;
	}
	if (n > 1) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	return sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void send_singly(struct datagrams *u)
{
	for (size_t i = 0; i < u->batched; i++) {
		int err = send_message(u, &u->batch[i], 1, 0);

		/* Connected sockets report here what became of one before: this one did not go. */
		if (err == -ECONNREFUSED)
			err = send_message(u, &u->batch[i], 1, 0);
		u->lost += err != 0;
	}
}

/* Has somebody spoken, and is it who is heard now? */
static bool has_listener(struct datagrams *u)
{
	unsigned int only = atomic_load(&u->only_port);

	return u->to_len > 0 && (only == 0 || port_of(&u->to) == only);
}

void datagrams_flush(struct datagrams *u)
{
	int err = -EOPNOTSUPP;

	if (u->batched == 0)
		return;
	if (!u->is_connected && !has_listener(u)) {
		u->lost += u->batched;
	} else {
		if (u->batched > 1 && !u->has_no_segments)
			err = send_message(u, u->batch, u->batched,
					   (uint16_t)u->batch[0].iov_len);
		if (u->batched > 1 && (err == -EIO || err == -EINVAL || err == -EMSGSIZE))
			u->has_no_segments = err != -EMSGSIZE;
		if (err != 0)
			send_singly(u);
	}
	u->batched = 0;
	u->batch_octets = 0;
}

void datagrams_send(struct datagrams *u, const uint8_t *payload, size_t len)
{
	if (len > SEND_OCTETS_MAX) {
		u->lost++;
		return;
	}
	if (u->batched > 0 && (u->batched == DATAGRAMS_BATCH || len > u->batch[0].iov_len ||
			       u->batch_octets + len > SEND_OCTETS_MAX))
		datagrams_flush(u);
	u->batch[u->batched++] = (struct iovec){ (void *)(uintptr_t)payload, len };
	u->batch_octets += len;
	if (len < u->batch[0].iov_len) /* only the last of a run may be shorter */
		datagrams_flush(u);
}
