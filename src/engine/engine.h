/* SPDX-License-Identifier: Apache-2.0 */
/**
 * engine.h - WireGuard without a clock, a socket or a thread of its own
 *
 * Theory of operation. One struct engine is one interface: identity, peers, allowed
 * IPs, sessions. Every thread that works on it owns one struct engine_worker. Packets
 * and datagrams go in in batches; datagrams and packets come out, to be fetched
 * when the call returns. Time and randomness are arguments.
 *
 * There are three kinds of threads:
 *
 *   data      engine_send() and engine_receive(): seals, opens, nothing slow. Takes no
 *             lock on the way of a packet.
 *   keeper    engine_keep(): handshakes, every timer, sending what waited for a key,
 *             freeing what nobody sees any more. One thread. It too can call
 *             engine_receive().
 *   control   engine_set_...(), engine_peer_...(), one thread.
 *
 * All three may be the same thread (simulation). A data or control thread that left
 * work for the keeper says so with engine_wants_keeper(): wake it.
 *
 * Every worker brackets its use with engine_enter() and engine_leave() (before it
 * sleeps) and calls engine_quiet() between batches: see engine/epoch.h.
 *
 * Source:  WireGuard whitepaper, sections 5 and 6; behaviour of the kernel module where
 *          the paper is silent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "base/addr.h"
#include "crypto/suite.h"
#include "frame/frame.h"
#include "inet/merge.h"
#include "inet/packet.h"

struct engine;
struct engine_worker;
struct peer;

#define ENGINE_SECOND UINT64_C(1000000000)

enum {
	ENGINE_PEERS_MAX = 1 << 20,
	ENGINE_STAGED_MAX = 128,      /* packets waiting per peer; the oldest goes first */
	ENGINE_HANDSHAKES_MAX = 1024, /* handshake messages waiting; more are dropped */
	ENGINE_PACKETS_MAX = 64,      /* packets in one engine_send() */
	ENGINE_DATAGRAM_MAX = 65507,
	ENGINE_HEADROOM = 0,  /* octets needed in front of a packet */
	ENGINE_TAILROOM = 32, /* writable octets needed behind a packet */
};

/**
 * struct engine_options - Set once
 * @random:	Fills @len octets for keys, indices and nonces; called from any worker
 * @backend:	Bulk cipher
 * @staged_bytes_max: Bound over all packets that wait for a key
 * @packets_max: Most inner packets one engine_receive() may yield
 */
struct engine_options {
	void (*random)(void *context, void *out, size_t len);
	void *random_context;
	enum suite_backend backend;
	size_t staged_bytes_max;
	uint32_t packets_max;
};

/** engine_new() - Return: 0, -ENOMEM, or the error of suite_new() */
int engine_new(const struct engine_options *options, struct engine **ret);
/* Every thread has stopped; all workers have been freed. Wipes all keys. */
struct engine *engine_free(struct engine *e);

/** engine_worker_new() - Before threads start. Return: 0, -ENOMEM, ERR_LIMIT, suite errors */
int engine_worker_new(struct engine *e, struct engine_worker **ret);
struct engine_worker *engine_worker_free(struct engine_worker *w);
/* false: every packet is written alone (the TUN has no offloads). */
void engine_worker_set_merge(struct engine_worker *w, bool can_merge);
/* false: only TCP is merged (a TUN before Linux 6.2 takes no UDP super-frames). */
void engine_worker_set_merge_udp(struct engine_worker *w, bool can_merge);

void engine_enter(struct engine_worker *w);
void engine_quiet(struct engine_worker *w);
void engine_leave(struct engine_worker *w);

/* --- Packets out --- */

/**
 * struct engine_packet - One read from the TUN
 * @data:	IP header first; ENGINE_TAILROOM octets behind @len are writable. The
 *		content is used up
 */
struct engine_packet {
	uint8_t *data;
	uint32_t len;
	struct inet_offload offload;
};

/**
 * engine_send() - Seal packets for their peers
 * @packets:	At most ENGINE_PACKETS_MAX and together at most 128 KiB; or a single super-frame.
 *		Packets for one peer leave in order
 *
 * Outputs: datagrams; and ICMP errors as writes to the TUN. Fetch both before the next call.
 */
void engine_send(struct engine_worker *w, uint64_t now_ns, struct engine_packet *packets,
		 size_t n);

/**
 * engine_has_route() - Would a packet to @to go to a peer?
 *
 * A peer that has everything (a prefix of no bits) does not count: it stands for the world. While the
 * worker is online.
 */
bool engine_has_route(const struct engine_worker *w, const struct ip_addr *to);

/* --- Datagrams in --- */

/**
 * struct engine_datagram - One read from a UDP socket
 * @segment:	Size of the coalesced datagrams in @data (UDP GRO); 0: a single one
 * @tos:	Outer type of service
 * @source:	Where it came from, and the local address it came to
 */
struct engine_datagram {
	uint8_t *data;
	uint32_t len;
	uint16_t segment;
	uint8_t tos;
	struct endpoint source;
};

/**
 * engine_receive() - Open datagrams, in place
 *
 * Outputs: writes to the TUN that point into the datagrams' buffers: keep those until
 * the writes are done. Handshake messages are queued for the keeper.
 * At most options.packets_max inner packets: feed no more than that many segments.
 */
void engine_receive(struct engine_worker *w, uint64_t now_ns, struct engine_datagram *datagrams,
		    size_t n);

/* --- The keeper --- */

/**
 * engine_keep() - Handshakes, timers, and what waited for a key
 * @wall_ns:	Unix time: for handshake labels and for people
 *
 * Does a bounded amount of work. Call again at once, after fetching the outputs, while it
 * returns true; otherwise at engine_deadline_ns() or when woken.
 */
bool engine_keep(struct engine_worker *w, uint64_t now_ns, uint64_t wall_ns);

/* When the keeper must run next; UINT64_MAX: only when woken. Keeper only. */
uint64_t engine_deadline_ns(const struct engine_worker *w);

/* Handshake messages that arrived and were not judged yet. */
size_t engine_handshakes_waiting(const struct engine *e);

/* true once after calls that left work for the keeper. */
bool engine_wants_keeper(struct engine_worker *w);

/* --- Outputs of a worker --- */

/**
 * struct engine_output - Datagrams of equal size to one endpoint
 * @len:	Octets of all together, in one piece
 * @segment:	Size of each (UDP_SEGMENT); the last may be shorter. Equal to @len when
 *		there is one
 * @tos:	Outer type of service
 * @peer:	Whom to tell when sending failed: engine_send_failed()
 */
struct engine_output {
	uint8_t *data;
	uint32_t len;
	uint32_t segment;
	uint8_t tos;
	struct endpoint to;
	struct peer *peer;
};

/* Datagrams to send; valid until the next call that takes packets, datagrams or time. */
size_t engine_outputs(struct engine_worker *w, const struct engine_output **ret);

/* Writes for the TUN, as inet_merge_finish() gives them. */
size_t engine_writes(struct engine_worker *w, const struct inet_write **ret_writes,
		     struct iovec **ret_slices);

/** engine_source_failed() - A send from the sticky source was refused: forget the source */
void engine_source_failed(struct engine_worker *w, struct peer *peer);

/* --- Control: one thread --- */

/* A worker for the control thread's cryptography; engine_enter() it around the calls. */

/** engine_set_private_key() - Take a new key and end every session; the same key changes nothing */
/* Return: 0 or -ENOMEM, with the old key still in place. */
int engine_set_private_key(struct engine_worker *w, uint64_t now_ns,
			   const struct secret_key *key);
void engine_get_private_key(struct engine *e, struct secret_key *ret);
void engine_get_public_key(struct engine *e, uint8_t ret[32]); /* zero: there is none */

/* --- How messages look (frame/frame.h); one plain profile at first --- */

struct engine_framing;

/**
 * engine_framing_new() - Profiles that can be published, following those that are
 * Return: 0 or the error of frame_set_make(). Nothing changes yet.
 */
int engine_framing_new(struct engine *e, const struct frame_profile_source *sources, uint32_t n,
		       struct engine_framing **ret);
struct engine_framing *engine_framing_free(struct engine_framing *f); /* takes NULL */
/**
 * engine_framing_publish() - From now on; cannot fail
 * @f:	The engine's afterwards. Pins to profiles that are not among them are lifted
 */
void engine_framing_publish(struct engine_worker *w, struct engine_framing *f);
const struct frame_set *engine_framing_set(const struct engine_framing *f);
/* What is published now; for control, until the next is. */
const struct frame_set *engine_profiles(const struct engine *e);

/** engine_set_up() - Down clears keys, timers and what waits; up lets peers start */
void engine_set_up(struct engine_worker *w, uint64_t now_ns, bool up);
/** engine_set_mtu() - Padding never goes beyond it */
void engine_set_mtu(struct engine *e, uint32_t mtu);
uint32_t engine_mtu(const struct engine *e);
/** engine_forget_keys() - After suspend, or in a cloned machine: no key may be used again */
void engine_forget_keys(struct engine_worker *w, uint64_t now_ns);
/** engine_forget_sources() - Every sticky source (port, mark or routes changed) */
void engine_forget_sources(struct engine_worker *w);

struct peer *engine_peer_find(struct engine_worker *w, const uint8_t public_key[32]);
/** engine_peer_add() - Return: 0; ERR_LIMIT; ERR_KEY (our own key); -ENOMEM */
int engine_peer_add(struct engine_worker *w, const uint8_t public_key[32], struct peer **ret);
void engine_peer_remove(struct engine_worker *w, struct peer *p);
void engine_peer_remove_all(struct engine_worker *w);
size_t engine_peer_count(const struct engine *e);
/* In order of insertion; NULL first, NULL at the end. */
struct peer *engine_peer_next(const struct engine *e, const struct peer *p);

void engine_peer_set_preshared_key(struct peer *p, const struct secret_key *key);
int engine_peer_set_endpoint(struct engine_worker *w, struct peer *p,
			     const struct endpoint *to);
/* Seconds, drawn from @seconds each time. From 0 to n sends a keepalive at once. */
void engine_peer_set_keepalive(struct engine_worker *w, uint64_t now_ns, struct peer *p,
			       struct frame_range seconds);
/* Only this profile, by its number; FRAME_NUMBER_NONE: whichever it is heard under. */
void engine_peer_pin_profile(struct peer *p, uint32_t number);
/* How it was last heard, from an earlier process. */
void engine_peer_set_profile(struct peer *p, uint32_t number);
/* false: no signature packets and no junk before our initiations to it. */
void engine_peer_set_prelude(struct peer *p, bool sends);
void engine_peer_set_budget(struct peer *p, uint64_t bytes);	     /* UINT64_MAX: none */
void engine_peer_set_rate(struct peer *p, uint64_t bits_per_second); /* 0: none */
void engine_peer_set_greatest_time(struct peer *p, const uint8_t time[12]);
/* Unix time in the last initiation sent; 0: none. While the keeper stands still. */
uint64_t engine_peer_label_ns(const struct peer *p);
void engine_peer_set_label_ns(struct peer *p, uint64_t label_ns);
/* Try to send what is staged, starting a handshake if need be (after configuration). */
void engine_peer_flush(struct engine_worker *w, uint64_t now_ns, struct peer *p);

/* Say that we are there: a keepalive, after a handshake if need be. */
void engine_peer_greet(struct engine_worker *w, struct peer *p);

/** engine_reserve() - So that @peers and @prefixes more cannot fail. Return: 0 or -ENOMEM */
int engine_reserve(struct engine *e, size_t peers, size_t prefixes);
int engine_allowed_ip_add(struct engine *e, struct peer *p, const struct ip_prefix *prefix);
void engine_allowed_ip_remove(struct engine *e, struct peer *p, const struct ip_prefix *prefix);
void engine_allowed_ip_remove_all(struct engine *e, struct peer *p);

/** struct engine_peer_info - A copy, for dumps */
struct engine_peer_info {
	uint8_t public_key[32];
	struct secret_key preshared_key;
	struct endpoint endpoint;
	uint64_t last_handshake_wall_ns;
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	uint64_t drops;
	uint64_t handshake_failures;
	uint64_t budget_bytes;
	uint64_t rate_bps;
	uint8_t greatest_time[12];
	struct frame_range keepalive; /* seconds */
	uint32_t profile;	      /* how it was last heard; FRAME_NUMBER_NONE: not yet */
	uint32_t pinned;	      /* FRAME_NUMBER_NONE: to none */
	bool sends_prelude;
};

void engine_peer_info(struct peer *p, struct engine_peer_info *ret);

enum engine_change {
	ENGINE_CHANGED_TRAFFIC = 1,   /* octets went in or out */
	ENGINE_CHANGED_HANDSHAKE = 2, /* a handshake was completed */
	ENGINE_CHANGED_ENDPOINT = 4,  /* it is somewhere else now */
};

/** engine_peer_changes() - What changed since the last call for @p: a set of enum
 * engine_change, 0 for none. Costs no lock and no copy where nothing changed */
unsigned int engine_peer_changes(struct peer *p);
/* Writes at most @max prefixes, in order of insertion. Return: how many there are. */
size_t engine_peer_allowed_ips(const struct peer *p, struct ip_prefix *out, size_t max);

/** struct engine_counters - What happened to what did not get through; sum over workers */
struct engine_counters {
	uint64_t malformed; /* datagrams that are no message */
	uint64_t unknown_index;
	uint64_t bad_tag;
	uint64_t replayed;
	uint64_t bad_source; /* inner source not this peer's */
	uint64_t bad_packet; /* inner packet malformed, or CE over not-ECT */
	uint64_t no_route;   /* no peer for the destination */
	uint64_t no_endpoint;
	uint64_t staged_dropped;
	uint64_t over_budget;
	uint64_t handshake_queue_full;
	uint64_t bad_mac1;
	uint64_t cookies_sent;
	uint64_t rate_limited;
	uint64_t handshakes_refused; /* forged, replayed, unknown peer */
	uint64_t handshakes_answered;
	uint64_t handshakes_completed;
};

void engine_counters(const struct engine *e, struct engine_counters *ret);
