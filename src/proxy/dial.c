/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to one of several addresses. The first attempt has a quarter of a second before the next is
 * made beside it, or less when it fails; the first that succeeds is taken (RFC 8305 section 5). Families take
 * turns, beginning with that of the first address.
 */
#include <errno.h>
#include <stdlib.h>

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proxy/address.h"
#include "proxy/internal.h"

static const uint64_t MS_NS = 1000000;

static int open_socket(const struct endpoint *to)
{
	const int on = 1;
	bool is_v6 = to->ip.family == ADDR_V6;
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			0);

	if (fd < 0)
		return -errno;
	/* A mapped address would leave as IPv4. */
	if (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* The first attempt is watched as what it is going to be in most cases: what the client is connected to. */
static struct watch *watch_of(struct dial *d, size_t i)
{
	return i == 0 ? &d->client->far : &d->further[i];
}

/* Return: 0: under way; -errno. */
static int try_one(struct dial *d, const struct endpoint *to)
{
	const struct address address = address_write(to);
	struct watch *w = watch_of(d, d->n_tried);
	int fd = open_socket(to), err = 0;

	if (fd < 0)
		return fd;
	*w = (struct watch){ .kind = WATCH_TRY, .fd = fd, .of = d->client };
	if (connect(fd, &address.u.any, address.len) < 0 && errno != EINPROGRESS)
		err = -errno;
	if (err == 0)
		err = loop_watch(d->client->loop, w, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (err < 0) {
		close(fd);
		return err;
	}
	d->n_tried++;
	return 0;
}

static size_t count_open(struct dial *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_tried; i++)
		n += watch_of(d, i)->fd >= 0;
	return n;
}

static void give_up(struct client *c)
{
	int err = c->dial->err;

	dial_end(c);
	if (err == -ETIMEDOUT)
		client_refuse(c, 504, "the target did not answer in time");
	else
		client_refuse(c, 502, err_text(err));
}

/* Begin with as many addresses as it takes for one attempt to be under way. */
static void go_on(struct dial *d)
{
	struct client *c = d->client;
	uint64_t now_ns = c->loop->now_ns;

	while (d->next < d->n) {
		int err = try_one(d, &d->to[d->next++]);

		if (err == 0)
			break;
		d->err = err;
	}
	link_remove(&d->waits);
	if (count_open(d) == 0) {
		give_up(c);
		return;
	}
	if (d->next < d->n) {
		d->next_ns = now_ns + DIAL_NEXT_MS * MS_NS;
		link_append(&c->loop->dials, &d->waits);
	}
}

/* The next one of a family that was not looked at. */
static const struct endpoint *pick(const struct endpoint *to, size_t n, bool taken[],
				   uint8_t family)
{
	for (size_t i = 0; i < n; i++) {
		if (!taken[i] && to[i].ip.family == family) {
			taken[i] = true;
			return &to[i];
		}
	}
	return NULL;
}

static void take_turns(struct dial *d, const struct endpoint *to, size_t n)
{
	bool taken[RESOLVER_FOUND_MAX] = { false };
	uint8_t family = to[0].ip.family;

	while (d->n < DIAL_ATTEMPTS_MAX && d->n < n) {
		uint8_t other = family == ADDR_V6 ? ADDR_V4 : ADDR_V6;
		const struct endpoint *next = pick(to, n, taken, family);

		d->to[d->n++] = next ? *next : *pick(to, n, taken, other);
		family = other;
	}
}

void dial_begin(struct client *c, const struct endpoint *to, size_t n)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d) {
		client_refuse(c, 503, "there is no memory for another connection");
		return;
	}
	link_init(&d->waits);
	d->client = c;
	c->dial = d;
	take_turns(d, to, n);
	go_on(d);
}

static int error_of(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -errno : -err;
}

/* From here on @fd is no attempt. */
static int take_over(struct client *c, struct watch *w)
{
	int fd = w->fd;

	if (w != &c->far) {
		struct epoll_event event = { .events =
						     EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
					     .data.ptr = &c->far };

		w->fd = -1;
		if (epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, fd, &event) < 0) {
			close(fd);
			return -errno;
		}
	} else {
		c->far.fd = -1; /* dial_end() leaves it alone */
	}
	dial_end(c);
	c->far = (struct watch){ .kind = WATCH_FAR, .fd = fd, .of = c };
	return 0;
}

void dial_event(struct client *c, struct watch *w, uint32_t events)
{
	struct dial *d = c->dial;

	if (!d || w->fd < 0)
		return; /* of one that was closed a moment ago */
	if (events & (EPOLLERR | EPOLLHUP)) {
		d->err = error_of(w->fd);
		close(w->fd);
		w->fd = -1;
		if (d->next < d->n)
			go_on(d);
		else if (count_open(d) == 0)
			give_up(c);
		return;
	}
	if (!(events & EPOLLOUT))
		return;
	if (take_over(c, w) == 0)
		client_dialled(c, events);
	else
		client_refuse(c, 503, "no further connection can be watched");
}

void dial_next(struct dial *d)
{
	go_on(d);
}

void dial_end(struct client *c)
{
	struct dial *d = c->dial;

	if (!d)
		return;
	for (size_t i = 0; i < d->n_tried; i++) {
		struct watch *w = watch_of(d, i);

		if (w->fd >= 0)
			close(w->fd);
		w->fd = -1;
	}
	/* Events at hand may still lead to it. */
	link_append(&c->loop->gone_dials, &d->waits);
	c->dial = NULL;
}
