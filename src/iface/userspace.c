/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "iface/iface.h"

enum {
	SILENCE_S = 10, /* between two pieces of an answer: then the device counts as stuck */
	BUSY_PAUSE_MS = 50,
	BUFFER_LEN = 65536,
};

struct userspace {
	struct iface iface; /* first: the ops get a pointer to it */
	int fd;
	int (*connect)(void *context, int *ret_fd);
	void *context;
	char *buffer; /* BUFFER_LEN: answers may hold keys, so it is wiped after each */
	size_t len;   /* octets of @buffer not yet read as lines */
	iface_line_visitor line; /* who hears every line of an answer; NULL: nobody */
	void *line_context;
	bool has_told_state; /* it knows the question */
	bool tells_no_state; /* it does not */
};

static struct userspace *of(struct iface *i)
{
	return (struct userspace *)i;
}

static void userspace_close(struct iface *i)
{
	struct userspace *u = of(i);

	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
	u->len = 0;
}

static void limit_silence(int fd)
{
	const struct timeval limit = { .tv_sec = SILENCE_S };

	/* A socket that takes no limit is one that waits longer, not a failure. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int open_if_closed(struct userspace *u, struct diag *d)
{
	int fd = -1, err;

	if (u->fd >= 0)
		return 0;
	err = u->connect(u->context, &fd);
	if (err != 0)
		return diag_set(d, err, 0, "the interface cannot be reached: %s",
				err_text(err));
	limit_silence(fd);
	u->fd = fd;
	return 0;
}

/* --- Talking --- */

static int say(struct userspace *u, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(u->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* More octets behind those in the buffer. */
static int hear(struct userspace *u)
{
	if (u->len == BUFFER_LEN)
		return ERR_LIMIT;
	for (;;) {
		ssize_t n = recv(u->fd, u->buffer + u->len, BUFFER_LEN - u->len, 0);

		if (n > 0) {
			u->len += (size_t)n;
			return 0;
		}
		if (n == 0)
			return -ECONNRESET;
		if (errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
}

/* Read lines until the empty one that ends an answer. */
static int hear_answer(struct userspace *u, struct uapi_get_reader *r, struct diag *d)
{
	bool is_over = false;
	int err = 0;

	while (!is_over && err == 0) {
		size_t at = 0;
		char *end;

		while (!is_over && err == 0 &&
		       (end = memchr(u->buffer + at, '\n', u->len - at)) != NULL) {
			size_t len = (size_t)(end - u->buffer) - at;

			is_over = len == 0;
			if (!is_over && u->line)
				u->line(u->line_context, u->buffer + at, len);
			if (!is_over)
				err = uapi_get_line(r, u->buffer + at, len, d);
			at += len + 1;
		}
		memmove(u->buffer, u->buffer + at, u->len - at);
		u->len -= at;
		if (!is_over && err == 0)
			err = hear(u);
	}
	if (err == 0 && !r->is_done)
		return ERR_FORMAT;
	return err;
}

static int ask(struct userspace *u, const char *request, size_t len, struct uapi_get_reader *r,
	       struct diag *d)
{
	int err = open_if_closed(u, d);

	if (err != 0)
		return err;
	err = say(u, request, len);
	if (err == 0)
		err = hear_answer(u, r, d);
	secret_wipe(u->buffer, BUFFER_LEN);
	if (err != 0) {
		userspace_close(&u->iface);
		return diag_set(d, err, 0, "the interface does not answer: %s", err_text(err));
	}
	if (r->uapi_errno == 0)
		return 0;
	if (r->uapi_errno == UAPI_EBUSY && r->peer) /* a get, which has no rest */
		return diag_set(d, -EBUSY, 0, "the interface is busy with another reader");
	/* A device that stops at the first bad line may take the rest for the next request. */
	userspace_close(&u->iface);
	return diag_set(d, -EINVAL, 0, "the interface refused with errno %d", r->uapi_errno);
}

static int userspace_set(struct iface *i, const struct uapi_set *set, struct diag *d)
{
	struct uapi_get_reader r = { .is_done = false };
	struct text request = { .data = NULL };
	int err;

	uapi_write_set(&request, set);
	err = request.err ? request.err : ask(of(i), request.data, request.len, &r, d);
	uapi_get_reader_done(&r);
	text_done(&request);
	return err;
}

static int get_once(struct userspace *u, iface_peer_visitor visit, void *context,
		    struct diag *d)
{
	static const char request[] = "get=1\n\n";
	struct uapi_get_reader r = { .peer = visit, .context = context };
	int err = ask(u, request, sizeof(request) - 1, &r, d);

	uapi_get_reader_done(&r);
	return err;
}

/* A device has one such answer under way at a time; others of this process ask too. */
static int userspace_get(struct iface *i, iface_peer_visitor visit, void *context,
			 struct diag *d)
{
	static const struct timespec pause = { .tv_nsec = BUSY_PAUSE_MS * 1000000L };
	int err = get_once(of(i), visit, context, d);

	for (int ms = 0; err == -EBUSY && ms < SILENCE_S * 1000; ms += BUSY_PAUSE_MS) {
		nanosleep(&pause, NULL);
		err = get_once(of(i), visit, context, d);
	}
	return err;
}

static int userspace_state(struct iface *i, struct iface_state *ret, struct diag *d)
{
	static const char request[] = "state=1\n\n";
	struct uapi_get_reader r = { .is_done = false };
	struct userspace *u = of(i);
	int err = u->tells_no_state ? -EOPNOTSUPP : ask(u, request, sizeof(request) - 1, &r, d);

	if (err == -ECONNRESET && !u->has_told_state)
		u->tells_no_state = true;
	if (err == 0 && !r.device.has_state)
		err = diag_set(d, ERR_FORMAT, 0, "the interface does not tell its state");
	if (err == 0) {
		u->has_told_state = true;
		ret->number = r.device.state;
		ret->listen_port = r.device.listen_port;
		memcpy(ret->public_key, r.device.public_key, sizeof(ret->public_key));
	}
	uapi_get_reader_done(&r);
	return u->tells_no_state ? -EOPNOTSUPP : err;
}

int iface_userspace_read(struct iface *i, iface_line_visitor line, iface_peer_visitor visit,
			 void *context, struct diag *d)
{
	struct userspace *u = of(i);
	int err;

	u->line = line;
	u->line_context = context;
	err = userspace_get(i, visit, context, d);
	u->line = NULL;
	return err;
}

static bool userspace_is_open(struct iface *i)
{
	struct pollfd p = { .fd = of(i)->fd, .events = POLLIN | POLLRDHUP };

	/* Nothing is ever due between two requests: readable means closed, or out of step. */
	return p.fd >= 0 && poll(&p, 1, 0) == 0;
}

static void userspace_free(struct iface *i)
{
	struct userspace *u = of(i);

	userspace_close(i);
	free(u->buffer);
	free(u);
}

static const struct iface_ops userspace_ops = {
	.set = userspace_set,
	.get = userspace_get,
	.state = userspace_state,
	.is_open = userspace_is_open,
	.close = userspace_close,
	.free = userspace_free,
};

int iface_userspace_new(int fd, int (*connect)(void *context, int *ret_fd), void *context,
			struct iface **ret)
{
	struct userspace *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->buffer = malloc(BUFFER_LEN);
	if (!u->buffer) {
		free(u);
		return -ENOMEM;
	}
	u->iface.ops = &userspace_ops;
	u->fd = fd;
	u->connect = connect;
	u->context = context;
	if (fd >= 0)
		limit_silence(fd);
	*ret = &u->iface;
	return 0;
}
