/* SPDX-License-Identifier: Apache-2.0 */
#include "device/sockets.h"

#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "net/udp_socket.h"

enum { PORT_TRIES = 100 };

static void close_family(struct socket_family *f, unsigned int workers)
{
	for (unsigned int i = 0; i < workers; i++) {
		if (f->data[i] >= 0)
			close(f->data[i]);
		f->data[i] = -1;
	}
	if (f->handshake >= 0)
		close(f->handshake);
	f->handshake = -1;
}

static void stock(struct sockets *s, enum addr_family family, int *spare, unsigned int *n)
{
	for (unsigned int i = 0; i < SOCKETS_SPARE_SETS * (s->workers + 1); i++) {
		bool is_forced = false;
		int fd = udp_create(family, &is_forced);

		if (fd < 0)
			return;
		if (!is_forced)
			s->is_small = true;
		spare[(*n)++] = fd;
	}
}

int sockets_init(struct sockets *s, unsigned int workers)
{
	memset(s, 0, sizeof(*s));
	s->workers = workers;
	memset(&s->v4, -1, sizeof(s->v4));
	memset(&s->v6, -1, sizeof(s->v6));
	stock(s, ADDR_V4, s->spare4, &s->n_spare4);
	stock(s, ADDR_V6, s->spare6, &s->n_spare6);
	return s->n_spare4 || s->n_spare6 ? 0 : -EAFNOSUPPORT;
}

void sockets_close(struct sockets *s)
{
	close_family(&s->v4, s->workers);
	close_family(&s->v6, s->workers);
	s->port = 0;
}

void sockets_done(struct sockets *s)
{
	sockets_close(s);
	while (s->n_spare4)
		close(s->spare4[--s->n_spare4]);
	while (s->n_spare6)
		close(s->spare6[--s->n_spare6]);
}

static int take(struct sockets *s, enum addr_family family)
{
	int *spare = family == ADDR_V4 ? s->spare4 : s->spare6;
	unsigned int *n = family == ADDR_V4 ? &s->n_spare4 : &s->n_spare6;
	bool is_forced = false;
	int fd = -1;

	if (*n)
		return spare[--*n];
	fd = udp_create(family, &is_forced);
	if (fd >= 0 && !is_forced)
		s->is_small = true;
	return fd;
}

static int open_one(struct sockets *s, enum addr_family family, uint16_t port, int *ret)
{
	int fd = take(s, family), bound = 0;

	if (fd < 0)
		return fd;
	bound = s->mark ? udp_set_mark(fd, s->mark) : 0;
	if (bound == 0)
		bound = udp_bind(fd, family, port);
	if (bound < 0) {
		close(fd);
		return bound;
	}
	*ret = fd;
	return bound;
}

/* Return: the port, or an error with the family closed. */
static int open_family(struct sockets *s, enum addr_family family, uint16_t port)
{
	struct socket_family *f = family == ADDR_V4 ? &s->v4 : &s->v6;
	int bound = port;

	if (port && !udp_port_is_free(family, port))
		return -EADDRINUSE;
	for (unsigned int i = 0; i < s->workers && bound >= 0; i++)
		bound = open_one(s, family, (uint16_t)bound, &f->data[i]);
	if (bound >= 0)
		bound = open_one(s, family, (uint16_t)bound, &f->handshake);
	if (bound >= 0)
		udp_set_gro(f->handshake, false);
	if (bound >= 0 && udp_steer(f->handshake, s->workers, &s->steering) < 0) {
		/* Without steering, data would reach the keeper: do without the extra socket. */
		close(f->handshake);
		f->handshake = -1;
		s->is_steered = false;
	}
	if (bound < 0)
		close_family(f, s->workers);
	return bound;
}

static int try_open(struct sockets *s, uint16_t port)
{
	int port4 = open_family(s, ADDR_V4, port);
	int port6 = port4 < 0 && port4 != -EAFNOSUPPORT
			    ? port4
			    : open_family(s, ADDR_V6, port4 > 0 ? (uint16_t)port4 : port);

	if (port6 == -EAFNOSUPPORT || (port6 == -EADDRNOTAVAIL && port4 > 0))
		port6 = port4; /* no IPv6 here */
	if (port6 < 0) {
		sockets_close(s);
		return port6;
	}
	s->port = (uint16_t)port6;
	return 0;
}

int sockets_open(struct sockets *s, uint16_t port, uint32_t mark)
{
	int err = 0;

	s->mark = mark;
	s->is_steered = true;
	/* A port the kernel chose for IPv4 may be taken for IPv6: choose again. */
	for (int i = 0; i < (port ? 1 : PORT_TRIES); i++) {
		err = try_open(s, port);
		if (err != -EADDRINUSE)
			break;
	}
	return err;
}

static int mark_family(const struct socket_family *f, unsigned int workers, uint32_t mark)
{
	int err = 0;

	for (unsigned int i = 0; i < workers && err == 0; i++)
		if (f->data[i] >= 0)
			err = udp_set_mark(f->data[i], mark);
	if (err == 0 && f->handshake >= 0)
		err = udp_set_mark(f->handshake, mark);
	return err;
}

int sockets_set_mark(struct sockets *s, uint32_t mark)
{
	int err = mark_family(&s->v4, s->workers, mark);

	if (err == 0)
		err = mark_family(&s->v6, s->workers, mark);
	if (err < 0) { /* the old one was allowed */
		mark_family(&s->v4, s->workers, s->mark);
		mark_family(&s->v6, s->workers, s->mark);
		return err;
	}
	s->mark = mark;
	return 0;
}

void sockets_steer(struct sockets *s, const struct udp_steering *steering)
{
	int fds[] = { s->v4.handshake, s->v6.handshake };

	s->steering = *steering;
	/* Refused now, although it was taken before: then the old shapes go on. What is sorted
	 * wrongly takes the longer way, no more. */
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			udp_steer(fds[i], s->workers, steering);
}

void sockets_adopt(struct sockets *s, struct socket_family *v4, struct socket_family *v6)
{
	s->v4 = *v4;
	s->v6 = *v6;
	memset(v4, -1, sizeof(*v4));
	memset(v6, -1, sizeof(*v6));
	s->port = udp_port(s->v4.data[0] >= 0 ? s->v4.data[0] : s->v6.data[0]);
	s->is_steered = s->v4.handshake >= 0 || s->v6.handshake >= 0;
}
