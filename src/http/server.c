/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. Two daemons of the library (TCP and the local socket), each with an
 * epoll descriptor that the caller's loop watches; no threads of its own. The callback for
 * the request line makes the exchange and keeps the raw target. The access callback is then
 * called once with the headers, once per piece of body, and once at the end, where the
 * handler runs. If that does not answer, the connection is suspended, and http_reply()
 * resumes it: the library calls the access callback again and finds the answer.
 */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>
#include <unistd.h>

#include "base/err.h"
#include "http/check.h"
#include "sys/log.h"

enum {
	MEMORY_PER_CONNECTION = 40960, /* headers, request line and the library's own */
	MS_PER_S = 1000,
	TICK_MS = 1000,
};

static const uint64_t SECOND_NS = 1000000000;

/* struct connection - In a list, for the deadlines */
struct connection {
	struct http_server *server;
	struct connection *next;
	struct connection *prev;
	int fd;
	uint64_t deadline_ns;
};

struct http_exchange {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_request request;
	char *target;
	struct text body;
	struct http_reply reply;
	char value[HTTP_VALUE_MAX + 1]; /* of the reply's header field */
	bool has_reply;
	bool is_seen;	      /* the headers have been judged */
	bool is_suspended;    /* the reply is owed */
	bool skips_body;      /* refused, but the client may finish sending */
	unsigned int refused; /* status of our own refusal, 0: none */
	const char *why;
};

struct http_server {
	struct http_server_config config;
	struct MHD_Daemon *tcp;
	struct MHD_Daemon *local;
	struct connection *connections;
	uint64_t now_ns;
	uint64_t checked_ns;
	size_t body_octets;
	unsigned int waiting;
};

static const struct {
	const char *text;
	enum http_method method;
} methods[] = {
	{ "GET", HTTP_GET },
	{ "POST", HTTP_POST },
	{ "PUT", HTTP_PUT },
	{ "PATCH", HTTP_PATCH },
	{ "DELETE", HTTP_DELETE },
	{ "HEAD", HTTP_METHOD_OTHER },
	{ "OPTIONS", HTTP_METHOD_OTHER },
};

/* --- Deadlines --- */

static struct connection *connection_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void set_deadline(struct MHD_Connection *c, uint64_t seconds)
{
	struct connection *own = connection_of(c);

	if (own)
		own->deadline_ns = seconds == UINT64_MAX
					   ? UINT64_MAX
					   : own->server->now_ns + seconds * SECOND_NS;
}

static int fd_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

static void connection_began(struct http_server *s, struct MHD_Connection *c, void **context)
{
	struct connection *own = calloc(1, sizeof(*own));

	if (!own) { /* without a deadline it must not live */
		shutdown(fd_of(c), SHUT_RDWR);
		return;
	}
	own->server = s;
	own->fd = fd_of(c);
	own->deadline_ns = s->now_ns + HTTP_HEADER_DEADLINE_S * SECOND_NS;
	own->next = s->connections;
	if (own->next)
		own->next->prev = own;
	s->connections = own;
	*context = own;
}

static void connection_ended(struct connection *own)
{
	if (own->next)
		own->next->prev = own->prev;
	if (own->prev)
		own->prev->next = own->next;
	else
		own->server->connections = own->next;
	free(own);
}

static void on_connection(void *context, struct MHD_Connection *c, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		connection_began(context, c, socket_context);
	else if (*socket_context)
		connection_ended(*socket_context);
}

/* The library closes what we shut down: closing here would leave it a dead descriptor. */
static void cut_off_the_late(struct http_server *s)
{
	for (struct connection *c = s->connections; c; c = c->next) {
		if (c->deadline_ns <= s->now_ns) {
			shutdown(c->fd, SHUT_RDWR);
			c->deadline_ns = UINT64_MAX;
		}
	}
}

/* --- Exchanges --- */

static struct http_exchange *exchange_free(struct http_exchange *x)
{
	if (!x)
		return NULL;
	x->server->body_octets -= x->body.len;
	text_done(&x->body);
	text_done(&x->reply.body);
	free(x->target);
	free(x);
	return NULL;
}

/* The request line has been read: the only place where the target is seen unchanged. */
static void *on_target(void *context, const char *target, struct MHD_Connection *c)
{
	struct http_exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->server = context;
	x->connection = c;
	x->body.max = HTTP_BODY_MAX;
	if (strlen(target) > HTTP_TARGET_MAX) {
		x->refused = MHD_HTTP_URI_TOO_LONG;
		x->why = "the request target is longer than 8192 octets";
		target = "/";
	}
	x->target = strdup(target);
	return x->target ? x : exchange_free(x);
}

static void on_completed(void *context, struct MHD_Connection *c, void **exchange,
			 enum MHD_RequestTerminationCode why)
{
	struct http_exchange *x = *exchange;

	(void)context;
	(void)why;
	if (!x)
		return;
	*exchange = exchange_free(x);
	set_deadline(c, HTTP_HEADER_DEADLINE_S);
}

static void refuse(struct http_exchange *x, unsigned int status, const char *why)
{
	if (x->refused)
		return;
	x->refused = status;
	x->why = why;
}

/* --- Judging the headers --- */

static enum MHD_Result judge_field(void *context, enum MHD_ValueKind kind, const char *name,
				   size_t name_len, const char *value, size_t value_len)
{
	(void)kind;
	http_check_field(context, name, name_len, value ? value : "", value_len);
	return MHD_YES;
}

static void find_caller(struct http_exchange *x)
{
	socklen_t len = sizeof(x->request.caller);

	if (getsockopt(fd_of(x->connection), SOL_SOCKET, SO_PEERCRED, &x->request.caller,
		       &len) < 0)
		refuse(x, MHD_HTTP_FORBIDDEN, "the calling process is not known");
}

static void judge_headers(struct http_exchange *x, const char *method)
{
	struct http_check check = { .n_fields = 0 };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(method, methods[i].text) == 0)
			x->request.method = methods[i].method;
	if (x->request.method == 0)
		refuse(x, MHD_HTTP_NOT_IMPLEMENTED,
		       "RFC 9110 section 9.1: not a method we know");
	x->request.method_text = method;
	x->request.target = x->target;
	MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, judge_field, &check);
	http_check_end(&check);
	if (check.status)
		refuse(x, check.status, check.why);
	/* Closing while a client still sends would take the answer from it as well. */
	x->skips_body = check.status == MHD_HTTP_CONTENT_TOO_LARGE &&
			check.length <= HTTP_BODY_SKIPPED_MAX;
	if (!http_check_target(x->target))
		refuse(x, MHD_HTTP_BAD_REQUEST,
		       "RFC 9112 section 3.2: the request target is not plain visible ASCII");
	if (x->request.is_local)
		find_caller(x);
}

/* --- Answering --- */

static void wipe_body(void *body)
{
	struct text *t = body;

	text_done(t);
	free(t);
}

static struct MHD_Response *make_response(struct http_reply *reply, const char *value)
{
	static char nothing[1];
	struct text *body = malloc(sizeof(*body));
	struct MHD_Response *r;

	if (!body)
		return NULL;
	*body = reply->body;
	reply->body = (struct text){ .data = NULL };
	r = MHD_create_response_from_buffer_with_free_callback_cls(
		body->len, body->data ? body->data : nothing, wipe_body, body);
	if (!r) {
		wipe_body(body);
		return NULL;
	}
	MHD_add_response_header(r, "Content-Type", reply->content_type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (reply->header)
		MHD_add_response_header(r, reply->header, value);
	return r;
}

static enum MHD_Result send_reply(struct http_exchange *x)
{
	struct MHD_Response *r = make_response(&x->reply, x->value);
	enum MHD_Result done;

	if (!r)
		return MHD_NO;
	/* What is left of a refused body is not worth reading. */
	if (x->refused)
		MHD_add_response_header(r, "Connection", "close");
	done = MHD_queue_response(x->connection, x->reply.status, r);
	MHD_destroy_response(r);
	set_deadline(x->connection, HTTP_REPLY_DEADLINE_S);
	return done;
}

static enum MHD_Result send_refusal(struct http_exchange *x)
{
	x->server->config.refuse(&x->reply, x->refused, x->why);
	return send_reply(x);
}

void http_reply(struct http_exchange *x, struct http_reply *reply)
{
	assert(!x->has_reply);
	x->reply = *reply;
	snprintf(x->value, sizeof(x->value), "%s", reply->value ? reply->value : "");
	x->has_reply = true;
	*reply = (struct http_reply){ .status = 0 };
	if (!x->is_suspended)
		return;
	x->is_suspended = false;
	x->server->waiting--;
	MHD_resume_connection(x->connection);
}

/* --- The access callback, in its four roles --- */

static enum MHD_Result take_headers(struct http_exchange *x, const char *method)
{
	x->is_seen = true;
	set_deadline(x->connection, HTTP_BODY_DEADLINE_S);
	judge_headers(x, method);
	return x->refused && !x->skips_body ? send_refusal(x) : MHD_YES;
}

static enum MHD_Result take_body(struct http_exchange *x, const char *data, size_t len)
{
	if (x->refused)
		return MHD_YES; /* read on, keep nothing */
	if (x->server->body_octets + len > HTTP_BODIES_MAX) {
		refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, "too many large requests at once");
		return MHD_YES;
	}

	size_t before = x->body.len;

	text_add(&x->body, data, len);
	x->server->body_octets += x->body.len - before;
	if (x->body.err == ERR_LIMIT)
		refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than 1 MiB");
	else if (x->body.err != 0)
		refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	return MHD_YES;
}

static enum MHD_Result finish(struct http_exchange *x)
{
	if (x->refused)
		return send_refusal(x);
	set_deadline(x->connection, UINT64_MAX); /* from here on it is we who owe */
	x->request.body = x->body.data ? x->body.data : "";
	x->request.body_len = x->body.len;
	x->server->config.handle(x->server->config.context, x);
	if (x->has_reply)
		return send_reply(x);
	x->is_suspended = true;
	x->server->waiting++;
	MHD_suspend_connection(x->connection);
	return MHD_YES;
}

static enum MHD_Result on_access(struct http_server *s, bool is_local, struct MHD_Connection *c,
				 const char *method, const char *data, size_t *data_len,
				 void **exchange)
{
	struct http_exchange *x = *exchange;

	if (!x) {
		log_error("no memory for a request");
		return MHD_NO;
	}
	(void)s;
	(void)c;
	if (!x->is_seen) {
		x->request.is_local = is_local;
		return take_headers(x, method);
	}
	if (*data_len > 0) {
		size_t len = *data_len;

		*data_len = 0;
		return take_body(x, data, len);
	}
	return x->has_reply ? send_reply(x) : finish(x);
}

static enum MHD_Result on_tcp_access(void *context, struct MHD_Connection *c, const char *url,
				     const char *method, const char *version, const char *data,
				     size_t *data_len, void **exchange)
{
	(void)url; /* unescaped and cut: see on_target() */
	(void)version;
	return on_access(context, false, c, method, data, data_len, exchange);
}

static enum MHD_Result on_local_access(void *context, struct MHD_Connection *c, const char *url,
				       const char *method, const char *version,
				       const char *data, size_t *data_len, void **exchange)
{
	(void)url;
	(void)version;
	return on_access(context, true, c, method, data, data_len, exchange);
}

/* --- The server --- */

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format,
							 va_list args)
{
	char line[256];

	(void)context;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\r\n")] = '\0';
	log_debug("http: %s", line);
}

static size_t keep_escapes(void *context, struct MHD_Connection *c, char *s)
{
	(void)context;
	(void)c;
	return strlen(s);
}

static struct MHD_Daemon *start_daemon(struct http_server *s, int fd, unsigned int connections,
				       unsigned int per_ip, MHD_AccessHandlerCallback access)
{
	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		per_ip, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
		NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_END);
}

int http_server_new(const struct http_server_config *config, struct http_server **ret)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->config = *config;
	if (config->tcp_fd >= 0)
		s->tcp = start_daemon(s, config->tcp_fd, HTTP_CONNECTIONS_MAX,
				      HTTP_CONNECTIONS_PER_IP_MAX, on_tcp_access);
	if (config->local_fd >= 0)
		s->local = start_daemon(s, config->local_fd, HTTP_LOCAL_CONNECTIONS_MAX, 0,
					on_local_access);
	if ((config->tcp_fd >= 0 && !s->tcp) || (config->local_fd >= 0 && !s->local)) {
		http_server_free(s);
		return -EINVAL;
	}
	*ret = s;
	return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
	if (!s)
		return NULL;
	assert(s->waiting == 0);
	if (s->tcp)
		MHD_stop_daemon(s->tcp);
	if (s->local)
		MHD_stop_daemon(s->local);
	free(s);
	return NULL;
}

unsigned int http_server_fds(const struct http_server *s, int ret[2])
{
	struct MHD_Daemon *const daemons[] = { s->tcp, s->local };
	unsigned int n = 0;

	for (int i = 0; i < 2; i++) {
		const union MHD_DaemonInfo *info =
			daemons[i] ? MHD_get_daemon_info(daemons[i], MHD_DAEMON_INFO_EPOLL_FD)
				   : NULL;

		if (info)
			ret[n++] = info->epoll_fd;
	}
	return n;
}

static int run_daemon(struct MHD_Daemon *d, int timeout_ms)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (!d)
		return timeout_ms;
	MHD_run(d);
	return MHD_get_timeout(d, &ms) == MHD_YES && ms < (unsigned int)timeout_ms ? (int)ms
										   : timeout_ms;
}

int http_server_run(struct http_server *s, uint64_t now_ns)
{
	int timeout_ms = TICK_MS;

	s->now_ns = now_ns;
	if (now_ns - s->checked_ns >= SECOND_NS) {
		s->checked_ns = now_ns;
		cut_off_the_late(s);
	}
	timeout_ms = run_daemon(s->tcp, timeout_ms);
	return run_daemon(s->local, timeout_ms);
}

static void quiesce(struct MHD_Daemon *d)
{
	MHD_socket fd = d ? MHD_quiesce_daemon(d) : MHD_INVALID_SOCKET;

	if (fd != MHD_INVALID_SOCKET)
		close(fd);
}

void http_server_quiesce(struct http_server *s)
{
	quiesce(s->tcp);
	quiesce(s->local);
}

unsigned int http_server_waiting(const struct http_server *s)
{
	return s->waiting;
}

const struct http_request *http_exchange_request(const struct http_exchange *x)
{
	return &x->request;
}

const char *http_exchange_header(const struct http_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}
