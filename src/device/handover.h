/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handover.h - One tunnel process takes over from another, and no packet notices much
 *
 * Theory of operation.
 *
 *	successor				old process
 *	handover=1
 *						stops its threads where they stand; its
 *						descriptors (TUN queues, control sockets, UDP
 *						sockets; with the first octet of the answer),
 *						"handover=QUEUES,CONTROL,SOCKETS4,SOCKETS6", the text of
 *						get=1, "culvert_label=KEY,NS" per peer, errno=0
 *	gets ready: state, threads, fewer
 *	rights; its threads stand still too
 *	done=1
 *						errno=0: it is over. It sends nothing more, and
 *						leaves interface, socket and file alone
 *	lets its threads go
 *
 * The number behind handover= is the version of the answer. A successor asks for the newest it
 * knows, and for the one before where that is refused; who is asked for one it does not know
 * closes the connection and goes on. Lines it does not know a reader may skip only below culvert_.
 *
 * Packets wait in the kernel meanwhile. The acknowledgement decides: with it the successor
 * is the one, without it the old process is. If the successor says nothing for
 * HANDOVER_PATIENCE_MS, or goes away, the old one goes on as if nothing had happened; a
 * successor that hears no acknowledgement closes its ear first, so that none can come later,
 * and ends without touching anything. At no time two send. None is left only if the
 * successor dies after the acknowledgement, as it could at any later time.
 *
 * Session keys stay behind on purpose: no counter can be used twice. The successor starts a
 * handshake at once with every peer that was alive. The label of the last handshake message
 * goes along (KEY in hex, NS Unix time): peers take only later ones, and the wall clock may
 * have been set back.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "conf/uapi.h"
#include "device/device.h"
#include "device/sockets.h"
#include "device/worker.h"
#include "engine/engine.h"
#include "net/tun.h"

enum {
	HANDOVER_PATIENCE_MS = 5000,
	/* Under the kernel's 253. */
	HANDOVER_FDS_MAX = 3 * (DEVICE_WORKERS_MAX + 1) - 1 + UAPI_DIALECTS,
};

/* --- The old process --- */

/** handover_offer() - Write the answer's first line to @out and list the descriptors to pass
 * Return: how many stand in @fds. They stay ours. */
size_t handover_offer(const struct worker_shared *shared, const int uapi[UAPI_DIALECTS],
		      struct text *out, int fds[HANDOVER_FDS_MAX]);

/** handover_labels() - Write a line per peer that was ever called, after the text of get=1 */
void handover_labels(const struct engine *e, struct text *out);

/* --- The successor --- */

/**
 * struct handover - What was taken over
 * @connection:	Where to say done=1; closing it without a word gives everything back
 * @config:	The answer
 */
struct handover {
	int connection;
	int uapi[UAPI_DIALECTS];
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

/**
 * handover_done() - Ask the old one to end, and wait for its word
 *
 * Return: 0: we are the one now; -EPROTO: the old one goes on, we must end.
 */
int handover_done(struct handover *h);

/* Closes what was not moved out (descriptors set to -1 were). */
void handover_free(struct handover *h);
