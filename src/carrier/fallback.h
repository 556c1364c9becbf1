/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fallback.h - Which way a tunnel goes: UDP, or one of its carriers
 *
 * Way 0 is UDP, the others are carriers in the order in which they are to be tried. What comes
 * of a way is judged by the tunnel: a way is good when something arrived over it that only the
 * peer can have made, and bad when what was sent is not answered. The caller carries out what
 * fallback_step() says by changing the endpoint of the peer, so the session survives.
 *
 * States:
 *
 *	TRYING   a way is used, and nothing came over it yet; when what was sent is not answered
 *		 within its patience the next is tried, after all of them behind a pause that is
 *		 longer each time
 *	SETTLED  the way is good; lost when what is sent stays unanswered
 *	PROBING  settled on a carrier, but UDP is used for a moment to see whether it works again
 *
 * What worked is remembered for each network, and tried first when that network is back.
 *
 * Bounds:  FALLBACK_WAYS_MAX ways, FALLBACK_NETWORKS_MAX networks, of which the one that was not
 *	    used for longest is forgotten.
 * Threads: none here; time comes in, in nanoseconds of a clock that does not go back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FALLBACK_UDP = 0,
	FALLBACK_WAYS_MAX = 8,
	FALLBACK_NETWORKS_MAX = 64,
};

#define FALLBACK_SECOND UINT64_C(1000000000)

/* WireGuard begins a handshake anew every five seconds: a way gets two of them. */
#define FALLBACK_PATIENCE_NS	(6 * FALLBACK_SECOND)
/* WireGuard's own measure: what is sent is answered within keepalive and rekey timeout. */
#define FALLBACK_SILENCE_NS	(15 * FALLBACK_SECOND)
/* A session is made anew after 120 s when both sides send. Where none is, what still arrives says
 * nothing about what we send: a network may let datagrams in and none out. */
#define FALLBACK_SESSION_NS	(150 * FALLBACK_SECOND)
#define FALLBACK_PROBE_NS	(3 * FALLBACK_SECOND)
#define FALLBACK_FIRST_PROBE_NS (60 * FALLBACK_SECOND)
#define FALLBACK_LAST_PROBE_NS	(3600 * FALLBACK_SECOND)
#define FALLBACK_FIRST_PAUSE_NS (2 * FALLBACK_SECOND)
#define FALLBACK_LAST_PAUSE_NS	(60 * FALLBACK_SECOND)

enum fallback_state {
	FALLBACK_TRYING,
	FALLBACK_SETTLED,
	FALLBACK_PROBING,
};

/* struct fallback_memory - What worked last on a network; @used counts up with each use */
struct fallback_memory {
	uint64_t network;
	uint64_t used;
	unsigned int way;
};

/**
 * struct fallback - Begun by fallback_begin()
 * @way:	In use now
 * @home:	While probing: the carrier to go back to
 * @since_ns:	@way is used since then
 * @sent_ns:	The first time that something was sent and nothing heard since; 0: none
 * @session_ns:	When a handshake was last completed, as far as was told; 0: nothing was
 * @failed:	Ways in a row that did not work
 */
struct fallback {
	enum fallback_state state;
	unsigned int ways;
	unsigned int way;
	unsigned int home;
	unsigned int failed;
	uint64_t network;
	uint64_t since_ns;
	uint64_t sent_ns;
	uint64_t session_ns;
	uint64_t probe_at_ns;
	uint64_t probe_every_ns;
	uint64_t pause_ns;
	uint64_t rest_until_ns; /* 0: no pause now */
	struct fallback_memory memory[FALLBACK_NETWORKS_MAX];
	size_t n_memory;
	uint64_t uses;
};

/** fallback_begin() - @ways with UDP among them, 1 to FALLBACK_WAYS_MAX, on a network */
void fallback_begin(struct fallback *f, unsigned int ways, uint64_t network, uint64_t now_ns);

/** fallback_moved() - The host is on another network, or the same one anew: UDP may work there */
void fallback_moved(struct fallback *f, uint64_t network, uint64_t now_ns);

/* What the tunnel saw since the last step: it sent; it heard its peer over the way in use. */
void fallback_sent(struct fallback *f, uint64_t now_ns);
void fallback_heard(struct fallback *f, uint64_t now_ns);

/** fallback_shaken() - A handshake was completed: both sides hear each other, over whichever way
 *
 * Once that was told, what is heard counts only while it is young. What it was at the beginning counts
 * as completed then.
 */
void fallback_shaken(struct fallback *f, uint64_t now_ns);

/** fallback_refused() - The way in use cannot work now: a connection was refused, a key not taken */
void fallback_refused(struct fallback *f, uint64_t now_ns);

/**
 * fallback_step() - What time has changed
 *
 * Return: the way to use from now on, often the one in use.
 */
unsigned int fallback_step(struct fallback *f, uint64_t now_ns);

/** fallback_deadline_ns() - When fallback_step() may say something else, if nothing happens before */
uint64_t fallback_deadline_ns(const struct fallback *f);
