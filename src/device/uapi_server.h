/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uapi_server.h - Connections that speak UAPI
 *
 * Several operations may follow each other on one connection. A request that is refused
 * is read to its end and answered; nothing of it is applied. An unknown operation closes
 * the connection.
 *
 * watch=1 turns a connection into a stream: "watching=1" and an empty line, then, each
 * second in which something changed, a block per changed peer (device/uapi_apply.h). A client
 * that does not read loses blocks and finds "overrun=1" instead: get=1 on another connection
 * tells the whole.
 *
 * limited=1 makes a connection one that can be handed to a process that must not have the
 * device's identity: from then on get=1 leaves out the private key, a set may neither
 * replace it nor change port and mark, and handover=1 closes. There is no way back. That
 * process may be taken over some day, so there are fewer of these connections than of all
 * (more are refused with EBUSY), their sets are smaller, get=1 is answered with EBUSY while the
 * reply to another of them is not read yet (it may be long), and one that moved more octets in a
 * second than it should is left alone for the next.
 *
 * state=1 is answered with listen_port, culvert_public_key and culvert_state: a number that changes
 * with each set of another connection that is neither limited nor asks the same. Who drives the
 * device so sees, for the price of one question, whether somebody else did too.
 *
 * handover=1 and handover=2 pass the device's descriptors to a successor: device/handover.h.
 *
 * Bounds:  UAPI_CONNECTIONS_MAX at once; a line of UAPI_LINE_MAX; the bounds of conf/uapi.h.
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/uapi.h"

enum {
	UAPI_CONNECTIONS_MAX = 64,

	/* Of limited connections: */
	UAPI_LIMITED_MAX = 8,
	UAPI_LIMITED_PEERS_MAX = 1 << 16, /* in one set */
	UAPI_LIMITED_ALLOWED_IPS_MAX = 1 << 18,
	UAPI_LIMITED_OCTETS_PER_S = 32 << 20, /* both directions: 100 000 peers at once */
};

/* What the server asks of the device. */
struct uapi_handler {
	/* Apply a whole request. Return: 0 or a positive UAPI_E... */
	int (*set)(void *context, const struct uapi_set *set, struct diag *d);
	void (*get)(void *context, struct text *out, enum uapi_dialect dialect,
		    bool with_private_key);
	/* Its public key and port, for state=1. */
	void (*state)(void *context, struct uapi_get_device *ret);
	/* There is somebody to tell changes, or nobody any more. */
	void (*watched)(void *context, bool is_watched);
	/* A successor asks: write the answer's text, list descriptors to pass (they are not
	 * closed); with @stops, stop first. Return: how many; 0: refused. */
	size_t (*handover)(void *context, bool stops, struct text *out, int *fds);
	/* One that was answered without asks to stop: do, and write what changed. false: refused. */
	bool (*handover_stop)(void *context, struct text *out);
	void (*handover_end)(void *context, bool is_done);
	void *context;
};

struct uapi_server;

/**
 * uapi_listen() - The socket of interface @name: /var/run/wireguard/NAME.sock, or amneziawg
 *
 * A socket nobody listens on is replaced; one that answers is left alone.
 *
 * Return: a listening descriptor; -EADDRINUSE when another process serves it; -errno.
 */
int uapi_listen(enum uapi_dialect dialect, const char *name, struct diag *d);
/* Does a process serve it? 0: it answers; -ECONNREFUSED: nobody any more; -ENOENT: there is none; -errno. */
int uapi_call(enum uapi_dialect dialect, const char *name);
/* Its path, for watching and removing. @out has room for 108 octets. */
void uapi_path(enum uapi_dialect dialect, const char *name, char out[108]);
const char *uapi_directory(enum uapi_dialect dialect);

/**
 * uapi_server_new() - Serve connections of @listeners, driven by the epoll set @epoll
 * @listeners:	By dialect; -1: none
 *
 * Descriptors are registered with data.ptr; events whose data.ptr is not NULL and
 * is known to uapi_server_event() are the server's.
 */
int uapi_server_new(const int listeners[UAPI_DIALECTS], int epoll,
		    const struct uapi_handler *handler, struct uapi_server **ret);
struct uapi_server *uapi_server_free(struct uapi_server *s);

/** uapi_server_event() - Handle one event. false: @ptr is not ours */
bool uapi_server_event(struct uapi_server *s, void *ptr, uint32_t events);

/** uapi_server_tell() - Send @len octets of @text to all who watch */
void uapi_server_tell(struct uapi_server *s, const char *text, size_t len);

/** uapi_server_end_handover() - The successor took too long: drop it */
void uapi_server_end_handover(struct uapi_server *s);
