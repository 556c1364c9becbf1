/* SPDX-License-Identifier: Apache-2.0 */
/**
 * net.h - A bad network in one process, with its own time
 *
 * Theory of operation. Nodes are whole engines. Everything that happens is an event in a
 * queue ordered by time: a datagram arrives, an engine's deadline comes, a test's own
 * function is called. Time jumps from event to event, so days take seconds. All randomness,
 * the engines' included, comes from one seed: a failure is run again with
 * CULVERT_SIM_SEED=N.
 *
 * Where a node is, is its address; the middle two octets of that name the node and the rest
 * may change while it runs (NAT rebinding, roaming). A datagram for an address nobody has at
 * the moment of arrival is lost, as is one that a link drops, a cut node sends, or a sleeping
 * node should receive.
 *
 * Clocks: sim->now_ns is true time. A node's boot clock is that less a wobble of up to
 * wobble_ns; its wall clock is true time plus wall_offset_ns. A node that sleeps
 * does nothing while its boot clock counts on.
 *
 * The network itself checks what must hold in every run, whatever the test: counters of
 * one sender under one receiver index strictly increase (so no nonce repeats), nothing is sent or
 * heard under a key older than its profile allows (180 s), inner packets arrive unchanged and at
 * the right node, and an engine's keeper comes to rest. sim_check() reports it.
 *
 * Nodes speak plain WireGuard until sim_frame() says otherwise. The network sees through the
 * framing (undress.h), so types, counters and keepalives in the log are what they are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "crypto/suite.h"
#include "engine/engine.h"
#include "noise/messages.h"
#include "undress.h"

struct sim;
struct sim_node;

#define SIM_US	 UINT64_C(1000)
#define SIM_MS	 UINT64_C(1000000)
#define SIM_S	 UINT64_C(1000000000)
#define SIM_DAY	 (86400 * SIM_S)
#define SIM_WALL (UINT64_C(1700000000) * SIM_S) /* wall clock at the start */

enum { SIM_PACKET_MIN = 44 }; /* IPv4, UDP, number, time: the shortest packet of a node */

/* struct sim_link - What happens to datagrams a node sends; parts per million */
struct sim_link {
	uint64_t delay_min_ns;
	uint64_t delay_max_ns; /* drawn per datagram: they overtake each other */
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t corrupt_ppm; /* one octet changed */
};

/**
 * struct sim_datagram - On the fake wire
 * @from:	NULL when a test made it up
 * @to:		Whose address it is when sent; NULL: nobody's
 * @type:	enum message_type, whatever it looks like; 0: no message, so junk, or a signature
 *		packet
 * @plain:	The message without its framing, but for the type word, which is as sent; @data
 *		itself where the sender is plain WireGuard, NULL for what is no message
 * @profile:	Which of the sender's profiles
 */
struct sim_datagram {
	struct sim_node *from;
	struct sim_node *to;
	struct endpoint source;
	struct endpoint destination;
	uint64_t sent_ns;
	uint32_t len;
	uint32_t type;
	uint32_t profile;
	uint8_t tos;
	bool is_keepalive;
	uint8_t *data;
	const uint8_t *plain;
	uint32_t plain_len;
};

/* struct sim_packet - An inner packet that came out of a node's tunnel */
struct sim_packet {
	struct sim_node *at;
	const uint8_t *data;
	uint32_t len;
	uint64_t number; /* as returned by sim_send() */
	uint64_t sent_ns;
};

struct sim_node {
	struct sim *sim;
	uint32_t id; /* from 1 */
	struct engine *engine;
	struct engine_worker *worker;
	struct secret_key private_key;
	uint8_t public_key[32];
	struct endpoint address; /* what others see now */
	struct sim_link link;

	int64_t wall_offset_ns;
	uint64_t wobble_ns;
	uint64_t keeper_delay_ns; /* a busy machine: the keeper comes this much later */
	bool is_asleep;
	bool is_cut; /* partition: nothing passes in or out */

	struct sim_profile *profiles; /* the default first */
	uint32_t n_profiles;	      /* 0: plain WireGuard */

	uint64_t sent;	    /* datagrams */
	uint64_t delivered; /* inner packets */
	void *context;	    /* the test's */

	/* the network's own */
	uint64_t wake_at;
	bool keeper_wanted;
	uint64_t keeper_runs;
};

struct sim {
	uint64_t seed;
	uint64_t now_ns;
	struct sim_node **nodes;
	uint32_t n_nodes;
	enum suite_backend backend;

	/* Called for each datagram before the link sees it; false: it is lost. May be NULL. */
	bool (*on_wire)(struct sim *s, const struct sim_datagram *d);
	/* Called for each inner packet. May be NULL. */
	void (*on_packet)(struct sim *s, const struct sim_packet *p);
	void *context;

	/* every datagram sent, while @is_logging */
	struct sim_datagram *log;
	size_t n_log;
	bool is_logging;

	/* the network's own */
	uint64_t random_state;
	uint64_t next_number;
	struct sim_events *events;
	struct sim_keys *keys;
	uint64_t violations;
	uint64_t datagrams;
	uint64_t key_age_max_ns;
	uint64_t key_age_ns; /* of the key of the last data sent */
};

/** sim_seed() - CULVERT_SIM_SEED, or @otherwise. Prints what it is */
uint64_t sim_seed(uint64_t otherwise);
bool sim_is_soak(void); /* CULVERT_SOAK is set: full counts */

struct sim *sim_new(uint64_t seed);
struct sim *sim_free(struct sim *s); /* returns NULL */

/* true while nothing that must hold was violated; says what was. */
bool sim_check(const struct sim *s);

uint64_t sim_random(struct sim *s);
uint64_t sim_random_below(struct sim *s, uint64_t n);

/** sim_node_new() - An engine with a fresh key, up, at its own address. Never fails: aborts */
struct sim_node *sim_node_new(struct sim *s);
/** sim_node_restart() - The process died: same keys and address, nothing else */
void sim_node_restart(struct sim_node *n);
uint64_t sim_boot_ns(struct sim_node *n);

/** sim_frame() - How a node frames from now on; the first profile is its default */
void sim_frame(struct sim_node *n, const struct frame_profile_source *sources, uint32_t count);
/* The default alone: "key=value key=value" as the UAPI spells them; "" is plain WireGuard. */
void sim_frame_text(struct sim_node *n, const char *text);
/** sim_frame_known() - The engine was told otherwise: the network must know, too */
void sim_frame_known(struct sim_node *n, const struct frame_profile_source *sources,
		     uint32_t count);
void sim_frame_forget(struct sim_node *n); /* the network only */
/* Parameters from such a text. Aborts on a wrong one. */
struct frame_parameters sim_parameters(const char *text);

/* @a knows @b: its key, its inner addresses; and its endpoint if @with_endpoint. */
struct peer *sim_know(struct sim_node *a, const struct sim_node *b, bool with_endpoint);
/* Both know each other; both know where the other is. */
void sim_introduce(struct sim_node *a, struct sim_node *b);
struct peer *sim_peer(const struct sim_node *at, const struct sim_node *of);
struct engine_peer_info sim_info(const struct sim_node *at, const struct sim_node *of);
struct engine_counters sim_counters(const struct sim_node *n);

/* Inner addresses of a node: 10.x.y.z/32 and fd00::…/128 from its id. */
struct ip_prefix sim_inner4(const struct sim_node *n);
struct ip_prefix sim_inner6(const struct sim_node *n);

/** sim_send() - One UDP packet of @len octets into @from's tunnel; returns its number */
uint64_t sim_send(struct sim_node *from, const struct sim_node *to, uint32_t len);
/* Any packet; it is copied. */
void sim_send_raw(struct sim_node *from, const uint8_t *packet, uint32_t len);
/* Write the packet of sim_send(); returns @len. */
uint32_t sim_build(uint8_t *out, const struct ip_addr *source,
		   const struct ip_addr *destination, uint8_t tos, uint64_t number,
		   uint64_t sent_ns, uint32_t len);

/** sim_inject() - A datagram arrives now, by nobody's link; the keeper runs after it */
void sim_inject(struct sim_node *to, const struct endpoint *source, const void *data,
		uint32_t len);
/* Several arrive together, before the keeper gets to run. */
void sim_inject_burst(struct sim_node *to, const struct endpoint *source,
		      const uint8_t *const *data, const uint32_t *len, size_t n);

/* A message of kind @type, its type word in place, dressed as profile @profile of @to, with
 * @trailer octets behind it. */
void sim_inject_dressed(struct sim_node *to, const struct endpoint *source, uint32_t profile,
			uint32_t type, const void *message, uint32_t len, uint32_t trailer);

void sim_inject_tos(struct sim_node *to, const struct endpoint *source, const void *data,
		    uint32_t len, uint8_t tos);
/* A datagram of the log arrives (again). */
void sim_replay(struct sim_node *to, const struct sim_datagram *d);

/** sim_pump() - Let the keeper work if it is wanted; after direct control calls */
void sim_pump(struct sim_node *n);
/** sim_fetch() - Take the outputs, then pump; after a direct engine_send() or _receive() */
void sim_fetch(struct sim_node *n);

void sim_sleep(struct sim_node *n, uint64_t ns); /* suspend; wakes by itself */
void sim_call(struct sim *s, uint64_t at_ns, void (*function)(struct sim *s, void *arg),
	      void *arg);
void sim_run_until(struct sim *s, uint64_t at_ns);
void sim_run_for(struct sim *s, uint64_t ns);

/* How many of @type did @from (NULL: anybody) send, log entries @first.. on? */
size_t sim_logged(const struct sim *s, const struct sim_node *from, uint32_t type,
		  size_t first);
/* The @n-th of them from 0, or NULL. Valid until the next is logged. */
const struct sim_datagram *sim_nth(const struct sim *s, const struct sim_node *from,
				   uint32_t type, size_t first, size_t n);
/* The last of them, or NULL. */
const struct sim_datagram *sim_last(const struct sim *s, const struct sim_node *from,
				    uint32_t type);
bool sim_is_keepalive(const struct sim_datagram *d);
