/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP for a client: capsules on its connection, a connected socket on the other side (RFC 9298). What the
 * socket does not take is dropped, as a network would. What the client does not take in time stays in its
 * flow, and no further datagram is read meanwhile: those are dropped by the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/capsule.h"
#include "proxy/address.h"
#include "proxy/internal.h"

enum { ROUNDS = 32 };

/**
 * struct capsules - What came of a capsule that is not whole yet
 * @kept:	CAPSULE_READ_MAX octets, of which @len are there; NULL: nothing
 */
struct capsules {
	struct capsule_reader reader;
	uint8_t *kept;
	size_t len;
};

static int keep(struct capsules *u, const void *data, size_t len)
{
	if (len == 0)
		return 0;
	u->kept = malloc(CAPSULE_READ_MAX);
	if (!u->kept)
		return -ENOMEM;
	memcpy(u->kept, data, len);
	u->len = len;
	return 0;
}

int udp_begin(struct client *c, const char *early, size_t len)
{
	c->capsules = calloc(1, sizeof(*c->capsules));
	return c->capsules ? keep(c->capsules, early, len) : -ENOMEM;
}

void udp_end(struct client *c)
{
	if (c->capsules)
		free(c->capsules->kept);
	free(c->capsules);
	c->capsules = NULL;
}

static int connect_to(const struct endpoint *to)
{
	const struct address address = address_write(to);
	int fd = socket(address.u.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (connect(fd, &address.u.any, address.len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int udp_dial(struct client *c, const struct endpoint *to, size_t n)
{
	int fd = -EHOSTUNREACH, err;

	for (size_t i = 0; i < n && fd < 0; i++)
		fd = connect_to(&to[i]);
	if (fd < 0)
		return fd;
	c->far = (struct watch){ .kind = WATCH_FAR, .fd = fd, .of = c };
	err = loop_watch(c->loop, &c->far, EPOLLIN | EPOLLET);
	if (err == 0)
		return 0;
	close(fd);
	c->far.fd = -1;
	return err;
}

/* --- Up --- */

/* Send what is whole of @len octets at @data. Return: octets used; -1: that is no stream of capsules. */
static ssize_t send_payloads(struct client *c, const uint8_t *data, size_t len)
{
	struct capsule_found found;
	size_t at = 0;

	for (;;) {
		enum capsule_step step =
			capsule_read(&c->capsules->reader, data + at, len - at, &found);

		at += found.used;
		if (step == CAPSULE_BROKEN)
			return -1;
		if (step == CAPSULE_MORE)
			return (ssize_t)at;
		(void)send(c->far.fd, found.payload, found.len, MSG_NOSIGNAL);
	}
}

/* Of the octets at @data, which are @u's own or everybody's, the unused ones stay. */
static int digest(struct client *c, uint8_t *data, size_t len)
{
	struct capsules *u = c->capsules;
	ssize_t used = send_payloads(c, data, len);
	size_t left;

	if (used < 0)
		return ERR_FORMAT;
	left = len - (size_t)used;
	if (!u->kept)
		return keep(u, data + used, left);
	memmove(u->kept, u->kept + used, left);
	u->len = left;
	if (left == 0) {
		free(u->kept);
		u->kept = NULL;
	}
	return left == CAPSULE_READ_MAX ? ERR_LIMIT : 0;
}

enum flow_state udp_pump_up(struct client *c, uint64_t *ret_moved)
{
	struct capsules *u = c->capsules;
	struct loop *w = c->loop;

	if (u->kept && digest(c, u->kept, u->len) < 0) /* what came early may be whole */
		return FLOW_BROKEN;
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t *data = u->kept ? u->kept : w->scratch;
		size_t room = u->kept ? CAPSULE_READ_MAX - u->len : FLOW_COPY;
		size_t before = u->kept ? u->len : 0;
		ssize_t n;

		if (!c->up.readable)
			return FLOW_WAITS;
		n = recv(c->near.fd, data + before, room, 0);
		if (n < 0 && errno == EAGAIN)
			c->up.readable = false;
		else if (n < 0 && errno != EINTR)
			return FLOW_BROKEN;
		else if (n == 0)
			return FLOW_ENDED;
		if (n <= 0)
			continue;
		*ret_moved += (uint64_t)n;
		if (digest(c, data, before + (size_t)n) < 0)
			return FLOW_BROKEN;
	}
	return FLOW_AGAIN;
}

/* --- Down --- */

enum flow_state udp_pump_down(struct client *c, uint64_t *ret_moved)
{
	uint8_t *payload = c->loop->scratch + CAPSULE_HEADER_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		enum flow_state state = flow_flush(&c->down, c->near.fd);
		uint8_t header[CAPSULE_HEADER_MAX];
		size_t header_len;
		ssize_t n;

		if (state != FLOW_AGAIN)
			return state;
		if (!c->down.readable)
			return FLOW_WAITS;
		n = recv(c->far.fd, payload, FLOW_COPY - CAPSULE_HEADER_MAX, 0);
		if (n < 0 && errno == EAGAIN)
			c->down.readable = false;
		if (n < 0) /* that nobody listens there is no end: somebody may */
			continue;
		header_len = capsule_header(header, (size_t)n);
		memcpy(payload - header_len, header, header_len);
		*ret_moved += (uint64_t)n;
		if (flow_put(&c->down, c->near.fd, payload - header_len,
			     header_len + (size_t)n) == FLOW_BROKEN)
			return FLOW_BROKEN;
	}
	return FLOW_AGAIN;
}
