/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peer.h - What the engine keeps about a peer, and who may write it
 *
 * Theory of operation. Data threads find a peer through the allowed IPs or an index
 * and read a few pointers from it, without locks. Everything they follow is immutable
 * once published and retired through the epoch when replaced.
 *
 *	what                         written by                 read by            how
 *	current, next, previous      whoever holds @lock        data, keeper       atomic pointer
 *	endpoint                     data, keeper, control      data, keeper       atomic pointer to a copy
 *	staged packets               data (add), keeper (take)  same               @lock
 *	timer deadlines (…_at)       data, keeper               keeper             atomic, 0 is off
 *	heap position, attempts      keeper                     keeper             plain
 *	handshake, cookie, times     keeper                     keeper             plain or @lock
 *	preshared key, limits        control                    keeper, data       @lock; atomics
 *	profile, window              data, keeper               data, keeper       relaxed atomics
 *	counters                     data, keeper               control            relaxed atomics
 *	list, key table              control                    control, keeper    engine's own
 *
 * A peer that is removed leaves the tables first, then the keeper's heap, then the
 * epoch; only then is it freed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <stdatomic.h>

#include "base/addr.h"
#include "engine/allowed_ips.h"
#include "engine/engine.h"
#include "engine/epoch.h"
#include "engine/index.h"
#include "engine/schedule.h"
#include "engine/spin.h"
#include "noise/cookie.h"
#include "noise/handshake.h"
#include "noise/replay.h"

enum session_state {
	SESSION_PENDING, /* an initiation of ours is out; there are no keys yet */
	SESSION_READY,	 /* both keys are there */
	SESSION_DEAD,	 /* keys may not be used; waits for the epoch */
};

/**
 * struct session - One index of ours: first a pending handshake, then a keypair
 * @index:	In the engine's table from creation to death
 * @state:	enum session_state; READY is a release store after the keys
 * @profile:	Number of the profile that our initiation was framed by; initiator only
 * @can_send:	false once our private key changed: receiving still works
 * @send_counter: Next counter to use; taken n at a time
 * @replay:	Under @replay_lock: the datagrams of one peer nearly always belong to
 *		one worker, so the lock is all but free
 * @asked_rekey: A rekey was asked for on receive: at most once per key
 */
struct session {
	struct index_entry index;
	uint32_t remote_index;
	struct epoch_node epoch_node;
	struct peer *peer;
	_Atomic uint32_t state;
	_Atomic bool can_send;
	_Atomic bool asked_rekey;
	bool is_initiator;
	uint32_t profile;
	uint64_t asked_ns; /* when our initiation left; initiator only */
	uint64_t born_ns;  /* when the keys were made */
	/* How old the key may become: before we ask for the next, sending and receiving; and
	 * before nobody may use it. Drawn once per key. */
	uint64_t rekey_send_ns;
	uint64_t rekey_receive_ns;
	uint64_t reject_ns;
	struct secret_key send;
	struct secret_key receive;
	_Alignas(64) _Atomic uint64_t send_counter;
	_Alignas(64) struct spin replay_lock;
	struct replay replay;
};

/* An endpoint, immutable once published. Its number is its own: its address may be another's
 * after it was freed. */
struct route {
	struct endpoint to;
	uint64_t number;
	struct epoch_node epoch_node;
};

/* A packet that waits for a key. Its octets follow. */
struct staged {
	struct staged *next;
	uint32_t len;
	struct inet_offload offload;
	uint32_t segments;
	_Alignas(8) uint8_t data[];
};

struct peer {
	struct index_entry by_key; /* slot in the engine's key table */
	struct allowed_ips_owner allowed_ips;
	struct epoch_node epoch_node;
	struct engine *engine;
	struct peer *list_next; /* order of insertion; control only */
	struct peer *list_prev;

	_Atomic(struct session *) current;
	_Atomic(struct session *) next;
	_Atomic(struct session *) previous;
	_Atomic(struct route *) route;

	struct spin lock;
	_Atomic uint32_t n_staged; /* in segments */
	struct staged *staged_first;
	struct staged *staged_last;

	/* Deadlines of the timers, boot clock; 0: off. */
	_Atomic uint64_t new_handshake_at;
	_Atomic uint64_t keepalive_at;
	_Atomic uint64_t persistent_at;
	_Atomic uint64_t retransmit_at;
	_Atomic uint64_t zero_at;
	_Atomic uint64_t wake_at; /* when the keeper will look; UINT64_MAX: not at all */
	_Atomic bool needs_another_keepalive;
	_Atomic uint32_t keepalive_s; /* of the range: lo, and hi in the upper half */

	/* How it frames its messages: numbers of profiles. */
	_Atomic uint32_t profile; /* how it was last heard; FRAME_NUMBER_NONE: not yet */
	_Atomic uint32_t pinned;
	_Atomic uint32_t window; /* largest datagram exchanged: bounds trailers */
	_Atomic bool sends_no_prelude;

	/* Work for the keeper. */
	_Atomic bool is_kicked;
	_Atomic bool wants_handshake;
	_Atomic bool wants_flush;
	_Atomic bool wants_keepalive;
	_Atomic bool is_removed;
	_Atomic(struct peer *) kick_next;
	struct schedule_node schedule;
	_Atomic uint32_t attempts;
	uint32_t attempts_max; /* keeper: drawn when a series begins */
	bool is_retired;       /* keeper: on its way out through the epoch */

	/* Handshakes; keeper, except the preshared key (@lock). */
	struct noise_remote remote;
	struct cookie_maker cookie;
	struct noise_handshake *handshake; /* while @pending */
	struct session *pending;
	uint64_t initiation_consumed_ns;
	_Atomic uint64_t handshake_sent_ns;
	uint64_t label_ns;		       /* Unix time in our last initiation */
	uint8_t greatest_time[NOISE_TIME_LEN]; /* @lock */
	_Atomic bool needs_new_static; /* our key changed: compute the static secret again */

	/* What engine_peer_changes() saw last; control. */
	uint64_t seen_bytes;
	uint64_t seen_handshake_ns;
	uint64_t seen_route;

	_Atomic uint64_t last_handshake_wall_ns;
	_Atomic uint64_t tx_bytes;
	_Atomic uint64_t rx_bytes;
	_Atomic uint64_t drops;
	_Atomic uint64_t handshake_failures;
	_Atomic int64_t budget; /* what is left; INT64_MAX: none set */
	_Atomic uint64_t rate_bps;
	_Atomic uint64_t rate_next_ns; /* when the next octet may pass */
};
