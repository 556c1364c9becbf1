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
	REST_PART = 4, /* of what a change took; it does not hold the kernel's locks whole */
	NS_PER_MS = 1000000,
};

static const uint64_t SECOND_NS = 1000000000, REST_MAX_NS = UINT64_C(3000000000);

enum operation {
	OPERATION_NONE, /* between requests */
	OPERATION_GET,
	OPERATION_SET,
	OPERATION_STATE,
	OPERATION_LIMIT,
};

/**
 * struct connection - One client
 * @is_due:	The running request was read to its end, and waits for the kernel
 * @told_ns:	Since then, or since it was told last that we are busy
 * @error:	UAPI_E... of the running request, or 0; its remaining lines are only read
 * @is_lost:	Over, but found so where it cannot be freed yet
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
	bool is_due;
	bool is_limited;
	bool is_closing;
	bool is_lost;
	uint64_t told_ns;
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
	bool is_asking;	      /* the kernel tells its peers */
	bool is_setting;      /* it is told some */
	bool has_interrupted; /* a change of ours, what is being told */
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

/* What took long is not asked again at once: others, and the rest of the host, come first. But who
 * rests is not read, and so not told that we are busy: no longer than its patience. */
static void rest_for(struct connection *c, uint64_t ns)
{
	if (c->is_limited)
		c->rests_until_ns = clock_boot_ns() + (ns < REST_MAX_NS ? ns : REST_MAX_NS);
}

static bool is_question(const struct connection *c)
{
	return c->operation == OPERATION_GET || c->operation == OPERATION_STATE;
}

static void end_request(struct connection *c)
{
	c->operation = OPERATION_NONE;
	c->is_due = false;
	c->error = 0;
	c->lines.number = 0;
}

static void refuse_get(struct connection *c)
{
	uapi_write_errno(&c->out, UAPI_EBUSY, true);
	end_request(c);
}

static void answer_get(struct connection *c, const struct wg_genl_snapshot *snapshot)
{
	if (c->is_limited)
		c->server->unread = c;
	kernel_write(&c->out, snapshot);
	if (c->out.err) /* no memory for all of it */
		text_clear(&c->out);
	uapi_write_errno(&c->out, c->out.len ? 0 : UAPI_EOTHER, true);
}

static void answer_state(struct connection *c, const struct wg_genl_snapshot *snapshot)
{
	struct uapi_get_device device = { .has_state = true,
					  .listen_port = snapshot->listen_port };

	device.state = kernel_print(snapshot, c->server->print_key);
	memcpy(device.public_key, snapshot->public_key, sizeof(device.public_key));
	uapi_write_device(&c->out, &device);
	uapi_write_errno(&c->out, 0, true);
}

/* Does it have to wait until another one has read its answer? Of the limited ones one at a time has one. */
static bool must_wait(const struct connection *c)
{
	return c->operation == OPERATION_GET && c->is_limited && c->server->unread;
}

/* Return: how many questions are left for the kernel. */
static size_t sort_questions(struct kernel_server *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct connection *c = s->connections[i];

		if (!c->is_due || !is_question(c))
			continue;
		if (must_wait(c))
			refuse_get(c);
		else
			n++;
	}
	return n;
}

static void answer_question(struct connection *c, const struct wg_genl_snapshot *snapshot)
{
	if (c->operation == OPERATION_GET)
		answer_get(c, snapshot);
	else
		answer_state(c, snapshot);
	end_request(c);
}

/* One answer of the kernel serves everybody who asked before it was complete. */
static void ask_kernel(struct kernel_server *s)
{
	struct wg_genl_snapshot snapshot = { .peers = NULL };
	uint64_t began_ns = clock_boot_ns();
	int err;

	s->is_asking = true;
	s->has_interrupted = false;
	err = s->backend.get(s->backend.context, &snapshot);
	s->is_asking = false;
	if (err != 0)
		log_warning("the interface does not say what it has: %s", err_text(err));
	s->is_gone |= err == -ENODEV;
	for (size_t i = 0; i < s->n; i++) {
		struct connection *c = s->connections[i];

		if (!c->is_due || !is_question(c) || (err == 0 && must_wait(c)))
			continue;
		rest_for(c, clock_boot_ns() - began_ns);
		if (err == 0)
			answer_question(c, &snapshot);
		else
			c->is_closing = true;
	}
	wg_genl_snapshot_done(&snapshot);
}

/* Messages before the one that the kernel refused are in force: there is no answer for that. */
static void change_kernel(struct connection *c, const struct kernel_change *change)
{
	struct kernel_server *s = c->server;
	uint64_t began_ns = clock_boot_ns();
	int err;

	s->is_setting = true;
	s->has_interrupted = true;
	err = s->backend.set(s->backend.context, &change->set);
	s->is_setting = false;
	rest_for(c, (clock_boot_ns() - began_ns) / REST_PART);
	if (err == 0)
		return;
	log_warning("the kernel refused a part of a change: %s", err_text(err));
	c->is_closing = true;
	s->is_gone |= err == -ENODEV;
}

static void finish_set(struct connection *c)
{
	struct kernel_change change = { .peers = NULL };
	struct diag d = { 0 };

	if (c->is_limited &&
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
	end_request(c);
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

/* The request is whole. What needs the kernel waits for its turn. */
static void finish(struct connection *c)
{
	if (c->operation == OPERATION_LIMIT) {
		finish_limit(c);
		end_request(c);
	} else if (c->error) {
		uapi_write_errno(&c->out, c->error, is_question(c));
		forget_set(c);
		end_request(c);
	} else {
		c->is_due = true;
		c->told_ns = clock_boot_ns();
	}
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

/* Lines until a request is whole, or the input is used up. */
static void consume(struct connection *c)
{
	while (c->out.len == 0 && !c->is_closing && !c->is_due) {
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

static bool is_over(const struct connection *c)
{
	return c->is_lost || (c->is_closing && c->out.len == 0);
}

/* Write and read, as long as it goes. false: the connection is over. */
static bool hear(struct connection *c)
{
	for (int i = 0; i < READS_PER_TURN; i++) {
		int more = 1;

		if (!write_out(c))
			return false;
		if (c->out.len)
			return true; /* waits for the client to read */
		if (is_over(c))
			return false;
		if (c->is_due || must_rest(c, clock_boot_ns()))
			return true;
		if (uapi_lines_are_used_up(&c->lines))
			more = read_more(c);
		if (more <= 0)
			return more == 0;
		consume(c);
	}
	return !is_over(c);
}

/* It waits, and may not think that nobody is there. Its socket is empty: we wrote nothing else. */
static void tell_busy(struct connection *c)
{
	static const char line[] = "busy=1\n";
	uint64_t now_ns = clock_boot_ns();
	ssize_t n;

	if (now_ns - c->told_ns < SECOND_NS)
		return;
	c->told_ns = now_ns;
	n = send(c->fd, line, sizeof(line) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* Of those who do not read nothing is asked; half a line would be no line. */
	c->is_closing |= n > 0 && n != sizeof(line) - 1;
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
		int ms = !uapi_lines_are_used_up(&c->lines) || c->is_due ? 0 : -1;

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

/* May a change be made now? The first to come spoils what the kernel is telling; what it tells
 * the next time is waited for, or it would never come to an end. */
static bool may_set(const struct kernel_server *s, bool is_spoiled)
{
	return s->is_asking && !s->is_setting && !s->is_gone &&
	       (is_spoiled || !s->has_interrupted);
}

void kernel_server_pause(struct kernel_server *s, bool is_spoiled)
{
	for (size_t i = 0; i < s->n; i++) {
		struct connection *c = s->connections[i];

		if (!c->is_due && !c->is_lost)
			c->is_lost = !hear(c);
		if (c->is_due && c->operation == OPERATION_SET && may_set(s, is_spoiled)) {
			finish_set(c);
			c->is_lost = !write_out(c);
		} else if (c->is_due) {
			tell_busy(c);
		}
	}
}

static void carry_out(struct kernel_server *s)
{
	for (size_t i = 0; i < s->n && !s->is_gone; i++)
		if (s->connections[i]->is_due && s->connections[i]->operation == OPERATION_SET)
			finish_set(s->connections[i]);
	if (!s->is_gone && sort_questions(s) > 0)
		ask_kernel(s);
}

bool kernel_server_run(struct kernel_server *s)
{
	for (size_t i = s->n; i-- > 0;) /* backwards: one that ends leaves */
		if (!hear(s->connections[i]))
			connection_free(s->connections[i]);
	carry_out(s);
	for (size_t i = s->n; i-- > 0;)
		if (!write_out(s->connections[i]) || is_over(s->connections[i]))
			connection_free(s->connections[i]);
	return !s->is_gone;
}
