/* SPDX-License-Identifier: Apache-2.0 */
#include "device/uapi_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "conf/uapi_lines.h"
#include "device/handover.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

#define SECOND_NS UINT64_C(1000000000)

enum {
	READS_PER_EVENT = 16,	     /* then others get their turn */
	WATCH_BACKLOG_MAX = 1 << 20, /* octets a watcher may be behind */
};

enum operation {
	OPERATION_NONE, /* between requests */
	OPERATION_GET,
	OPERATION_SET,
	OPERATION_STATE,
	OPERATION_WATCH,
	OPERATION_LIMIT,
	OPERATION_HANDOVER, /* and stop at once */
	OPERATION_OFFER,
	OPERATION_STOP,
	OPERATION_DONE,
};

/**
 * struct connection - One client
 * @error:	UAPI_E... of the running set, or 0; its remaining lines are only read
 * @window_ns, @in_window: Octets moved since that second began
 * @rests:	Limited, and moved too much: nothing is read or handled until the timer comes
 * @out, @out_sent: Reply that is being written; while there is one nothing is read
 * @events:	What the epoll set watches for
 */
struct connection {
	int fd;
	struct uapi_server *server;
	enum operation operation;
	struct uapi_set set;
	struct uapi_lines lines;
	int error;
	enum uapi_dialect dialect;
	bool is_closing; /* after the reply */
	bool is_watching;
	bool asks_state;   /* it drives the device: its sets are not news to it */
	bool is_limited;   /* not for the private key */
	bool is_successor; /* was handed everything */
	bool is_awaited;   /* everything waits for its done=1 */
	bool has_overrun;  /* blocks were left out because the client does not read */
	bool rests;
	uint64_t window_ns;
	uint64_t in_window;
	uint32_t events;
	struct text out;
	size_t out_sent;
};

struct uapi_server {
	int listeners[UAPI_DIALECTS];
	int epoll;
	int timer; /* runs while a connection rests */
	struct uapi_handler handler;
	struct connection *connections[UAPI_CONNECTIONS_MAX];
	unsigned int n;
	unsigned int n_watching;
	unsigned int n_limited;
	uint64_t state; /* begins anywhere: a successor shall not seem to be us */
	const struct connection *unread; /* limited, and has a reply to get that is not read */
};

/* --- Connections --- */

static void forget_set(struct connection *c)
{
	uapi_set_done(&c->set);
	memset(&c->set, 0, sizeof(c->set));
}

static void count_watchers(struct uapi_server *s, int by)
{
	bool before = s->n_watching;

	s->n_watching += (unsigned int)by;
	if (before != (s->n_watching != 0))
		s->handler.watched(s->handler.context, s->n_watching != 0);
}

static void connection_free(struct connection *c)
{
	struct uapi_server *s = c->server;

	if (c->is_watching)
		count_watchers(s, -1);
	s->n_limited -= c->is_limited;
	if (s->unread == c)
		s->unread = NULL;
	if (c->is_successor)
		s->handler.handover_end(s->handler.context, false);
	for (unsigned int i = 0; i < s->n; i++)
		if (s->connections[i] == c) {
			s->connections[i] = s->connections[--s->n];
			break;
		}
	close(c->fd); /* leaves the epoll set with it */
	forget_set(c);
	text_done(&c->out);
	uapi_lines_done(&c->lines);
	free(c);
}

/* A reply waits for room, and nothing is read meanwhile. Input that was read but not handled
 * yet gets its turn at once: no event would tell of it. */
static void rearm(struct connection *c)
{
	bool has_input = !uapi_lines_are_used_up(&c->lines);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

	if (c->rests)
		event.events = 0;
	else if (c->out.len)
		event.events = EPOLLOUT;
	else if (has_input)
		event.events = EPOLLIN | EPOLLOUT;
	if (event.events == c->events)
		return;
	c->events = event.events;
	epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void accept_one(struct uapi_server *s, enum uapi_dialect dialect)
{
	int fd = accept4(s->listeners[dialect], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	struct connection *c = NULL;

	if (fd < 0)
		return;
	c = s->n < UAPI_CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;
	event.data.ptr = c;
	if (!c || uapi_lines_open(&c->lines) != 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		log_warning("refused a connection to the control socket: more than %d",
			    UAPI_CONNECTIONS_MAX);
		if (c)
			uapi_lines_done(&c->lines);
		free(c);
		close(fd);
		return;
	}
	c->fd = fd;
	c->server = s;
	c->dialect = dialect;
	c->events = EPOLLIN;
	s->connections[s->n++] = c;
}

/* --- Operations --- */

static void finish_get(struct connection *c)
{
	struct uapi_server *s = c->server;

	if (c->is_limited && s->unread) {
		uapi_write_errno(&c->out, UAPI_EBUSY, true);
		return;
	}
	if (c->is_limited)
		s->unread = c;
	s->handler.get(s->handler.context, &c->out, c->dialect, !c->is_limited);
	if (c->out.err) { /* no memory for all of it */
		text_clear(&c->out);
		uapi_write_errno(&c->out, UAPI_EOTHER, true);
	} else {
		uapi_write_errno(&c->out, c->error, true);
	}
}

static void finish_set(struct connection *c)
{
	struct uapi_server *s = c->server;
	struct diag d = { 0 };

	if (!c->error && c->is_limited &&
	    (c->set.has_private_key || c->set.has_listen_port || c->set.has_fwmark)) {
		c->error = UAPI_EINVAL;
		log_warning("control request refused: not on a limited connection");
	}
	if (!c->error) {
		c->error = s->handler.set(s->handler.context, &c->set, &d);
		if (c->error)
			log_warning("control request refused: %s", d.text);
		else if (!c->is_limited && !c->asks_state)
			s->state++;
	}
	uapi_write_errno(&c->out, c->error, false);
	forget_set(c);
}

static void finish_state(struct connection *c)
{
	struct uapi_server *s = c->server;
	struct uapi_get_device device = { .has_state = true, .state = s->state };

	c->asks_state = true;
	s->handler.state(s->handler.context, &device);
	uapi_write_device(&c->out, &device);
	uapi_write_errno(&c->out, 0, true);
}

/* Descriptors travel with the first octet of the answer. Return: 0 or -errno. */
static int pass_fds(int fd, const char *first, const int *fds, size_t n)
{
	_Alignas(struct cmsghdr)
		uint8_t control[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)first, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void finish_handover(struct connection *c)
{
	struct uapi_server *s = c->server;
	int fds[HANDOVER_FDS_MAX];
	bool stops = c->operation == OPERATION_HANDOVER;
	size_t n = s->handler.handover(s->handler.context, stops, &c->out, fds);

	if (n == 0) {
		uapi_write_errno(&c->out, UAPI_EIO, true);
		return;
	}
	c->is_successor = true;
	c->is_awaited = stops;
	uapi_write_errno(&c->out, 0, true);
	if (c->out.err || pass_fds(c->fd, c->out.data, fds, n) < 0)
		c->is_closing = true;
	c->out_sent = 1;
}

static void finish_stop(struct connection *c)
{
	struct uapi_server *s = c->server;
	bool stands = s->handler.handover_stop(s->handler.context, &c->out);

	if (!stands)
		text_clear(&c->out);
	uapi_write_errno(&c->out, stands ? 0 : UAPI_EIO, true);
	c->is_awaited = stands;
	c->is_closing = !stands || c->out.err;
}

/* Its word that it was heard is what ends us: a successor that cannot hear it does not live. */
static void finish_done(struct connection *c)
{
	static const char yes[] = "errno=0\n\n";
	struct uapi_server *s = c->server;
	bool is_heard =
		send(c->fd, yes, sizeof(yes) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(yes) - 1;

	c->is_successor = false;
	c->is_awaited = false;
	c->is_closing = true;
	s->handler.handover_end(s->handler.context, is_heard);
}

static void finish_limit(struct connection *c)
{
	struct uapi_server *s = c->server;

	if (!c->is_limited && s->n_limited == UAPI_LIMITED_MAX) {
		log_warning("refused a limited connection: more than %d", UAPI_LIMITED_MAX);
		c->is_closing = true;
		uapi_write_errno(&c->out, UAPI_EBUSY, false);
		return;
	}
	s->n_limited += !c->is_limited;
	c->is_limited = true;
	c->dialect = UAPI_AMNEZIA; /* one of ours: it takes ranges */
	uapi_write_errno(&c->out, 0, false);
}

static void finish(struct connection *c)
{
	if ((c->operation == OPERATION_GET || c->operation == OPERATION_STATE) && c->error) {
		uapi_write_errno(&c->out, c->error, true);
	} else if (c->operation == OPERATION_GET) {
		finish_get(c);
	} else if (c->operation == OPERATION_STATE) {
		finish_state(c);
	} else if (c->operation == OPERATION_SET) {
		finish_set(c);
	} else if (c->operation == OPERATION_WATCH) {
		text_puts(&c->out, "watching=1\n\n");
		c->is_watching = true;
		count_watchers(c->server, 1);
	} else if (c->operation == OPERATION_LIMIT) {
		finish_limit(c);
	} else if (c->operation == OPERATION_HANDOVER || c->operation == OPERATION_OFFER) {
		finish_handover(c);
	} else if (c->operation == OPERATION_STOP) {
		finish_stop(c);
	} else if (c->operation == OPERATION_DONE) {
		finish_done(c);
	}
	c->operation = OPERATION_NONE;
	c->error = 0;
	c->lines.number = 0;
}

/* `wg` writes the zone of a link-local endpoint as the name of an interface. */
static uint32_t zone_index(const char *name)
{
	return if_nametoindex(name);
}

static void begin_set(struct connection *c)
{
	c->operation = OPERATION_SET;
	c->set.zone_index = zone_index;
}

static void begin(struct connection *c, const char *line)
{
	if (strcmp(line, "get=1") == 0)
		c->operation = OPERATION_GET;
	else if (strcmp(line, "set=1") == 0)
		begin_set(c);
	else if (strcmp(line, "state=1") == 0)
		c->operation = OPERATION_STATE;
	else if (strcmp(line, "watch=1") == 0 && !c->is_watching)
		c->operation = OPERATION_WATCH;
	else if (strcmp(line, "limited=1") == 0)
		c->operation = OPERATION_LIMIT;
	else if (strcmp(line, "handover=1") == 0 && !c->is_successor && !c->is_limited)
		c->operation = OPERATION_HANDOVER;
	else if (strcmp(line, "handover=2") == 0 && !c->is_successor && !c->is_limited)
		c->operation = OPERATION_OFFER;
	else if (strcmp(line, "stop=1") == 0 && c->is_successor && !c->is_awaited)
		c->operation = OPERATION_STOP;
	else if (strcmp(line, "done=1") == 0 && c->is_awaited)
		c->operation = OPERATION_DONE;
	else
		c->is_closing = true;
}

/* One line of a set. Return: 0 or UAPI_E... with the reason in @d */
static int add_line(struct connection *c, struct diag *d)
{
	int err = uapi_set_line(&c->set, c->lines.line, c->lines.line_len, d);

	if (err || !c->is_limited ||
	    (c->set.n_peers <= UAPI_LIMITED_PEERS_MAX &&
	     c->set.n_allowed_ips <= UAPI_LIMITED_ALLOWED_IPS_MAX))
		return err;
	diag_set(d, 0, 0, "more than a limited connection may set at once");
	forget_set(c);
	return UAPI_EINVAL;
}

static void take_line(struct connection *c)
{
	struct diag d = { 0 };

	if (c->operation == OPERATION_NONE) {
		if (c->lines.line_len)
			begin(c, c->lines.line);
	} else if (c->lines.line_len == 0) {
		finish(c);
	} else if (c->operation != OPERATION_SET) {
		c->error = UAPI_EINVAL; /* get=1 and watch=1 stand alone */
	} else if (!c->error) {
		c->error = add_line(c, &d);
		if (c->error)
			log_warning("control request refused: line %u: %s", c->lines.number,
				    d.text);
	}
}

static void line_too_long(struct connection *c)
{
	if (!c->error)
		log_warning("control request refused: line %u: longer than %d octets",
			    c->lines.number + 1, UAPI_LINE_MAX);
	if (!c->error)
		c->error = UAPI_EINVAL;
	c->is_closing = c->operation == OPERATION_NONE;
}

/* Lines until a reply stands ready or the input is used up. */
static void consume(struct connection *c)
{
	while (c->out.len == 0 && !c->is_closing) {
		enum uapi_line next = uapi_lines_next(&c->lines);

		if (next == UAPI_LINE_NONE)
			return;
		if (next == UAPI_LINE_WHOLE)
			take_line(c);
		else
			line_too_long(c);
	}
}

/* false: the connection is over. */
static bool write_out(struct connection *c)
{
	while (c->out_sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0)
			return false;
		c->out_sent += (size_t)n;
		c->in_window += (uint64_t)n;
	}
	if (c->server->unread == c)
		c->server->unread = NULL;
	if (c->out.len) {
		text_done(&c->out); /* it may have been long, and held keys */
		memset(&c->out, 0, sizeof(c->out));
		c->out_sent = 0;
	}
	return true;
}

/* Has it had its share of this second? Then it rests, until rest_is_over(). */
static bool must_rest(struct connection *c)
{
	static const struct itimerspec second = { .it_value.tv_sec = 1 };
	uint64_t now_ns = clock_boot_ns();

	if (now_ns - c->window_ns >= SECOND_NS) {
		c->window_ns = now_ns;
		c->in_window = 0;
	}
	if (!c->is_limited || c->in_window <= UAPI_LIMITED_OCTETS_PER_S)
		return false;
	/* A timer that cannot be set is no reason to rest for ever. */
	c->rests = timerfd_settime(c->server->timer, 0, &second, NULL) == 0;
	return c->rests;
}

/* Read, handle, write, as long as it goes. false: the connection is over. */
static bool serve(struct connection *c)
{
	for (int i = 0; i < READS_PER_EVENT && !must_rest(c); i++) {
		consume(c);
		if (!write_out(c))
			return false;
		if (c->out.len)
			return true; /* waits for the client to read */
		if (c->is_closing)
			return false;
		if (!uapi_lines_are_used_up(&c->lines))
			continue;
		ssize_t n = read(c->fd, c->lines.input, UAPI_READ_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		uapi_lines_filled(&c->lines, (size_t)n);
		c->in_window += (uint64_t)n;
	}
	return true;
}

/* --- The server --- */

static int watch_listeners(struct uapi_server *s)
{
	for (int i = 0; i < UAPI_DIALECTS; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &s->listeners[i] };

		if (s->listeners[i] >= 0 &&
		    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listeners[i], &event) < 0)
			return -errno;
	}
	return 0;
}

static void unwatch_listeners(struct uapi_server *s)
{
	for (int i = 0; i < UAPI_DIALECTS; i++)
		if (s->listeners[i] >= 0)
			epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listeners[i], NULL);
}

int uapi_server_new(const int listeners[UAPI_DIALECTS], int epoll,
		    const struct uapi_handler *handler, struct uapi_server **ret)
{
	struct uapi_server *s = calloc(1, sizeof(*s));
	struct epoll_event tick = { .events = EPOLLIN, .data.ptr = s ? &s->timer : NULL };

	if (!s)
		return -ENOMEM;
	memcpy(s->listeners, listeners, sizeof(s->listeners));
	s->epoll = epoll;
	s->handler = *handler;
	random_fill(&s->state, sizeof(s->state));
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (s->timer < 0 || watch_listeners(s) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, s->timer, &tick) < 0) {
		int err = -errno;

		unwatch_listeners(s);
		if (s->timer >= 0)
			close(s->timer);
		free(s);
		return err;
	}
	*ret = s;
	return 0;
}

struct uapi_server *uapi_server_free(struct uapi_server *s)
{
	if (!s)
		return NULL;
	while (s->n)
		connection_free(s->connections[0]);
	unwatch_listeners(s);
	close(s->timer);
	free(s);
	return NULL;
}

static void serve_or_free(struct connection *c)
{
	if (serve(c))
		rearm(c);
	else
		connection_free(c);
}

static void rest_is_over(struct uapi_server *s)
{
	uint64_t times;

	if (read(s->timer, &times, sizeof(times)) < 0)
		return;
	for (unsigned int i = s->n; i-- > 0;) { /* backwards: a failed one leaves the list */
		struct connection *c = s->connections[i];

		if (!c->rests)
			continue;
		c->rests = false;
		c->in_window = 0;
		serve_or_free(c);
	}
}

bool uapi_server_event(struct uapi_server *s, void *ptr, uint32_t events)
{
	for (int i = 0; i < UAPI_DIALECTS; i++)
		if (ptr == &s->listeners[i]) {
			accept_one(s, (enum uapi_dialect)i);
			return true;
		}
	if (ptr == &s->timer) {
		rest_is_over(s);
		return true;
	}
	for (unsigned int i = 0; i < s->n; i++) {
		struct connection *c = s->connections[i];

		if (c != ptr)
			continue;
		if (!c->rests)
			serve_or_free(c);
		else if (events & (EPOLLHUP | EPOLLERR)) /* its client is gone */
			connection_free(c);
		return true;
	}
	return false;
}

/* A watcher may stay behind for ever without ever having read all. */
static void drop_sent(struct connection *c)
{
	if (c->out_sent <= WATCH_BACKLOG_MAX)
		return;
	c->out.len -= c->out_sent;
	memmove(c->out.data, c->out.data + c->out_sent, c->out.len);
	c->out_sent = 0;
}

static void tell(struct connection *c, const char *text, size_t len)
{
	drop_sent(c);
	if (c->out.len - c->out_sent > WATCH_BACKLOG_MAX) {
		c->has_overrun = true;
		return;
	}
	if (c->has_overrun)
		text_puts(&c->out, "overrun=1\n\n");
	c->has_overrun = false;
	text_add(&c->out, text, len);
}

void uapi_server_tell(struct uapi_server *s, const char *text, size_t len)
{
	for (unsigned int i = s->n; i-- > 0;) { /* backwards: a failed one leaves the list */
		struct connection *c = s->connections[i];

		if (!c->is_watching)
			continue;
		tell(c, text, len);
		if (c->out.err || !write_out(c))
			connection_free(c);
		else
			rearm(c);
	}
}

void uapi_server_end_handover(struct uapi_server *s)
{
	for (unsigned int i = 0; i < s->n; i++)
		if (s->connections[i]->is_successor) {
			connection_free(s->connections[i]);
			return;
		}
}
