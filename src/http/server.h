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
#include <sys/types.h>

#include "base/addr.h"
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
	HTTP_LISTENERS_MAX = 8,
	HTTP_CONNECTIONS_MAX = 4096, /* of a listener; its oldest idle ones make room before */
	HTTP_CONNECTIONS_PER_IP_MAX = HTTP_CONNECTIONS_MAX,
	HTTP_LOCAL_CONNECTIONS_MAX = 64,
	HTTP_REPLY_FIELDS_MAX = 4,   /* header fields of a reply beside the usual ones */
	HTTP_STREAMS_MAX = 64,	     /* replies that last, at once */
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
 * @method:	HTTP_GET for HEAD as well: the answer's body is left out by itself
 * @method_text: As received
 * @target:	As received, query included
 * @body:	NUL-terminated behind @body_len octets
 * @listener:	Which one it came in by: its place in the configuration
 * @remote:	The other end's address; family ADDR_NONE over a local socket
 * @is_local:	It came over a local socket; @caller is then the process at the other end
 */
struct http_request {
	enum http_method method;
	const char *method_text;
	const char *target;
	const char *body;
	size_t body_len;
	unsigned int listener;
	struct ip_addr remote;
	bool is_local;
	struct ucred caller;
};

enum { HTTP_STREAM_PAUSE = -2 };

/**
 * struct http_stream - A body that is made piece by piece
 * @read:	Write up to @max octets to @out. Return: how many; 0: none yet, the connection
 *		waits for http_stream_wake(); -1: that was all; HTTP_STREAM_PAUSE: there is more to do, and
 *		others go first
 * @close:	Called once, whatever became of it; nothing is called afterwards
 */
struct http_stream {
	ssize_t (*read)(void *context, char *out, size_t max);
	void (*close)(void *context);
	void *context;
};

/* struct http_field - Both borrowed until http_reply() returns; @value of at most HTTP_VALUE_MAX */
struct http_field {
	const char *name;
	const char *value;
};

/**
 * struct http_reply - What to answer
 * @status:	200 to 599
 * @body:	Taken over and wiped once sent
 * @stream:	With a @read: makes the body instead. Refused with 503 when too many last
 * @fields:	More header fields; a NULL name ends the list
 */
struct http_reply {
	unsigned int status;
	const char *content_type;
	struct text body;
	struct http_stream stream;
	struct http_field fields[HTTP_REPLY_FIELDS_MAX];
};

/** http_reply_add() - One more header field; one too many is a mistake of ours */
void http_reply_add(struct http_reply *reply, const char *name, const char *value);

struct http_server;
struct http_exchange;

/**
 * struct http_listener - One place where requests come in
 * @fd:		Listening socket, taken over
 * @cert, @key:	PEM texts: TLS is spoken; borrowed for http_server_new(). NULL: plain
 */
struct http_listener {
	int fd;
	bool is_local;
	const char *cert;
	const char *key;
};

/**
 * struct http_server_config - Where to listen and whom to ask
 * @handle:	Called once per request that is well-formed. It, or somebody later, calls
 *		http_reply() exactly once
 * @refuse:	Makes the body of the server's own refusals: @listener, @status, a sentence
 */
struct http_server_config {
	struct http_listener listeners[HTTP_LISTENERS_MAX];
	unsigned int n_listeners;
	void (*handle)(void *context, struct http_exchange *x);
	void (*refuse)(void *context, unsigned int listener, struct http_reply *reply,
		       unsigned int status, const char *why);
	void *context;
};

/** http_server_new() - Return: 0; -ENOMEM; -EINVAL when the library refuses */
int http_server_new(const struct http_server_config *config, struct http_server **ret);

/** http_server_free() - No exchange may wait for its reply any more. Takes NULL, returns NULL */
struct http_server *http_server_free(struct http_server *s);

/* Descriptors to poll for reading. Return: how many. */
unsigned int http_server_fds(const struct http_server *s, int ret[HTTP_LISTENERS_MAX]);

/**
 * http_server_run() - Do what can be done without waiting
 *
 * Return: in how many milliseconds to call again even if no descriptor is readable.
 */
int http_server_run(struct http_server *s, uint64_t now_ns);

/** http_server_quiesce() - Take no new connections, end the streams, and with each reply its connection */
void http_server_quiesce(struct http_server *s);

/* Connections of all listeners: with a request under way, or waiting for the next one. */
unsigned int http_server_connections(const struct http_server *s);

/* Exchanges whose reply is still owed. */
unsigned int http_server_waiting(const struct http_server *s);

const struct http_request *http_exchange_request(const struct http_exchange *x);

/** http_exchange_header() - The value of a header field, by name in any case; NULL: absent */
const char *http_exchange_header(const struct http_exchange *x, const char *name);

/** http_reply() - Answer; @x is gone afterwards */
void http_reply(struct http_exchange *x, struct http_reply *reply);

/** http_stream_wake() - A stream that had nothing may be read again. @x is that of its request:
 *  good until @close was called, even behind http_reply() */
void http_stream_wake(struct http_exchange *x);
