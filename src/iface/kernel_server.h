/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kernel_server.h - UAPI over stream sockets, for a kernel interface
 *
 * Who holds one of these connections drives the interface as if it were a userspace one: get=1,
 * set=1, limited=1 and state=1, with the meaning that device/uapi_server.h gives them. The
 * private key is in no answer. A limited connection may not set it, nor port and mark.
 *
 * A request is judged whole before anything of it is sent to the kernel. What the kernel then
 * refuses may have been applied in part: the connection is closed without an answer, and its
 * other end compares everything.
 *
 * The kernel tells all of its peers or nothing, and sets them piece by piece. One of these at a time is
 * under way, and between its pieces (kernel_server_pause()) all others are heard: who asks is
 * answered out of what is being told already, and who changes something waits for no answer to
 * others. Whoever waits for a second is told so, with a line "busy=1" before the answer; a client that
 * hears nothing may take us for dead.
 *
 * The other end of a limited connection may be taken over some day. So each is bounded: how much
 * it sets at once, octets per second, and how long it may occupy us: after a question that took
 * some time it is left alone for as long, after a change for a quarter of it, but for 3 s at most.
 *
 * Bounds:  KERNEL_CONNECTIONS_MAX; of limited ones KERNEL_LIMITED_MAX; one answer to get=1 of a
 *	    limited connection waits to be read, further ones are refused with EBUSY.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <poll.h>

#include "iface/wg_genl.h"

enum {
	KERNEL_CONNECTIONS_MAX = 16,
	KERNEL_LIMITED_MAX = 8,
	KERNEL_LIMITED_PEERS_MAX = 1 << 16, /* in one set */
	KERNEL_LIMITED_PREFIXES_MAX = 1 << 18,
	KERNEL_LIMITED_OCTETS_PER_S = 32 << 20,
};

/* The interface. Both return 0 or -errno; -ENODEV ends the server. They call kernel_server_pause(). */
struct kernel_backend {
	int (*get)(void *context, struct wg_genl_snapshot *ret);
	int (*set)(void *context, const struct wg_genl_set *set);
	void *context;
};

struct kernel_server;

/** kernel_server_new() - @backend is copied. Return: 0 or -ENOMEM */
int kernel_server_new(const struct kernel_backend *backend, struct kernel_server **ret);
struct kernel_server *kernel_server_free(
	struct kernel_server *s); /* takes NULL, returns NULL */

/**
 * kernel_server_add() - Serve a connection; @fd is taken over, after a failure too
 * @is_limited:	As if limited=1 had been asked
 *
 * Return: 0; ERR_LIMIT; -ENOMEM.
 */
int kernel_server_add(struct kernel_server *s, int fd, bool is_limited);

/**
 * kernel_server_watch() - What to wait for
 * @fds:	Room for KERNEL_CONNECTIONS_MAX
 * @ret_timeout_ms: -1: for ever
 *
 * Return: how many of @fds.
 */
size_t kernel_server_watch(const struct kernel_server *s, uint64_t now_ns, struct pollfd *fds,
			   int *ret_timeout_ms);

/**
 * kernel_server_pause() - From get() and set() of the backend, between two pieces
 * @is_spoiled:	What get() is being told will be asked for again: changes do it no more harm
 *
 * May call set(), from within get().
 */
void kernel_server_pause(struct kernel_server *s, bool is_spoiled);

/** kernel_server_run() - Serve all that can be served. Return: false when the interface is gone */
bool kernel_server_run(struct kernel_server *s);
