/* SPDX-License-Identifier: Apache-2.0 */
/**
 * datagram_world.h - An engine with three peers, made anew for each input of fuzz_datagram
 *
 * Peer 0 has keys in every place (previous, current, next), 1 is known with its endpoint and
 * shakes hands, 2 has no endpoint. Sources are numbered: 0 and 1 are the peers', the others
 * strangers'. Where there are several profiles, each source has one that it keeps to.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "engine/internal.h"
#include "frame/mask.h"
#include "framings.h"
#include "fuzz.h"

enum { SOURCES = 8, PEERS = 3 };

/* ---- input ---- */

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint32_t take(struct input *in, size_t octets)
{
	uint32_t v = 0;

	for (; octets && in->left; octets--, in->left--)
		v = v << 8 | *in->at++;
	return v;
}

static inline size_t take_octets(struct input *in, void *out, size_t max)
{
	size_t n = take(in, 2);

	n = n > in->left ? in->left : n;
	n = n > max ? max : n;
	if (n)
		memcpy(out, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

/* ---- the world ---- */

static struct {
	struct engine *engine;
	struct engine_worker *worker;
	struct suite *suite;
	struct noise_identity us;
	struct noise_identity them[PEERS];
	struct noise_remote ours[PEERS]; /* us, as each peer knows us */
	struct peer *peers[PEERS];
	struct live_key {
		uint32_t index;
		struct secret_key key; /* a copy: the session may end before the input */
		uint64_t counter;
	} keys[3];		/* of peer 0 */
	bool may_hear[SOURCES]; /* known, or has sent something authentic */
	bool is_peer[SOURCES];	/* known, or has sent what only a peer can send */
	uint64_t heard[SOURCES], said[SOURCES]; /* octets from and to it */
	size_t longest[SOURCES];		/* datagram from it */
	uint32_t framing;
	struct generator dice;
	struct cookie_checker checkers[PEERS]; /* for what is sent to them */
	struct msg_initiation initiation;
	bool has_initiation; /* the last one to peer 1 */
	unsigned int handshakes;
	uint64_t now_ns;
	uint64_t wall_ns; /* never back: labels grow */
	uint64_t random;
} world;

static void fill(void *context, void *out, size_t len)
{
	uint8_t *at = out;

	(void)context;
	for (size_t i = 0; i < len; i++) {
		world.random = world.random * UINT64_C(6364136223846793005) +
			       UINT64_C(1442695040888963407);
		at[i] = (uint8_t)(world.random >> 56);
	}
}

static struct endpoint source_number(uint32_t n)
{
	bool v6 = n % SOURCES % 3 == 2;
	struct endpoint e = { .ip = { .family = v6 ? ADDR_V6 : ADDR_V4 }, .port = 1000 };

	memset(e.ip.b, 0x20, v6 ? 16 : 4);
	e.ip.b[v6 ? 15 : 3] = (uint8_t)(n % SOURCES);
	return e;
}

static void make_world(void)
{
	const struct engine_options options = { .random = fill,
						.backend = SUITE_OPENSSL,
						.staged_bytes_max = 1 << 20,
						.packets_max = 200 };
	struct secret_key key;

	world.random = 1;
	world.now_ns = 1000 * ENGINE_SECOND;
	world.wall_ns = UINT64_C(1700000000) * ENGINE_SECOND;
	HOLDS(suite_new(SUITE_OPENSSL, &world.suite) == 0);
	HOLDS(engine_new(&options, &world.engine) == 0);
	HOLDS(engine_worker_new(world.engine, &world.worker) == 0);
	fill(NULL, &key, sizeof(key));
	noise_identity_init(&world.us, world.suite, &key);
	for (int i = 0; i < PEERS; i++) {
		fill(NULL, &key, sizeof(key));
		noise_identity_init(&world.them[i], world.suite, &key);
		memcpy(world.ours[i].public_key, world.us.public_key, NOISE_KEY_LEN);
		noise_remote_prepare(&world.ours[i], world.suite, &world.them[i]);
		cookie_checker_init(&world.checkers[i], world.suite, world.them[i].public_key);
	}
	engine_enter(world.worker);
	engine_set_private_key(world.worker, world.now_ns, &world.us.private_key);
}

static struct session *live_key(int which, bool is_initiator)
{
	struct session *s = session_begin(world.worker, world.peers[0], is_initiator);

	HOLDS(s);
	fill(NULL, &s->send, sizeof(s->send));
	fill(NULL, &s->receive, sizeof(s->receive));
	s->born_ns = world.now_ns;
	atomic_store(&s->state, SESSION_READY);
	world.keys[which] = (struct live_key){ .index = s->index.index, .key = s->receive };
	return s;
}

/* Peer N has 10.0.N.0/24 and fd0N::/16. */
static void add_peers(void)
{
	for (uint8_t i = 0; i < PEERS; i++) {
		struct ip_prefix v4 = { { ADDR_V4, { 10, 0, i } }, 24 };
		struct ip_prefix v6 = { { ADDR_V6, { 0xfd, i } }, 16 };
		struct endpoint e = source_number(i);
		struct peer **p = &world.peers[i];

		HOLDS(engine_peer_add(world.worker, world.them[i].public_key, p) == 0);
		HOLDS(engine_allowed_ip_add(world.engine, *p, &v4) == 0);
		HOLDS(engine_allowed_ip_add(world.engine, *p, &v6) == 0);
		if (i < 2)
			HOLDS(engine_peer_set_endpoint(world.worker, *p, &e) == 0);
	}
	atomic_store(&world.peers[0]->previous, live_key(0, false));
	atomic_store(&world.peers[0]->current, live_key(1, true));
	atomic_store(&world.peers[0]->next, live_key(2, false));
}

/* The profile that ends does so while the input is read, if that lets a minute pass. */
static void set_framing(uint32_t number)
{
	struct frame_profile_source sources[FRAMING_PROFILES];
	struct engine_framing *f = NULL;
	uint32_t n = framing_sources(number, world.wall_ns / ENGINE_SECOND + 60, sources);

	if (number == world.framing && !framings[number].ends)
		return;
	HOLDS(engine_framing_new(world.engine, sources, n, &f) == 0);
	engine_framing_publish(world.worker, f);
	world.framing = number;
}

static void forget_all(void)
{
	uint8_t seed[GENERATOR_SEED_LEN] = { 7 };

	world.random = 7;
	world.worker->jitter_state = 7;
	generator_init(&world.worker->random, seed);
	generator_init(&world.dice, seed);
	memset(world.worker->sources, 0, sizeof(world.worker->sources));
	world.now_ns += 10000 * ENGINE_SECOND; /* nothing of the input before is remembered */
	world.wall_ns += 10000 * ENGINE_SECOND;
	world.has_initiation = false;
	world.handshakes = 0;
	for (int i = 0; i < SOURCES; i++) {
		world.may_hear[i] = world.is_peer[i] = i < 2;
		world.heard[i] = world.said[i] = world.longest[i] = 0;
	}
}

static inline void begin(uint32_t framing)
{
	if (!world.engine)
		make_world();
	forget_all();
	set_framing(framing);
	engine_set_mtu(world.engine, 1420);
	engine_worker_set_merge(world.worker, true);
	engine_set_up(world.worker, world.now_ns, true);
	add_peers();
}

/* ---- how it looks on the wire ---- */

static inline const struct frame_profile *profile_of_source(uint32_t source)
{
	const struct frame_set *set = engine_profiles(world.engine);

	return &set->profiles[source % SOURCES % set->n];
}

/* A type word as @source would draw it. */
static inline uint32_t type_word(uint32_t source, enum message_type type)
{
	return frame_type(profile_of_source(source), type, &world.dice);
}

/* A message as @source would send it. @out has FRAME_WINDOW and FRAMING_PAD_MAX octets more. */
static inline size_t dress(uint32_t source, enum message_type type, const void *message,
			   size_t len, uint8_t *out)
{
	const struct frame_profile *p = profile_of_source(source);
	uint32_t trailer = 0;

	if (type != MESSAGE_DATA)
		trailer = frame_trailer(p, type, FRAME_WINDOW, FRAME_DATAGRAM_MAX, &world.dice);
	return framing_dress(p, type, message, (uint32_t)len, trailer, &world.dice, out);
}

/* Could @datagram be a message of that kind under @p, with a MAC1 for @checker? What is in it
 * is copied to @message. */
static inline bool undress(const struct frame_profile *p, enum message_type type,
			   const uint8_t *datagram, size_t len,
			   const struct cookie_checker *checker, uint8_t *message)
{
	uint32_t pad = p->pad[type], n = frame_message_len(type);
	le32 word;

	if (len < pad + n || (len > pad + n && !p->parameters.random_trailers))
		return false;
	memcpy(message, datagram + pad, n);
	if (p->is_protected)
		frame_mask_message(p, datagram, message, n);
	memcpy(&word, message, sizeof(word));
	return frame_range_has(p->header[type], le32_value(word)) &&
	       cookie_mac1_is_valid(checker, world.suite, message, n);
}
