/* SPDX-License-Identifier: Apache-2.0 */
/**
 * internal.h - What the files of the engine share with each other, and with nobody else
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

#include "base/err.h"
#include "engine/engine.h"
#include "engine/peer.h"
#include "frame/frame.h"
#include "inet/icmp.h"
#include "noise/ratelimit.h"

/* Whitepaper, section 6.1, and spec constants; nanoseconds. Times that a profile may draw are
 * in its struct frame_timers. */
#define MILLISECOND	      UINT64_C(1000000)
#define REKEY_AFTER_MESSAGES  (UINT64_C(1) << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (UINT64_C(1) << 13)) /* 2^64 - 2^13 - 1 */
#define JITTER_MAX	      (333 * MILLISECOND)
/* RFC 4443 section 2.4 (f): a worker's errors per second, and how many may come at once. */
#define ICMP_SPACING	      (10 * MILLISECOND)
#define ICMP_BURST	      (50 * ICMP_SPACING)
#define INITIATION_SPACING    (20 * MILLISECOND) /* at most 50 a second from one peer */

enum {
	UNDER_LOAD_FILL = ENGINE_HANDSHAKES_MAX / 8,
	FLOOD_PER_SECOND = 1000, /* fewer than a small router can serve, or about as many */
	SERVED_PER_TURN = 8,	 /* one or two milliseconds */

	ARENA_BYTES = 256 * 1024, /* the longest prelude and initiation fit */
	OUTPUTS_MAX = 192,	  /* likewise */
	COOKIES_PER_TURN = 96,	  /* outputs beyond this are for the timers */
	SEGMENTS_MAX = 64,	  /* the kernel's UDP_MAX_SEGMENTS */
	PEER_PROBES = 4,	  /* key hashes that may collide before a peer is refused */

	TOS_HANDSHAKE = 0x88, /* AF41 */
	ICMP_PER_BATCH = 4,
	KEEPER_ROOM = 1024,    /* what one peer's timers may put out, without staged packets */
	KEEPER_OUTPUTS = 4,    /* ... in so many outputs */
	TRAILER_WINDOW = 4096, /* handshake datagrams do not grow beyond it */
	SOURCES_REMEMBERED = 1024, /* a power of two */
};

static_assert(FRAME_PROFILES_MAX <= 32, "engine_framing.over has a bit for each");
static_assert(FRAME_PRELUDE_MAX + FRAME_DATAGRAM_MAX + 2 * KEEPER_ROOM <= ARENA_BYTES,
	      "a prelude and its initiation fit");
static_assert(FRAME_JUNK_MAX + FRAME_SIGNATURES + 2 * KEEPER_OUTPUTS <= OUTPUTS_MAX,
	      "a prelude fits");

/* A count has one writer, its worker; others read it. */
enum counter {
	COUNT_MALFORMED,
	COUNT_UNKNOWN_INDEX,
	COUNT_BAD_TAG,
	COUNT_REPLAYED,
	COUNT_BAD_SOURCE,
	COUNT_BAD_PACKET,
	COUNT_NO_ROUTE,
	COUNT_NO_ENDPOINT,
	COUNT_STAGED_DROPPED,
	COUNT_OVER_BUDGET,
	COUNT_HANDSHAKE_QUEUE_FULL,
	COUNT_BAD_MAC1,
	COUNT_COOKIES_SENT,
	COUNT_RATE_LIMITED,
	COUNT_HANDSHAKES_REFUSED,
	COUNT_HANDSHAKES_ANSWERED,
	COUNT_HANDSHAKES_COMPLETED,
	COUNTERS,
};

/* Our key and what judges messages under it; replaced whole. */
struct identity {
	struct noise_identity noise;
	struct cookie_checker checker;
	struct epoch_node epoch_node;
};

/* The profiles of the interface; replaced whole. */
struct engine_framing {
	struct frame_set set;
	bool has_end;	       /* some profile is accepted until a date only */
	_Atomic uint32_t over; /* keeper: a bit for each whose date has come */
	uint32_t keeper_room;
	uint32_t keeper_outputs;
	struct epoch_node epoch_node;
};

/* A handshake message that waits for the keeper. Its MAC1 was found good.
 * @datagram_len: What it came in: an answer is not longer
 * @profile:	Number of the profile it was framed by */
struct queued_message {
	struct endpoint source;
	enum message_type type;
	uint32_t len;
	uint32_t datagram_len;
	uint32_t profile;
	uint8_t data[sizeof(struct msg_initiation)];
};

struct handshake_queue {
	struct spin lock;
	_Atomic uint32_t count;
	uint32_t first;
	struct queued_message messages[ENGINE_HANDSHAKES_MAX];
};

struct engine {
	struct engine_options options;
	struct epoch epoch;
	struct index_table *sessions;
	struct index_table *by_key;
	struct allowed_ips *allowed_ips;
	_Atomic(struct identity *) identity;
	_Atomic(struct engine_framing *) framing;
	struct spin
		identity_lock; /* keeper turns the cookie secret, control replaces the key */
	_Atomic bool is_up;
	_Atomic uint32_t mtu;
	_Atomic uint64_t staged_bytes;
	_Atomic uint64_t n_routes;	 /* made so far */
	_Atomic uint64_t wall_offset_ns; /* wall clock less boot clock, set by the keeper */
	uint8_t key_hash_key[32];

	/* control */
	struct peer *peers_first;
	struct peer *peers_last;
	size_t n_peers;
	struct peer *spare; /* reserved, not yet anybody */
	size_t n_spare;

	/* keeper */
	struct schedule schedule;
	_Atomic(struct peer *) kicked; /* pushed by any thread */
	struct peer *backlog;	       /* taken from there, oldest first */
	struct peer *backlog_last;
	struct handshake_queue queue;	   /* as they arrived, from any worker */
	struct handshake_queue admitted;   /* that may cost a Diffie-Hellman; keeper only */
	struct ratelimit *handshakes;	   /* with a valid MAC2 */
	struct ratelimit *cookie_requests; /* without, under load */
	uint64_t under_load_until_ns;
	uint32_t turned_away; /* since that was last set */
	bool timers_wait;     /* there was no room for all of them: they are first now */

	struct engine_worker *workers[EPOCH_READERS_MAX];
	size_t n_workers;
};

struct engine_worker {
	struct engine *engine;
	struct suite *suite;
	struct inet_merge *merge;
	struct epoch_reader reader;
	uint64_t jitter_state;
	struct generator random;	      /* for framing; keys come from options.random */
	uint32_t sources[SOURCES_REMEMBERED]; /* profile by the hash of a source */
	uint32_t source_key;
	uint8_t *arena;
	uint32_t arena_used;
	uint32_t n_outputs;
	bool wants_keeper;
	bool can_merge;
	uint32_t n_icmp;
	uint64_t icmp_paid_ns; /* errors are paid for until then: see refuse() */
	uint8_t icmp[ICMP_PER_BATCH][INET_ICMP_MAX];
	_Atomic uint64_t counts[COUNTERS];
	struct engine_output outputs[OUTPUTS_MAX];
};

/* --- small things --- */

/* Clocks may read equal or a little earlier on another processor: never negative. */
static inline uint64_t elapsed(uint64_t now_ns, uint64_t since_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

static inline void count(struct engine_worker *w, enum counter c, uint64_t n)
{
	uint64_t before = atomic_load_explicit(&w->counts[c], memory_order_relaxed);

	atomic_store_explicit(&w->counts[c], before + n, memory_order_relaxed);
}

static inline struct peer *peer_of_allowed(struct allowed_ips_owner *o)
{
	return o ? (struct peer *)(void *)((char *)o - offsetof(struct peer, allowed_ips))
		 : NULL;
}

static inline struct session *session_of_index(struct index_entry *e)
{
	return (struct session *)(void *)e; /* its first member */
}

static inline void random_bytes(struct engine *e, void *out, size_t len)
{
	e->options.random(e->options.random_context, out, len);
}

static inline const struct engine_framing *framing_now(const struct engine *e)
{
	return atomic_load_explicit(&e->framing, memory_order_acquire);
}

/* How to speak to @p: as it is pinned, as it was last heard, or as the interface does. */
static inline const struct frame_profile *profile_of(const struct engine *e, struct peer *p)
{
	const struct engine_framing *f = framing_now(e);
	uint32_t over = atomic_load_explicit(&f->over, memory_order_relaxed);
	uint32_t pinned = atomic_load_explicit(&p->pinned, memory_order_relaxed);
	uint32_t heard = atomic_load_explicit(&p->profile, memory_order_relaxed);
	const struct frame_profile *profile = frame_set_find(&f->set, pinned ? pinned : heard);

	return over >> (profile - f->set.profiles) & 1 ? &f->set.profiles[0] : profile;
}

/* What @p was heard under, or is pinned to, is gone or over, and what is left is plain
 * WireGuard: whoever hides that it is one would not understand it, and its observer would. Such
 * a peer is told nothing until it speaks. */
static inline bool is_lost(const struct engine *e, struct peer *p)
{
	const struct engine_framing *f = framing_now(e);
	uint32_t pinned = atomic_load_explicit(&p->pinned, memory_order_relaxed);
	uint32_t heard = atomic_load_explicit(&p->profile, memory_order_relaxed);
	uint32_t number = pinned ? pinned : heard;

	return number != FRAME_NUMBER_NONE && f->set.profiles[0].is_plain &&
	       profile_of(e, p)->number != number;
}

static inline uint64_t seconds_ns(uint32_t s)
{
	return s * ENGINE_SECOND;
}

/* How long after an initiation or response no other may leave. Where that may be nothing, there
 * is still no use in more than a peer listens to. */
static inline uint64_t handshake_spacing(const struct engine *e, struct peer *p)
{
	uint32_t least_s = profile_of(e, p)->timers.rekey_timeout.lo;

	return least_s ? seconds_ns(least_s) : INITIATION_SPACING;
}

static inline uint64_t draw_ns(struct engine_worker *w, struct frame_range seconds)
{
	return seconds_ns(generator_between(&w->random, seconds.lo, seconds.hi));
}

/* --- engine.c --- */

void outputs_reset(struct engine_worker *w);
/* Room for one more output of @len octets? */
bool outputs_have_room(const struct engine_worker *w, uint32_t len);
/* Room for all that one peer may cause? Always, while there is nothing yet. */
bool keeper_has_room(const struct engine_worker *w);
/* One datagram of @len octets already written at the arena's end. */
void outputs_add(struct engine_worker *w, uint32_t len, uint32_t segment, uint8_t tos,
		 const struct endpoint *to, struct peer *p);
static inline uint8_t *arena_end(struct engine_worker *w)
{
	return w->arena + w->arena_used;
}
uint64_t jitter(struct engine_worker *w);

/* --- framing.c --- */

/* The plain profile alone. Return: NULL without memory. */
struct engine_framing *framing_plain(void);
void framing_release(struct epoch_node *node);
/* The keeper: what ended by now is spoken no more. */
void framing_note_ends(struct engine *e, uint64_t wall_ns);
/* How @source framed its last datagram; FRAME_NUMBER_NONE: not known. */
uint32_t source_profile(const struct engine_worker *w, const struct endpoint *source);
void source_remember(struct engine_worker *w, const struct endpoint *source, uint32_t profile);

/* --- session.c --- */

/**
 * session_begin() - A new session under a fresh random index, entered in the table
 * Return: NULL without memory or indices.
 */
struct session *session_begin(struct engine_worker *w, struct peer *p, bool is_initiator);
/* Out of the table, keys unusable, freed once nobody sees it. Takes NULL. */
void session_kill(struct engine *e, struct session *s);
/* Our initiation was answered: @s is current now, unless we yield to theirs that crossed it.
 * Under the peer's lock. */
void session_initiator_done(struct peer *p, struct session *s);
/* We answered: @s is next. Under the peer's lock. */
void session_responder_done(struct peer *p, struct session *s);
/**
 * session_confirm() - First authentic packet under @s: if it is next, make it current
 * Return: true if it was next and is current now.
 */
bool session_confirm(struct peer *p, struct session *s);
/* Drop all keys and the pending handshake. */
void session_clear_all(struct peer *p);
/* The session to send with, or NULL. */
struct session *session_for_sending(struct peer *p, uint64_t now_ns);

/* --- peer.c --- */

struct peer *peer_by_key(struct engine_worker *w, const uint8_t public_key[32]);
/* Newest authenticated source. */
void peer_set_source(struct engine_worker *w, struct peer *p, const struct endpoint *source);
void peer_forget_source(struct engine *e, struct peer *p);
/* A datagram of @len octets was exchanged. */
void peer_widen_window(struct peer *p, uint32_t len);
/* May @bytes pass budget and rate now? Takes them if so. */
bool peer_may_pass(struct engine_worker *w, struct peer *p, uint64_t now_ns, uint64_t bytes);
void peer_release(struct epoch_node *node);

/* --- timers.c --- */

void timers_any_sent(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void timers_data_sent(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void timers_any_received(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void timers_data_received(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void timers_handshake_initiated(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void timers_handshake_under_way(struct engine_worker *w, struct peer *p, uint64_t sent_ns);
void timers_handshake_complete(struct peer *p, uint64_t wall_ns);
void timers_session_derived(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void timers_stop(struct peer *p);
/* Tell the keeper that @p has work for it. */
void peer_kick(struct engine_worker *w, struct peer *p);
void ask_handshake(struct engine_worker *w, struct peer *p, uint64_t now_ns);
/* Keeper: a series of initiations begins. */
void timers_series_begun(struct engine_worker *w, struct peer *p);
/* Keeper: run what is due and what was asked for. true: more is left. */
bool timers_run(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns);

/* --- handshake.c (keeper) --- */

void handshake_initiate(struct engine_worker *w, struct peer *p, uint64_t now_ns,
			uint64_t wall_ns, bool is_retry);
/* Answer some of those admitted. true: more is left. */
bool handshake_serve_admitted(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns);
/* Sort what arrived: admit, answer with a cookie, or drop. true: something waits. */
bool handshake_judge_arrived(struct engine_worker *w, uint64_t now_ns);
void handshake_enqueue(struct engine_worker *w, const struct endpoint *source,
		       const struct frame_view *view, uint32_t datagram_len);

/* --- send.c --- */

void send_keepalive(struct engine_worker *w, struct peer *p, uint64_t now_ns);
/* Keeper: seal what waited. true: outputs are full and more is left. */
bool send_staged(struct engine_worker *w, struct peer *p, uint64_t now_ns);
void staged_drop_all(struct peer *p);
