/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handover.h - One tunnel process takes over from another, and no packet notices much
 *
 * Theory of operation.
 *
 *	successor				old process
 *	handover=2
 *						its descriptors (TUN queues, control sockets, UDP
 *						sockets; with the first octet of the answer),
 *						"handover=QUEUES,CONTROL,SOCKETS4,SOCKETS6", the text of
 *						get=1, "culvert_label=KEY,NS" per peer, errno=0.
 *						It serves on, and notes what is set
 *	gets ready: state, threads, fewer
 *	rights; its threads stand still
 *	stop=1
 *						stops its threads where they stand; "stopped=1", what
 *						was set since, each "set=1" and its lines without the
 *						empty one, what else changed about peers likewise,
 *						labels that changed, errno=0
 *	takes that as well
 *	done=1
 *						errno=0: it is over. It sends nothing more, and
 *						leaves interface, socket and file alone
 *	lets its threads go
 *
 * The number behind handover= is the version of what follows. Version 1 has no stop=1: the old
 * process stops at once. Who is asked answers both; a successor asks for 2, and for 1 where
 * that only closes the connection. Lines that a reader does not know it skips if they begin
 * with culvert_, and gives up otherwise.
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

/* Before a peer's label; skipped by who does not know it. */
#define HANDOVER_LABEL "culvert_label="

enum {
	HANDOVER_PATIENCE_MS = 5000,
	HANDOVER_OFFER_MS = 20000, /* before stop=1, while nobody waits */
	HANDOVER_SINCE_MAX = 16 << 20,
	/* Under the kernel's 253. */
	HANDOVER_FDS_MAX = 3 * (DEVICE_WORKERS_MAX + 1) - 1 + UAPI_DIALECTS,
};

/* --- The old process --- */

/** handover_offer() - Write the answer's first line to @out and list the descriptors to pass
 * Return: how many stand in @fds. They stay ours. */
size_t handover_offer(const struct worker_shared *shared, const int uapi[UAPI_DIALECTS],
		      struct text *out, int fds[HANDOVER_FDS_MAX]);

/**
 * struct handover_offered - What a successor was told that does not stop us yet
 * @fds:	Those it was passed
 * @peers:	Each as it was, to tell later what changed
 * @since:	What was set since, to be told; @since.err: it cannot be
 */
struct handover_offered {
	int fds[HANDOVER_FDS_MAX];
	size_t n_fds;
	struct handover_peer *peers;
	size_t n_peers;
	struct text since;
};

/** handover_note() - Remember what was offered. Return: 0 or -ENOMEM */
int handover_note(struct handover_offered *o, const struct engine *e, const int *fds, size_t n);

/* Something was set. */
void handover_note_set(struct handover_offered *o, const struct uapi_set *set);

/**
 * handover_changes() - Write the answer to stop=1 up to its errno
 * @fds, @n:	As handover_offer() lists them now
 *
 * Return: false when the successor has to start again: other sockets than it was passed, or
 *	   too much was set.
 */
bool handover_changes(const struct handover_offered *o, const struct engine *e, const int *fds,
		      size_t n, struct text *out);
void handover_forget(struct handover_offered *o); /* wipes; all zeroes again */

/** handover_labels() - Write a line per peer that was ever called, after the text of get=1 */
void handover_labels(const struct engine *e, struct text *out);

/* --- The successor --- */

/**
 * struct handover - What was taken over
 * @connection:	Where to say done=1; closing it without a word gives everything back
 * @config:	The answer
 * @stops_old:	It serves on until handover_stop()
 */
struct handover {
	int connection;
	int uapi[UAPI_DIALECTS];
	unsigned int n_queues;
	int queues[DEVICE_WORKERS_MAX];
	struct socket_family v4;
	struct socket_family v6;
	bool has_sockets;
	bool stops_old;
	struct text config;
};

/** handover_take() - Ask the process that serves @name. Return: 0 or an error with @d */
int handover_take(const char *name, struct handover *h, struct diag *d);

/** handover_apply() - Configure the engine as the old one was; greets the living peers */
int handover_apply(const struct handover *h, struct engine *e, struct engine_worker *w,
		   uint64_t now_ns, uint64_t wall_ns, uint16_t *ret_port, uint32_t *ret_mark,
		   struct diag *d);

/**
 * handover_stop() - Let the old one stop, and take what changed meanwhile
 * @ret_mark:	Written only if it was set
 *
 * Return: 0, also where it stands still already; or an error with @d: it goes on, we must end.
 */
int handover_stop(struct handover *h, struct engine *e, struct engine_worker *w,
		  uint64_t now_ns, uint32_t *ret_mark, struct diag *d);

/**
 * handover_done() - Ask the old one to end, and wait for its word
 *
 * Return: 0: we are the one now; -EPROTO: the old one goes on, we must end.
 */
int handover_done(struct handover *h);

/* Closes what was not moved out (descriptors set to -1 were). */
void handover_free(struct handover *h);
