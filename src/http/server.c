/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A daemon of the library per listener, each with an
 * epoll descriptor that the caller's loop watches; no threads of its own. The callback for
 * the request line makes the exchange and keeps the raw target. The access callback is then
 * called once with the headers, once per piece of body, and once at the end, where the
 * handler runs. If that does not answer, the connection is suspended, and http_reply()
 * resumes it: the library calls the access callback again and finds the answer. A stream with
 * nothing to send suspends its connection in the same way.
 *
 * Connections that send nothing whole are what an attacker has plenty of. When a listener is
 * three quarters full, the oldest that owes us a request's end is cut off for each new one.
 */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/err.h"
#include "http/check.h"
#include "http/streams.h"
#include "sys/log.h"

enum {
	MEMORY_PER_CONNECTION = 40960, /* headers, request line and the library's own */
	MS_PER_S = 1000,
	TICK_MS = 1000,
	CROWDED = HTTP_CONNECTIONS_MAX / 4 * 3,
};

/* AEAD suites and forward secrecy only. */
static const char tls_priorities[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:"
	"+CHACHA20-POLY1305:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-GROUP-ALL:+GROUP-X25519:"
	"+GROUP-SECP256R1:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE";

static const uint64_t SECOND_NS = 1000000000;

/* struct listener - One daemon, and what its callbacks are given */
struct listener {
	struct http_server *server;
	struct MHD_Daemon *daemon;
	unsigned int number;
	bool is_local;
	unsigned int n_connections;
	struct connection *first; /* oldest */
	struct connection *last;
};

/* struct connection - In its listener's list, for the deadlines. @owes: a request was begun, or
 * none has come yet: who is cut off first when it gets crowded */
struct connection {
	struct listener *listener;
	struct connection *next;
	struct connection *prev;
	int fd;
	bool owes;
	uint64_t deadline_ns;
};

struct http_exchange {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_request request;
	char *target;
	struct text body;
	struct http_reply reply;
	char values[HTTP_REPLY_FIELDS_MAX][HTTP_VALUE_MAX + 1]; /* of the reply's fields */
	struct streaming *streaming;				/* once its reply was queued */
	bool has_reply;
	bool is_seen;	      /* the headers have been judged */
	bool is_suspended;    /* the reply is owed */
	bool skips_body;      /* refused, but the client may finish sending */
	unsigned int refused; /* status of our own refusal, 0: none */
	const char *why;
};

struct http_server {
	struct http_server_config config;
	struct listener listeners[HTTP_LISTENERS_MAX];
	unsigned int n_listeners;
	struct streams streams;
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
	{ "HEAD", HTTP_GET },
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
		own->deadline_ns = seconds == UINT64_MAX ? UINT64_MAX
							 : own->listener->server->now_ns +
								   seconds * SECOND_NS;
}

static void set_owes(struct MHD_Connection *c, bool owes)
{
	struct connection *own = connection_of(c);

	if (own)
		own->owes = owes;
}

static int fd_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* The library closes what we shut down: closing here would leave it a dead descriptor. */
static void cut_off(struct connection *c)
{
	shutdown(c->fd, SHUT_RDWR);
	c->deadline_ns = UINT64_MAX;
	c->owes = false;
}

/* Newer ones come behind, so the first that owes us is the one that has owed longest. */
static void make_room(struct listener *l)
{
	struct connection *c = l->first;

	if (l->n_connections < CROWDED)
		return;
	while (c && !c->owes)
		c = c->next;
	if (c)
		cut_off(c);
}

static void connection_began(struct listener *l, struct MHD_Connection *c, void **context)
{
	struct connection *own = calloc(1, sizeof(*own));

	if (!own) { /* without a deadline it must not live */
		shutdown(fd_of(c), SHUT_RDWR);
		return;
	}
	make_room(l);
	own->listener = l;
	own->fd = fd_of(c);
	own->owes = true;
	own->deadline_ns = l->server->now_ns + HTTP_HEADER_DEADLINE_S * SECOND_NS;
	own->prev = l->last;
	if (l->last)
		l->last->next = own;
	else
		l->first = own;
	l->last = own;
	l->n_connections++;
	*context = own;
}

static void connection_ended(struct connection *own)
{
	struct listener *l = own->listener;

	if (own->next)
		own->next->prev = own->prev;
	else
		l->last = own->prev;
	if (own->prev)
		own->prev->next = own->next;
	else
		l->first = own->next;
	l->n_connections--;
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

static void cut_off_the_late(struct http_server *s)
{
	for (unsigned int i = 0; i < s->n_listeners; i++) {
		for (struct connection *c = s->listeners[i].first; c; c = c->next) {
			if (c->deadline_ns <= s->now_ns)
				cut_off(c);
		}
	}
}

/* --- Exchanges --- */

static struct http_exchange *exchange_free(struct http_exchange *x)
{
	if (!x)
		return NULL;
	x->server->body_octets -= x->body.len;
	if (x->streaming)
		streams_disown(x->streaming);
	/* A reply that was never queued still has its stream. */
	else if (x->reply.stream.close)
		x->reply.stream.close(x->reply.stream.context);
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
	x->server = ((struct listener *)context)->server;
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
	set_owes(c, true);
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

static void find_remote(struct http_exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *from = info ? info->client_addr : NULL;

	if (from && from->sa_family == AF_INET)
		x->request.remote = ip_addr_v4(
			(const uint8_t *)&((const struct sockaddr_in *)(const void *)from)
				->sin_addr);
	else if (from && from->sa_family == AF_INET6)
		x->request.remote = ip_addr_v6(
			(const uint8_t *)&((const struct sockaddr_in6 *)(const void *)from)
				->sin6_addr);
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
	else
		find_remote(x);
}

/* --- Answering --- */

static void wipe_body(void *body)
{
	struct text *t = body;

	text_done(t);
	free(t);
}

static struct MHD_Response *make_whole_response(struct http_reply *reply)
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
	if (!r)
		wipe_body(body);
	return r;
}

static struct MHD_Response *make_stream_response(struct http_exchange *x)
{
	struct MHD_Response *r = streams_begin(&x->server->streams, x->connection,
					       &x->reply.stream, &x->streaming);

	if (r)
		x->reply.stream = (struct http_stream){ .read = NULL };
	return r;
}

static struct MHD_Response *make_response(struct http_exchange *x)
{
	struct http_reply *reply = &x->reply;
	struct MHD_Response *r =
		reply->stream.read ? make_stream_response(x) : make_whole_response(reply);

	if (!r)
		return NULL;
	MHD_add_response_header(r, "Content-Type", reply->content_type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	for (int i = 0; i < HTTP_REPLY_FIELDS_MAX && reply->fields[i].name; i++)
		MHD_add_response_header(r, reply->fields[i].name, x->values[i]);
	return r;
}

static enum MHD_Result send_reply(struct http_exchange *x)
{
	struct MHD_Response *r = make_response(x);
	enum MHD_Result done;

	if (!r)
		return MHD_NO;
	/* What is left of a refused body is not worth reading. */
	if (x->refused || x->server->streams.is_ending)
		MHD_add_response_header(r, "Connection", "close");
	set_deadline(x->connection, HTTP_REPLY_DEADLINE_S);
	done = MHD_queue_response(x->connection, x->reply.status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result send_refusal(struct http_exchange *x)
{
	const struct http_server_config *c = &x->server->config;

	c->refuse(c->context, x->request.listener, &x->reply, x->refused, x->why);
	return send_reply(x);
}

void http_reply_add(struct http_reply *reply, const char *name, const char *value)
{
	int i = 0;

	while (i < HTTP_REPLY_FIELDS_MAX && reply->fields[i].name)
		i++;
	assert(i < HTTP_REPLY_FIELDS_MAX);
	reply->fields[i] = (struct http_field){ name, value };
}

/* Too many streams, or one for a HEAD, of which nothing would be read. */
static void turn_stream_down(struct http_exchange *x)
{
	const struct http_server_config *c = &x->server->config;
	struct http_stream stream = x->reply.stream;
	bool is_head = strcmp(x->request.method_text, "HEAD") == 0;

	if (!stream.read || (!is_head && streams_have_room(&x->server->streams)))
		return;
	x->reply.stream = (struct http_stream){ .read = NULL };
	if (stream.close)
		stream.close(stream.context);
	if (!is_head)
		c->refuse(c->context, x->request.listener, &x->reply,
			  MHD_HTTP_SERVICE_UNAVAILABLE, "too many streams at once");
}

void http_reply(struct http_exchange *x, struct http_reply *reply)
{
	assert(!x->has_reply);
	x->reply = *reply;
	for (int i = 0; i < HTTP_REPLY_FIELDS_MAX && reply->fields[i].name; i++)
		snprintf(x->values[i], sizeof(x->values[i]), "%s", reply->fields[i].value);
	x->has_reply = true;
	*reply = (struct http_reply){ .status = 0 };
	turn_stream_down(x);
	if (!x->is_suspended)
		return;
	x->is_suspended = false;
	x->server->waiting--;
	MHD_resume_connection(x->connection);
}

void http_stream_wake(struct http_exchange *x)
{
	if (x->streaming)
		streams_wake(x->streaming);
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
	set_owes(x->connection, false);
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

static enum MHD_Result on_access(void *context, struct MHD_Connection *c, const char *url,
				 const char *method, const char *version, const char *data,
				 size_t *data_len, void **exchange)
{
	const struct listener *l = context;
	struct http_exchange *x = *exchange;

	(void)c;
	(void)url; /* unescaped and cut: see on_target() */
	(void)version;
	if (!x) {
		log_error("no memory for a request");
		return MHD_NO;
	}
	if (!x->is_seen) {
		x->request.is_local = l->is_local;
		x->request.listener = l->number;
		return take_headers(x, method);
	}
	if (*data_len > 0) {
		size_t len = *data_len;

		*data_len = 0;
		return take_body(x, data, len);
	}
	return x->has_reply ? send_reply(x) : finish(x);
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

static bool start_daemon(struct listener *l, const struct http_listener *c)
{
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	const struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)c->cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)c->key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	l->daemon = MHD_start_daemon(
		c->cert ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, on_access, l,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, l, MHD_OPTION_LISTEN_SOCKET, c->fd,
		MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)(c->is_local ? HTTP_LOCAL_CONNECTIONS_MAX : HTTP_CONNECTIONS_MAX),
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned int)(c->is_local ? 0 : HTTP_CONNECTIONS_PER_IP_MAX),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
		NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, l, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
		MHD_OPTION_ARRAY, c->cert ? tls : none, MHD_OPTION_END);
	return l->daemon != NULL;
}

int http_server_new(const struct http_server_config *config, struct http_server **ret)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->streams.set_deadline = set_deadline;
	for (; s->n_listeners < config->n_listeners; s->n_listeners++) {
		struct listener *l = &s->listeners[s->n_listeners];

		l->server = s;
		l->number = s->n_listeners;
		l->is_local = config->listeners[l->number].is_local;
		if (!start_daemon(l, &config->listeners[l->number])) {
			http_server_free(s);
			return -EINVAL;
		}
	}
	*ret = s;
	return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
	if (!s)
		return NULL;
	assert(s->waiting == 0);
	/* The library does not stop while one of its connections is suspended. */
	streams_end(&s->streams);
	for (unsigned int i = 0; i < s->n_listeners; i++)
		MHD_run(s->listeners[i].daemon);
	for (unsigned int i = 0; i < s->n_listeners; i++)
		MHD_stop_daemon(s->listeners[i].daemon);
	free(s);
	return NULL;
}

unsigned int http_server_fds(const struct http_server *s, int ret[HTTP_LISTENERS_MAX])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->n_listeners; i++) {
		const union MHD_DaemonInfo *info =
			MHD_get_daemon_info(s->listeners[i].daemon, MHD_DAEMON_INFO_EPOLL_FD);

		if (info)
			ret[n++] = info->epoll_fd;
	}
	return n;
}

static int run_daemon(struct MHD_Daemon *d, int timeout_ms)
{
	MHD_UNSIGNED_LONG_LONG ms;

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
	streams_wake_paused(&s->streams);
	for (unsigned int i = 0; i < s->n_listeners; i++)
		timeout_ms = run_daemon(s->listeners[i].daemon, timeout_ms);
	return streams_have_paused(&s->streams) ? 0 : timeout_ms;
}

void http_server_quiesce(struct http_server *s)
{
	streams_end(&s->streams);
	for (unsigned int i = 0; i < s->n_listeners; i++) {
		MHD_socket fd = MHD_quiesce_daemon(s->listeners[i].daemon);

		if (fd != MHD_INVALID_SOCKET)
			close(fd);
	}
}

unsigned int http_server_connections(const struct http_server *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->n_listeners; i++) {
		const union MHD_DaemonInfo *info = MHD_get_daemon_info(
			s->listeners[i].daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

		n += info ? info->num_connections : 0;
	}
	return n;
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
