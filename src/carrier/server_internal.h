/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server_internal.h - One connection of a server, and who does what with it
 *
 * server.c accepts, waits and ends; server_prove.c is the way of a TCP carrier to its proof,
 * server_http.c that of the others.
 *
 * States:
 *
 *	SHAKING    TLS handshake
 *	ASKING     a head of HTTP, or HELLO, comes in
 *	ANSWERING  @out, and @body behind it, go out
 *	PROVING    ANSWER is out, PROOF comes in
 *	RELAYING   proved: @relay has both sides
 *	OVER       to be freed at the end of the turn
 */
#pragma once

#include "base/text.h"
#include "carrier/hello.h"
#include "carrier/relay.h"
#include "carrier/server.h"

enum connection_state {
	CONNECTION_SHAKING,
	CONNECTION_ASKING,
	CONNECTION_ANSWERING,
	CONNECTION_PROVING,
	CONNECTION_RELAYING,
	CONNECTION_OVER,
};

enum watch_kind { WATCH_LISTENER, WATCH_STREAM, WATCH_UDP };

/* struct watch - What epoll knows of one descriptor; @of is a listener or a connection */
struct watch {
	enum watch_kind kind;
	uint32_t events;
	void *of;
};

struct connection {
	struct carrier_server *server;
	struct connection *newer;
	struct connection *older;
	enum carrier_kind kind;
	enum connection_state state;
	bool is_proved; /* counts as a user */
	uint64_t deadline_ns;
	struct stream stream;
	struct watch stream_watch;
	struct datagrams udp;
	struct watch udp_watch;
	struct relay *relay;
	uint8_t digest[HELLO_KEY_LEN]; /* of the key that was proved */
	char id[CARRIER_KEY_ID_MAX + 1];
	char from[ADDR_TEXT_MAX]; /* for the log */
	struct hello hello;
	bool is_known; /* the tag of HELLO is somebody's */
	size_t have;   /* octets in @in */
	size_t seen;   /* of those that http_head_end() has seen */
	uint8_t in[HTTP_HEAD_MAX];
	struct text out; /* then @body */
	size_t written;	 /* of @out and @body together */
	const char *body;
	size_t body_len;
	bool ends;	/* behind the answer */
	bool is_let_in; /* behind the answer, capsules */
};

struct listener {
	enum carrier_kind kind;
	int fd;
	struct watch watch;
};

struct carrier_server {
	struct carrier_server_config config;
	char target_host[ADDR_TEXT_MAX];
	struct carrier_keys *keys;
	struct site *site;
	struct ssl_ctx_st *tls;
	int epoll;
	struct listener listeners[SERVER_LISTENERS_MAX];
	size_t n_listeners;
	struct connection *newest;
	struct connection *oldest;
	struct connection *graveyard;
	uint64_t now_ns;
	uint64_t swept_ns;
	struct carrier_server_counts counts;
	uint8_t nobody[HELLO_KEY_LEN]; /* proves to those whose tag nobody has */
};

/* Each does what can be done now. Return: 0; whatever else ends the connection. */
int connection_prove(struct connection *c);
int connection_http(struct connection *c);

/** connection_let_in() - The key was right: a socket to WireGuard and a relay, with what came early */
int connection_let_in(struct connection *c, const struct carrier_key *key);
int connection_begin_relay(struct connection *c, enum framing_kind kind);
