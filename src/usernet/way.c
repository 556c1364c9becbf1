/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/way.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "crypto/secret.h"
#include "sys/log.h"
#include "usernet/internal.h"

enum { LOOK_BYTES = 2048 };

#define TELL_AGAIN_AFTER (60 * SECOND)

/**
 * struct way_talk - @request is wiped and forgotten once it was sent
 */
struct way_talk {
	char request[CONNECT_REQUEST_MAX];
	size_t request_len;
	size_t sent;
	bool is_connected; /* to the proxy */
	enum way_kind kind;
	struct connect_head head;
};

int way_init(struct way *w, const struct endpoint *proxy, uint32_t mark, const char *credential)
{
	const struct ip_addr nobody = { .family = ADDR_V4 };
	char request[CONNECT_REQUEST_MAX];
	int err = connect_request_write(&nobody, 0, credential, request);

	secret_wipe(request, sizeof(request));
	if (err < 0)
		return err;
	*w = (struct way){ .proxy = *proxy, .mark = mark };
	if (credential)
		memcpy(w->credential, credential, strlen(credential) + 1);
	return 0;
}

void way_done(struct way *w)
{
	secret_wipe(w, sizeof(*w));
}

struct way_talk *way_talk_free(struct way_talk *t)
{
	if (t)
		secret_wipe(t->request, sizeof(t->request));
	free(t);
	return NULL;
}

unsigned int way_status(const struct way_talk *t)
{
	return t->head.status;
}

/* --- Opening --- */

static int open_socket(const struct way *w)
{
	const int on = 1;
	int fd = host_socket(w->proxy.ip.family, SOCK_STREAM, 0);

	if (fd < 0)
		return fd;
	if (w->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &w->mark, sizeof(w->mark)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return fd;
}

/* The proxy is not there: that says nothing about the destination. */
static int about_the_proxy(int err)
{
	return err == -ECONNREFUSED || err == -EHOSTUNREACH || err == -ETIMEDOUT ? -ENETUNREACH
										 : err;
}

int way_open(const struct way *w, enum way_kind kind, const struct ip_addr *to, uint16_t port,
	     struct way_talk **ret)
{
	struct way_talk *t = calloc(1, sizeof(*t));
	struct sockaddr_storage address;
	int fd = t ? open_socket(w) : -ENOMEM, n = 0;

	if (fd < 0)
		goto failed;
	t->kind = kind;
	n = kind == WAY_OCTETS
		    ? connect_request_write(to, port, w->credential, t->request)
		    : connect_request_write_udp(&w->proxy, to, port, w->credential, t->request);
	t->request_len = n > 0 ? (size_t)n : 0;
	if (connect(fd, (struct sockaddr *)&address,
		    host_address(&w->proxy.ip, w->proxy.port, &address)) < 0 &&
	    errno != EINPROGRESS) {
		n = about_the_proxy(-errno);
		close(fd);
		fd = n;
		goto failed;
	}
	*ret = t;
	return fd;
failed:
	way_talk_free(t);
	return fd;
}

/* --- Going on --- */

/* Return: 0 when the proxy is there, -EAGAIN, -errno. */
static int finish_connecting(struct way_talk *t, int fd, const uint32_t *events)
{
	socklen_t size = sizeof(int);
	int err = 0;

	if (t->is_connected)
		return 0;
	if (!(*events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return -EAGAIN;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		err = errno;
	if (err)
		return about_the_proxy(-err);
	t->is_connected = true;
	return 0;
}

static int ask(struct way_talk *t, int fd, uint32_t *events)
{
	while (t->sent < t->request_len) {
		ssize_t n = send(fd, t->request + t->sent, t->request_len - t->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			*events &= ~(uint32_t)EPOLLOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
		t->sent += n > 0 ? (size_t)n : 0;
	}
	secret_wipe(t->request, sizeof(t->request));
	return 0;
}

/* Return: octets looked at, or -errno; the end of the stream is -ECONNRESET. */
static ssize_t look(int fd, uint8_t *at, uint32_t *events)
{
	ssize_t n = recv(fd, at, LOOK_BYTES, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		*events &= ~(uint32_t)EPOLLIN;
	if (n < 0)
		return -errno;
	return n == 0 ? -ECONNRESET : n;
}

static int hear(struct way_talk *t, int fd, uint32_t *events)
{
	uint8_t octets[LOOK_BYTES];

	while (t->head.progress == CONNECT_WANTS_MORE) {
		ssize_t n = look(fd, octets, events);
		size_t used = 0;

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		used = connect_head_read(&t->head, octets, (size_t)n);
		if (recv(fd, octets, used, MSG_DONTWAIT) != (ssize_t)used)
			return -EPROTO; /* what was there a moment ago */
	}
	return t->kind == WAY_OCTETS ? connect_head_errno(&t->head)
				     : connect_head_errno_udp(&t->head);
}

/* Every connection fails alike then: once is enough. */
static void tell_operator(struct way *w, const struct connect_head *h, uint64_t now_ns)
{
	if (h->progress != CONNECT_ANSWERED || (h->status != 407 && h->status != 401) ||
	    (w->told_ns && now_ns < w->told_ns + TELL_AGAIN_AFTER))
		return;
	w->told_ns = now_ns;
	log_warning("the proxy refuses the key: it answers %u to CONNECT", h->status);
}

int way_go_on(struct way *w, struct way_talk *t, int fd, uint64_t now_ns, uint32_t *events)
{
	int err = finish_connecting(t, fd, events);

	if (err == 0)
		err = ask(t, fd, events);
	if (err == 0)
		err = hear(t, fd, events);
	if (err < 0 && err != -EAGAIN)
		tell_operator(w, &t->head, now_ns);
	return err;
}
