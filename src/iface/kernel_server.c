/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/kernel_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

#include "conf/uapi_lines.h"
#include "iface/kernel.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/random.h"

enum {
	READS_PER_TURN = 16, /* then others get their turn */
	NS_PER_MS = 1000000,
};

static const uint64_t SECOND_NS = 1000000000;

enum operation {
	OPERATION_NONE, /* between requests */
	OPERATION_GET,
	OPERATION_SET,
	OPERATION_STATE,
	OPERATION_LIMIT,
};

/**
 * struct connection - One client
 * @error:	UAPI_E... of the running request, or 0; its remaining lines are only read
 * @rests_until_ns: Limited, and had its share: not served before that
 * @window_ns, @in_window: Octets moved since that second began
 * @out, @out_sent: Answer that is being written; while there is one nothing is read
 */
struct connection {
	int fd;
	struct kernel_server *server;
	enum operation operation;
	struct uapi_set set;
	struct uapi_lines lines;
	int error;
	bool is_limited;
	bool is_closing;
	uint64_t rests_until_ns;
	uint64_t window_ns;
	uint64_t in_window;
	struct text out;
	size_t out_sent;
};

struct kernel_server {
	struct kernel_backend backend;
	struct connection *connections[KERNEL_CONNECTIONS_MAX];
	size_t n;
	size_t n_limited;
	const struct connection
		*unread; /* limited, and has an answer to get that is not read */
	uint8_t print_key[SHORT_HASH_KEY_LEN];
	bool is_gone;
};

static void forget_set(struct connection *c)
{
	uapi_set_done(&c->set);
	memset(&c->set, 0, sizeof(c->set));
}

static void connection_free(struct connection *c)
{
	struct kernel_server *s = c->server;

	s->n_limited -= c->is_limited;
	if (s->unread == c)
		s->unread = NULL;
	for (size_t i = 0; i < s->n; i++)
		if (s->connections[i] == c) {
			s->connections[i] = s->connections[--s->n];
			break;
		}
	close(c->fd);
	forget_set(c);
	text_done(&c->out);
	uapi_lines_done(&c->lines);
	free(c);
}

/* --- Operations --- */

/* What took long is not asked again at once: others, and the rest of the host, come first. */
static void rest_after(struct connection *c, uint64_t began_ns)
{
	uint64_t now_ns = clock_boot_ns();

	if (c->is_limited)
		c->rests_until_ns = now_ns + (now_ns - began_ns);
}

/* Return: 0 with a snapshot; else the end of the connection is prepared. */
static int ask_kernel(struct connection *c, struct wg_genl_snapshot *snapshot)
{
	struct kernel_server *s = c->server;
	uint64_t began_ns = clock_boot_ns();
	int err = s->backend.get(s->backend.context, snapshot);

	rest_after(c, began_ns);
	if (err == 0)
		return 0;
	log_warning("the interface does not say what it has: %s", err_text(err));
	s->is_gone = err == -ENODEV;
	c->is_closing = true;
	return err;
}

static void finish_get(struct connection *c)
{
	struct wg_genl_snapshot snapshot = { .peers = NULL };
	struct kernel_server *s = c->server;

	if (c->is_limited && s->unread) {
		uapi_write_errno(&c->out, UAPI_EBUSY, true);
		return;
	}
	if (ask_kernel(c, &snapshot) != 0)
		return;
	if (c->is_limited)
		s->unread = c;
	kernel_write(&c->out, &snapshot);
	wg_genl_snapshot_done(&snapshot);
	if (c->out.err) /* no memory for all of it */
		text_clear(&c->out);
	uapi_write_errno(&c->out, c->out.len ? 0 : UAPI_EOTHER, true);
}

static void finish_state(struct connection *c)
{
	struct wg_genl_snapshot snapshot = { .peers = NULL };
	struct uapi_get_device device = { .has_state = true };

	if (ask_kernel(c, &snapshot) != 0)
		return;
	device.listen_port = snapshot.listen_port;
	device.state = kernel_print(&snapshot, c->server->print_key);
	memcpy(device.public_key, snapshot.public_key, sizeof(device.public_key));
	uapi_write_device(&c->out, &device);
	uapi_write_errno(&c->out, 0, true);
	wg_genl_snapshot_done(&snapshot);
}

/* Messages before the one that the kernel refused are in force: there is no answer for that. */
static void change_kernel(struct connection *c, const struct kernel_change *change)
{
	struct kernel_server *s = c->server;
	uint64_t began_ns = clock_boot_ns();
	int err = s->backend.set(s->backend.context, &change->set);

	rest_after(c, began_ns);
	if (err == 0)
		return;
	log_warning("the kernel refused a part of a change: %s", err_text(err));
	c->is_closing = true;
	s->is_gone = err == -ENODEV;
}

static void finish_set(struct connection *c)
{
	struct kernel_change change = { .peers = NULL };
	struct diag d = { 0 };

	if (!c->error && c->is_limited &&
	    (c->set.has_private_key || c->set.has_listen_port || c->set.has_fwmark)) {
		c->error = UAPI_EINVAL;
		log_warning("control request refused: not on a limited connection");
	}
	if (!c->error) {
		c->error = kernel_change_make(&c->set, &change, &d);
		if (c->error)
			log_warning("control request refused: %s", d.text);
		else
			change_kernel(c, &change);
		kernel_change_done(&change);
	}
	if (!c->is_closing)
		uapi_write_errno(&c->out, c->error, false);
	forget_set(c);
}

static void finish_limit(struct connection *c)
{
	struct kernel_server *s = c->server;

	if (!c->is_limited && s->n_limited == KERNEL_LIMITED_MAX) {
		log_warning("refused a limited connection: more than %d", KERNEL_LIMITED_MAX);
		c->is_closing = true;
		uapi_write_errno(&c->out, UAPI_EBUSY, false);
		return;
	}
	s->n_limited += !c->is_limited;
	c->is_limited = true;
	uapi_write_errno(&c->out, 0, false);
}

static void finish(struct connection *c)
{
	switch (c->operation) {
	case OPERATION_NONE:
		break;
	case OPERATION_GET:
	case OPERATION_STATE:
		if (c->error)
			uapi_write_errno(&c->out, c->error, true);
		else if (c->operation == OPERATION_GET)
			finish_get(c);
		else
			finish_state(c);
		break;
	case OPERATION_SET:
		finish_set(c);
		break;
	case OPERATION_LIMIT:
		finish_limit(c);
		break;
	}
	c->operation = OPERATION_NONE;
	c->error = 0;
	c->lines.number = 0;
}

static void begin(struct connection *c, const char *line)
{
	if (strcmp(line, "get=1") == 0)
		c->operation = OPERATION_GET;
	else if (strcmp(line, "set=1") == 0)
		c->operation = OPERATION_SET;
	else if (strcmp(line, "state=1") == 0)
		c->operation = OPERATION_STATE;
	else if (strcmp(line, "limited=1") == 0)
		c->operation = OPERATION_LIMIT;
	else
		c->is_closing = true;
}

/* One line of a set. Return: 0 or UAPI_E... with the reason in @d */
static int add_line(struct connection *c, struct diag *d)
{
	int err = uapi_set_line(&c->set, c->lines.line, c->lines.line_len, d);

	if (err || !c->is_limited ||
	    (c->set.n_peers <= KERNEL_LIMITED_PEERS_MAX &&
	     c->set.n_allowed_ips <= KERNEL_LIMITED_PREFIXES_MAX))
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
		c->error = UAPI_EINVAL; /* the other operations stand alone */
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

static bool rests(const struct connection *c, uint64_t now_ns)
{
	return c->is_limited && now_ns < c->rests_until_ns;
}

/* Lines until an answer stands ready, the input is used up, or it is time to rest. */
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

/* --- Connections --- */

/* false: the connection is over. */
static bool write_out(struct connection *c)
{
	while (c->out_sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.len - c->out_sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

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
	text_done(&c->out); /* it may have been long, and held keys */
	memset(&c->out, 0, sizeof(c->out));
	c->out_sent = 0;
	return true;
}

/* Has it had its share of this second? Then it rests until the next. */
static bool must_rest(struct connection *c, uint64_t now_ns)
{
	if (now_ns - c->window_ns >= SECOND_NS) {
		c->window_ns = now_ns;
		c->in_window = 0;
	}
	if (c->is_limited && c->in_window > KERNEL_LIMITED_OCTETS_PER_S &&
	    c->rests_until_ns < c->window_ns + SECOND_NS)
		c->rests_until_ns = c->window_ns + SECOND_NS;
	return rests(c, now_ns);
}

/* Return: 1: more was read; 0: nothing there now; -1: the connection is over. */
static int read_more(struct connection *c)
{
	ssize_t n;

	do {
		n = recv(c->fd, c->lines.input, UAPI_READ_BYTES, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (n == 0)
		return -1;
	uapi_lines_filled(&c->lines, (size_t)n);
	c->in_window += (uint64_t)n;
	return 1;
}

/* Read, handle, write, as long as it goes. false: the connection is over. */
static bool serve(struct connection *c)
{
	for (int i = 0; i < READS_PER_TURN && !c->server->is_gone; i++) {
		int more = 1;

		if (!write_out(c))
			return false;
		if (c->out.len)
			return true; /* waits for the client to read */
		if (c->is_closing)
			return false;
		if (must_rest(c, clock_boot_ns()))
			return true;
		if (uapi_lines_are_used_up(&c->lines))
			more = read_more(c);
		if (more <= 0)
			return more == 0;
		consume(c);
	}
	return !c->is_closing || c->out.len > 0;
}

/* --- The server --- */

int kernel_server_new(const struct kernel_backend *backend, struct kernel_server **ret)
{
	struct kernel_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->backend = *backend;
	random_fill(s->print_key, sizeof(s->print_key));
	*ret = s;
	return 0;
}

struct kernel_server *kernel_server_free(struct kernel_server *s)
{
	while (s && s->n)
		connection_free(s->connections[0]);
	free(s);
	return NULL;
}

int kernel_server_add(struct kernel_server *s, int fd, bool is_limited)
{
	struct connection *c = NULL;
	bool is_full = s->n == KERNEL_CONNECTIONS_MAX ||
		       (is_limited && s->n_limited == KERNEL_LIMITED_MAX);
	int err = is_full ? ERR_LIMIT : 0;

	if (err == 0)
		c = calloc(1, sizeof(*c));
	if (!c || uapi_lines_open(&c->lines) != 0) {
		free(c);
		close(fd);
		return err ? err : -ENOMEM;
	}
	c->fd = fd;
	c->server = s;
	c->is_limited = is_limited;
	s->n_limited += is_limited;
	s->connections[s->n++] = c;
	return 0;
}

size_t kernel_server_watch(const struct kernel_server *s, uint64_t now_ns, struct pollfd *fds,
			   int *ret_timeout_ms)
{
	*ret_timeout_ms = -1;
	for (size_t i = 0; i < s->n; i++) {
		const struct connection *c = s->connections[i];
		int ms = !uapi_lines_are_used_up(&c->lines) ? 0 : -1;

		fds[i] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
		if (c->out.len) { /* nothing else happens before it is read */
			fds[i].events = POLLOUT;
			continue;
		}
		if (rests(c, now_ns)) {
			ms = (int)((c->rests_until_ns - now_ns) / NS_PER_MS) + 1;
			fds[i].fd = -1;
		}
		if (ms >= 0 && (*ret_timeout_ms < 0 || ms < *ret_timeout_ms))
			*ret_timeout_ms = ms;
	}
	return s->n;
}

bool kernel_server_run(struct kernel_server *s)
{
	for (size_t i = s->n; i-- > 0 && !s->is_gone;) /* backwards: one that ends leaves */
		if (!serve(s->connections[i]))
			connection_free(s->connections[i]);
	return !s->is_gone;
}
