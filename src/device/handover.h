/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handover.h - One tunnel process takes over from another, and no packet notices much
 *
 * Theory of operation. The successor connects to the control socket and asks
 * handover=1. The old process stops its data threads where they stand and answers with
 * its descriptors (TUN queues, control socket, UDP sockets; in this order, with the first
 * octet of the answer), the line "handover=QUEUES,SOCKETS4,SOCKETS6" and the text of get=1.
 * Packets wait in the kernel meanwhile. When the successor is ready it says done=1: the
 * old one ends and leaves interface, socket and file alone. If it says nothing for
 * HANDOVER_PATIENCE_MS, or goes away, the old one goes on as if nothing had happened.
 *
 * Session keys stay behind on purpose: no counter can be used twice. The
 * successor starts a handshake at once with every peer that was alive.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "device/device.h"
#include "device/sockets.h"
#include "device/worker.h"
#include "engine/engine.h"
#include "net/tun.h"

enum {
	HANDOVER_PATIENCE_MS = 5000,
	HANDOVER_FDS_MAX = 3 * (DEVICE_WORKERS_MAX + 1), /* under the kernel's 253 */
};

/* --- The old process --- */

/** handover_offer() - Write the answer's text to @out and list the descriptors to pass
 * Return: how many stand in @fds. They stay ours. */
size_t handover_offer(const struct worker_shared *shared, int uapi, struct text *out,
		      int fds[HANDOVER_FDS_MAX]);

/* --- The successor --- */

/**
 * struct handover - What was taken over
 * @connection:	Where to say done=1; closing it without a word gives everything back
 * @config:	Text of get=1
 */
struct handover {
	int connection;
	int uapi;
	unsigned int n_queues;
	int queues[DEVICE_WORKERS_MAX];
	struct socket_family v4;
	struct socket_family v6;
	bool has_sockets;
	struct text config;
};

/** handover_take() - Ask the process that serves @name. Return: 0 or an error with @d */
int handover_take(const char *name, struct handover *h, struct diag *d);

/** handover_apply() - Configure the engine as the old one was; greets the living peers */
int handover_apply(const struct handover *h, struct engine *e, struct engine_worker *w,
		   uint64_t now_ns, uint64_t wall_ns, uint16_t *ret_port, uint32_t *ret_mark,
		   struct diag *d);

/** handover_done() - The old one may end. Return: 0 or -errno */
int handover_done(struct handover *h);

/* Closes what was not moved out (descriptors set to -1 were). */
void handover_free(struct handover *h);
