/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.h - HTTP/1.1 for one process: listening sockets in, whole requests out
 *
 * The protocol is libmicrohttpd's. What it leaves open is decided here, before any
 * handler sees a request: one Content-Length or chunks and never both (RFC 9112 section
 * 6.1), one Host, no header twice that decides anything, targets of visible ASCII without
 * %00, headers of at most 16 KiB, bodies of at most 1 MiB and 64 MiB of them altogether,
 * and time limits of our own, because the library only limits silence: a client that
 * sends a byte a second is cut off.
 *
 * A handler answers at once or later: until http_reply() the exchange waits, and the
 * handler's thread serves others.
 *
 * Threads: everything in the thread that calls http_server_run().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/socket.h>

#include "base/text.h"

enum {
	HTTP_TARGET_MAX = 8192,
	HTTP_HEADERS_MAX = 16384, /* octets of all header fields */
	HTTP_FIELDS_MAX = 64,
	HTTP_BODY_MAX = 1 << 20,
	HTTP_BODY_SKIPPED_MAX = 16 << 20, /* of a body that is too large, to let the client
					   * finish and read why */
	HTTP_VALUE_MAX = 127,
	HTTP_BODIES_MAX = 64 << 20, /* octets held for all requests together */
	HTTP_CONNECTIONS_MAX = 1024,
	HTTP_CONNECTIONS_PER_IP_MAX = 512,
	HTTP_LOCAL_CONNECTIONS_MAX = 64,
	HTTP_HEADER_DEADLINE_S = 10, /* until the headers are complete, also between requests */
	HTTP_BODY_DEADLINE_S = 30,
	HTTP_REPLY_DEADLINE_S = 60, /* until the client has read its answer */
};

enum http_method {
	HTTP_GET = 1,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_METHOD_OTHER, /* a method that exists, and that no route of ours has */
};

/**
 * struct http_request - A whole request; borrowed until it is answered
 * @method_text: As received
 * @target:	As received, query included
 * @body:	NUL-terminated behind @body_len octets
 * @is_local:	It came over the local socket; @caller is then the process at the other end
 */
struct http_request {
	enum http_method method;
	const char *method_text;
	const char *target;
	const char *body;
	size_t body_len;
	bool is_local;
	struct ucred caller;
};

/**
 * struct http_reply - What to answer
 * @status:	200 to 599
 * @body:	Taken over and wiped once sent
 * @header, @value: One more header field, of static text and at most HTTP_VALUE_MAX octets,
 *		copied; NULL: none
 */
struct http_reply {
	unsigned int status;
	const char *content_type;
	struct text body;
	const char *header;
	const char *value;
};

struct http_server;
struct http_exchange;

/**
 * struct http_server_config - Where to listen and whom to ask
 * @tcp_fd, @local_fd: Listening sockets, or -1; taken over
 * @handle:	Called once per request that is well-formed. It, or somebody later, calls
 *		http_reply() exactly once
 * @refuse:	Makes the body of the server's own refusals: @status, a sentence
 */
struct http_server_config {
	int tcp_fd;
	int local_fd;
	void (*handle)(void *context, struct http_exchange *x);
	void (*refuse)(struct http_reply *reply, unsigned int status, const char *why);
	void *context;
};

/** http_server_new() - Return: 0; -ENOMEM; -EINVAL when the library refuses */
int http_server_new(const struct http_server_config *config, struct http_server **ret);

/** http_server_free() - No exchange may wait for its reply any more. Takes NULL, returns NULL */
struct http_server *http_server_free(struct http_server *s);

/* Descriptors to poll for reading, up to two. Return: how many. */
unsigned int http_server_fds(const struct http_server *s, int ret[2]);

/**
 * http_server_run() - Do what can be done without waiting
 *
 * Return: in how many milliseconds to call again even if no descriptor is readable.
 */
int http_server_run(struct http_server *s, uint64_t now_ns);

/** http_server_quiesce() - Take no new connections */
void http_server_quiesce(struct http_server *s);

/* Exchanges whose reply is still owed. */
unsigned int http_server_waiting(const struct http_server *s);

const struct http_request *http_exchange_request(const struct http_exchange *x);

/** http_exchange_header() - The value of a header field, by name in any case; NULL: absent */
const char *http_exchange_header(const struct http_exchange *x, const char *name);

/** http_reply() - Answer; @x is gone afterwards */
void http_reply(struct http_exchange *x, struct http_reply *reply);
