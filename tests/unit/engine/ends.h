/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ends.h - Two engines face to face, for tests that look inside one of them
 *
 * No network and no clock: datagrams cross at once, time is ends.now_ns. What more than two
 * need, or days, or loss, is in tests/sim.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "../crypto/seeded.h"
#include "../test.h"
#include "engine/internal.h"

enum { END_PORT = 51820, WIRE_MAX = 256 };

/* A datagram or an inner packet that came out, in memory of its own size. */
struct piece {
	uint8_t *data;
	uint32_t len;
	uint8_t tos;
};

struct end {
	struct engine *engine;
	struct engine_worker *worker;
	struct secret_key private_key;
	uint8_t public_key[32];
	struct endpoint address;
	struct peer *peer; /* the other end */
	struct piece out[WIRE_MAX];
	size_t n_out; /* datagrams of the last call, cut apart */
	size_t n_blocks;
	struct piece in[WIRE_MAX];
	size_t n_in; /* packets written to the TUN by the last call */
};

struct ends {
	struct end a, b;
	uint64_t now_ns;
};

static inline void end_random(void *context, void *out, size_t len)
{
	(void)context;
	seeded_fill(out, len);
}

static inline void pieces_drop(struct piece *pieces, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		free(pieces[i].data);
	*n = 0;
}

static inline void piece_take(struct piece *pieces, size_t *n, const uint8_t *data,
			      uint32_t len, uint8_t tos)
{
	CHECK(*n < WIRE_MAX);
	if (*n == WIRE_MAX)
		return;
	pieces[*n] = (struct piece){ .data = malloc(len ? len : 1), .len = len, .tos = tos };
	memcpy(pieces[*n].data, data, len);
	(*n)++;
}

/* Copy what the last call put out; judge what every output must be. */
static inline void end_fetch(struct end *e)
{
	const struct engine_output *outs = NULL;
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL;

	pieces_drop(e->out, &e->n_out);
	pieces_drop(e->in, &e->n_in);
	e->n_blocks = engine_outputs(e->worker, &outs);
	CHECK(e->n_blocks <= OUTPUTS_MAX);
	for (size_t i = 0; i < e->n_blocks; i++) {
		CHECK(outs[i].len && outs[i].segment && outs[i].segment <= outs[i].len);
		CHECK(outs[i].data >= e->worker->arena &&
		      outs[i].data + outs[i].len <= e->worker->arena + ARENA_BYTES);
		CHECK((outs[i].len - 1) / outs[i].segment < SEGMENTS_MAX);
		CHECK(outs[i].len <= ENGINE_DATAGRAM_MAX);
		for (uint32_t at = 0; at < outs[i].len; at += outs[i].segment) {
			uint32_t left = outs[i].len - at;

			if (e->n_out < WIRE_MAX)
				piece_take(e->out, &e->n_out, outs[i].data + at,
					   left < outs[i].segment ? left : outs[i].segment,
					   outs[i].tos);
		}
	}
	size_t n_writes = engine_writes(e->worker, &writes, &slices);

	for (size_t i = 0; i < n_writes; i++)
		if (writes[i].n_slices == 1)
			piece_take(e->in, &e->n_in, slices[writes[i].first_slice].iov_base,
				   (uint32_t)slices[writes[i].first_slice].iov_len, 0);
}

/* Return: it has more to do. */
static inline bool end_keep(struct end *e, uint64_t now_ns)
{
	bool more =
		engine_keep(e->worker, now_ns, now_ns + (UINT64_C(1700000000) * ENGINE_SECOND));

	end_fetch(e);
	return more;
}

/* One datagram arrives. It is copied: opening changes it. */
static inline void end_hear(struct ends *t, struct end *e, const struct endpoint *from,
			    const void *data, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct engine_datagram d = { .data = copy, .len = len, .source = *from };

	memcpy(copy, data, len);
	engine_receive(e->worker, t->now_ns, &d, 1);
	end_fetch(e);
	free(copy);
}

/* Keepers of two ends run and their datagrams cross until neither has anything to say. */
static inline void two_talk(struct ends *t, struct end *one, struct end *two)
{
	bool any = true;

	for (int round = 0; any && round < 20; round++) {
		any = false;
		for (int i = 0; i < 2; i++) {
			struct end *from = i ? two : one, *to = i ? one : two;

			any |= end_keep(from, t->now_ns);
			any |= from->n_out > 0;
			for (size_t k = 0; k < from->n_out; k++)
				end_hear(t, to, &from->address, from->out[k].data,
					 from->out[k].len);
		}
	}
}

static inline void ends_talk(struct ends *t)
{
	two_talk(t, &t->a, &t->b);
}

static inline void end_start(struct end *e, uint8_t number, uint32_t packets_max)
{
	const struct engine_options options = { .random = end_random,
						.backend = SUITE_OPENSSL,
						.staged_bytes_max = 1 << 20,
						.packets_max = packets_max };

	memset(e, 0, sizeof(*e));
	if (engine_new(&options, &e->engine) != 0 || engine_worker_new(e->engine, &e->worker))
		abort();
	engine_worker_set_merge(e->worker, false);
	engine_enter(e->worker);
	seeded_fill(&e->private_key, sizeof(e->private_key));
	dh_clamp(&e->private_key);
	dh_public(e->worker->suite, e->public_key, &e->private_key);
	engine_set_private_key(e->worker, 0, &e->private_key);
	engine_set_up(e->worker, 0, true);
	e->address = (struct endpoint){ .ip = { .family = ADDR_V4, .b = { 192, 0, 2, number } },
					.port = END_PORT };
}

/* 10.0.N.0/24 and fd0N::/16 lie behind end N. */
static inline struct peer *end_know(struct end *e, const uint8_t key[32],
				    const struct endpoint *at, uint8_t number)
{
	const struct ip_prefix v4 = { .ip = { .family = ADDR_V4, .b = { 10, 0, number } },
				      .bits = 24 };
	const struct ip_prefix v6 = { .ip = { .family = ADDR_V6, .b = { 0xfd, number } },
				      .bits = 16 };
	struct peer *p = NULL;

	if (engine_peer_add(e->worker, key, &p) != 0 ||
	    engine_allowed_ip_add(e->engine, p, &v4) != 0 ||
	    engine_allowed_ip_add(e->engine, p, &v6) != 0 ||
	    (at && engine_peer_set_endpoint(e->worker, p, at) != 0))
		abort();
	return p;
}

/* @a is end 1, @b end 2. They know each other and have no key. */
static inline struct ends *ends_new(void)
{
	struct ends *t = calloc(1, sizeof(*t));

	t->now_ns = 100 * ENGINE_SECOND;
	end_start(&t->a, 1, 300);
	end_start(&t->b, 2, 300);
	t->a.peer = end_know(&t->a, t->b.public_key, &t->b.address, 2);
	t->b.peer = end_know(&t->b, t->a.public_key, &t->a.address, 1);
	return t;
}

/* … and have a key that @a asked for and that is confirmed. */
static inline struct ends *ends_up(void)
{
	struct ends *t = ends_new();

	engine_peer_greet(t->a.worker, t->a.peer);
	ends_talk(t);
	CHECK(session_for_sending(t->a.peer, t->now_ns));
	CHECK(session_for_sending(t->b.peer, t->now_ns));
	return t;
}

static inline void end_stop(struct end *e)
{
	pieces_drop(e->out, &e->n_out);
	pieces_drop(e->in, &e->n_in);
	engine_leave(e->worker);
	e->worker = engine_worker_free(e->worker);
	e->engine = engine_free(e->engine);
}

static inline void ends_done(struct ends *t)
{
	end_stop(&t->a);
	end_stop(&t->b);
	free(t);
}

/* ---- packets ---- */

/* An IP packet of @len octets from end @from to end @to, protocol 253, for experiments. */
static inline void packet_build(uint8_t *out, bool v6, uint8_t from, uint8_t to, uint8_t tos,
				uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		out[i] = (uint8_t)(i * 7 + 1);
	memset(out, 0, v6 ? 40 : 20);
	if (v6) {
		put_be32(out, UINT32_C(6) << 28 | (uint32_t)tos << 20);
		put_be16(out + 4, (uint16_t)(len - 40));
		out[6] = 253;
		out[7] = 64;
		out[8] = out[24] = 0xfd;
		out[9] = from;
		out[25] = to;
		return;
	}
	out[0] = 0x45;
	out[1] = tos;
	put_be16(out + 2, (uint16_t)len);
	out[8] = 64;
	out[9] = 253;
	out[12] = out[16] = 10;
	out[14] = from;
	out[18] = to;
	out[15] = out[19] = 1;
}

/* Send copies, each in memory of its size and ENGINE_TAILROOM. */
static inline void end_send(struct ends *t, struct end *e, const struct engine_packet *packets,
			    size_t n)
{
	struct engine_packet copies[ENGINE_PACKETS_MAX];

	for (size_t i = 0; i < n; i++) {
		copies[i] = packets[i];
		copies[i].data = malloc(packets[i].len + ENGINE_TAILROOM);
		memcpy(copies[i].data, packets[i].data, packets[i].len);
		memset(copies[i].data + packets[i].len, 0xa5, ENGINE_TAILROOM);
	}
	engine_send(e->worker, t->now_ns, copies, n);
	end_fetch(e);
	for (size_t i = 0; i < n; i++)
		free(copies[i].data);
}

static inline void end_send_one(struct ends *t, struct end *e, bool v6, uint8_t to, uint8_t tos,
				uint32_t len)
{
	uint8_t *packet = malloc(len);
	struct engine_packet p = { .data = packet, .len = len };

	packet_build(packet, v6, e == &t->a ? 1 : 2, to, tos, len);
	end_send(t, e, &p, 1);
	free(packet);
}

static inline uint64_t piece_counter(const struct piece *p)
{
	return le64_value(((const struct msg_data *)(const void *)p->data)->counter);
}

static inline uint32_t piece_receiver(const struct piece *p)
{
	return le32_value(((const struct msg_data *)(const void *)p->data)->receiver);
}
