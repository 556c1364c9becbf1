/* SPDX-License-Identifier: Apache-2.0 */
/* Transport data: counters, padding, the window, sources, marks, and rubbish. */
#include <stdlib.h>
#include <string.h>

#include "engine/peer.h"
#include "pair.h"

static struct session *current(const struct sim_node *at, const struct sim_node *of)
{
	return atomic_load(&sim_peer(at, of)->current);
}

/* ---- counters ---- */

/* W9: a counter is 64 bits wide wherever it passes. */
static void the_counter_crosses_two_to_the_32(void)
{
	struct pair p = pair_up();
	uint64_t start = (UINT64_C(1) << 32) - 5;

	atomic_store(&current(p.a, p.b)->send_counter, start);
	for (uint64_t i = 0; i < 10; i++) {
		sim_send(p.a, p.b, 100);
		CHECK(counter_of(sim_last(p.s, p.a, MESSAGE_DATA)) == start + i);
		sim_run_for(p.s, 20 * SIM_MS);
	}
	CHECK(p.b->delivered == 11);
	pair_done(&p);
}

/* W10: the last counters are not used, in either direction. */
static void no_message_beyond_the_limit_is_sent(void)
{
	struct pair p = pair_up();
	uint64_t limit = UINT64_MAX - (UINT64_C(1) << 13); /* 2^64 - 2^13 - 1 */

	atomic_store(&current(p.a, p.b)->send_counter, limit - 2);
	p.s->on_wire = nothing_arrives;
	for (int i = 0; i < 10; i++) {
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 10 * SIM_MS);
	}
	CHECK(said(&p, p.a, MESSAGE_DATA) == 2);
	CHECK(counter_of(sim_last(p.s, p.a, MESSAGE_DATA)) == limit - 1);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
	p.s->on_wire = NULL;
	sim_run_for(p.s, 10 * SIM_S);
	CHECK(p.b->delivered == 9); /* what had no counter waited for a new key */
	pair_done(&p);
}

/* W10: nor does a batch step over the limit. */
static void no_batch_crosses_the_limit(void)
{
	struct pair p = pair_up();
	uint64_t limit = UINT64_MAX - (UINT64_C(1) << 13);
	struct ip_prefix from = sim_inner4(p.a), to = sim_inner4(p.b);
	uint8_t room[5][100 + ENGINE_TAILROOM];
	struct engine_packet batch[5];

	atomic_store(&current(p.a, p.b)->send_counter, limit - 3);
	for (uint64_t i = 0; i < 5; i++) {
		sim_build(room[i], &from.ip, &to.ip, 0, 1000 + i, 0, 100);
		batch[i] = (struct engine_packet){ .data = room[i], .len = 100 };
	}
	engine_send(p.a->worker, p.s->now_ns, batch, 5);
	sim_fetch(p.a);
	for (size_t i = p.mark; i < p.s->n_log; i++)
		CHECK(p.s->log[i].type != MESSAGE_DATA || counter_of(&p.s->log[i]) < limit);
	sim_run_for(p.s, 10 * SIM_S);
	CHECK(p.b->delivered == 1 + 5);
	pair_done(&p);
}

/* A message under any counter: what a peer could send if it ignored the rules. */
static uint32_t seal(const struct session *s, uint64_t counter, const uint8_t *text,
		     uint32_t len, uint8_t *out)
{
	struct msg_data *m = (void *)out;
	struct aead_job job = {
		.key = s->send.b, .counter = counter, .src = text, .dst = m->sealed, .len = len
	};
	struct suite *suite = NULL;

	m->type = le32_from(MESSAGE_DATA);
	m->receiver = le32_from(s->remote_index);
	m->counter = le64_from(counter);
	CHECK(suite_new(SUITE_OPENSSL, &suite) == 0);
	aead_seal(suite, &job, 1);
	suite_free(suite);
	return len + MESSAGE_DATA_MIN;
}

/* W10, receiving: a peer that ignores its limit is not listened to. */
static void no_message_beyond_the_limit_is_accepted(void)
{
	struct pair p = pair_up();
	uint64_t limit = UINT64_MAX - (UINT64_C(1) << 13);
	struct session *s = current(p.a, p.b);

	for (uint64_t counter = limit - 2; counter < limit + 3; counter++) {
		struct ip_prefix from = sim_inner4(p.a), to = sim_inner4(p.b);
		uint8_t text[64], m[128];

		sim_build(text, &from.ip, &to.ip, 0, counter, 0, sizeof(text));
		sim_inject(p.b, &p.a->address, m, seal(s, counter, text, sizeof(text), m));
	}
	CHECK(p.b->delivered == 1 + 2);
	pair_done(&p);
}

static void after_two_to_the_60_messages_either_role_asks_for_a_new_key(void)
{
	struct pair p = pair_up();

	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	atomic_store(&current(p.b, p.a)->send_counter, UINT64_C(1) << 60);
	sim_send(p.b, p.a, 100);
	CHECK(said(&p, p.b, MESSAGE_INITIATION) == 1); /* b is the responder */
	sim_run_for(p.s, SIM_S);
	CHECK(p.a->delivered == 2);
	sim_send(p.b, p.a, 100);
	CHECK(counter_of(sim_last(p.s, p.b, MESSAGE_DATA)) < 10);
	pair_done(&p);
}

/* ---- W11: padding ---- */

static uint32_t wire_length(uint32_t len, uint32_t mtu)
{
	uint32_t up = (len + 15) / 16 * 16;

	return 32 + (up > mtu ? mtu : up);
}

/* W11: every length on the wire is 32 + 16k, or clipped to the MTU; and none is delivered. */
static void packets_are_padded_to_16_but_never_beyond_the_mtu(void)
{
	static const uint32_t mtus[] = { 1280, 1419, 1420, 1421, 1500 };

	for (size_t m = 0; m < sizeof(mtus) / sizeof(mtus[0]); m++) {
		struct pair p = pair_up();

		engine_set_mtu(p.a->engine, mtus[m]);
		for (uint32_t len = SIM_PACKET_MIN; len <= mtus[m]; len++) {
			sim_send(p.a, p.b, len);
			CHECK(sim_last(p.s, p.a, MESSAGE_DATA)->len ==
			      wire_length(len, mtus[m]));
		}
		sim_run_for(p.s, SIM_S);
		CHECK(p.b->delivered == 1 + mtus[m] - SIM_PACKET_MIN + 1);
		pair_done(&p);
	}
}

static uint32_t last_len;

static void note_len(struct sim *s, const struct sim_packet *packet)
{
	(void)s;
	last_len = packet->len;
}

static void padding_is_never_delivered(void)
{
	struct pair p = pair_up();

	p.s->on_packet = note_len;
	for (uint32_t len = SIM_PACKET_MIN; len < 200; len++) {
		sim_send(p.a, p.b, len);
		sim_run_for(p.s, 20 * SIM_MS);
		CHECK(last_len == len);
	}
	pair_done(&p);
}

static void a_packet_longer_than_the_mtu_is_padded_by_its_last_part(void)
{
	struct pair p = pair_up();

	engine_set_mtu(p.a->engine, 1280);
	sim_send(p.a, p.b, 1300); /* 1280 and 20 */
	CHECK(sim_last(p.s, p.a, MESSAGE_DATA)->len == 32 + 1280 + 32);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

/* ---- the window ---- */

/* Datagrams of @n packets that never arrived; the caller replays them. */
static const struct sim_datagram *withheld(struct pair *p, size_t n)
{
	p->s->on_wire = nothing_arrives;
	for (size_t i = 0; i < n; i++)
		sim_send(p->a, p->b, 100);
	p->s->on_wire = NULL;
	return &p->s->log[p->mark];
}

/* W12 */
static void reordering_by_8128_packets_loses_none(void)
{
	struct pair p = pair_up();
	const struct sim_datagram *d = withheld(&p, 8129);

	sim_replay(p.b, &d[8128]);
	for (size_t i = 1; i < 8128; i++)
		sim_replay(p.b, &d[8128 - i]);
	CHECK(p.b->delivered == 1 + 8128);
	sim_replay(p.b, &d[0]); /* 8128 behind: the oldest still judged */
	CHECK(p.b->delivered == 1 + 8129);
	CHECK(sim_counters(p.b).replayed == 0);
	for (size_t i = 0; i < 8129; i += 7)
		sim_replay(p.b, &d[i]);
	CHECK(p.b->delivered == 1 + 8129);
	CHECK(sim_counters(p.b).replayed == 8129 / 7 + 1);
	pair_done(&p);
}

/* W13: the window learns of a counter when the tag has verified, not before. */
static void forged_counters_do_not_block_the_real_ones(void)
{
	struct pair p = pair_up();
	const struct sim_datagram *d = withheld(&p, 100);

	for (size_t i = 0; i < 100; i++) {
		uint8_t forged[256];

		memcpy(forged, d[i].data, d[i].len);
		forged[40] ^= 1; /* the same counter, another text */
		sim_inject(p.b, &p.a->address, forged, d[i].len);
		memcpy(forged, d[i].data, d[i].len);
		forged[13] ^= 1; /* a counter far ahead */
		sim_inject(p.b, &p.a->address, forged, d[i].len);
	}
	CHECK(p.b->delivered == 1);
	CHECK(sim_counters(p.b).bad_tag == 200);
	for (size_t i = 0; i < 100; i++)
		sim_replay(p.b, &d[i]);
	CHECK(p.b->delivered == 101);
	pair_done(&p);
}

static void any_changed_octet_is_refused(void)
{
	struct pair p = pair_up();
	struct sim_datagram d = *withheld(&p, 1);

	for (uint32_t at = 0; at < d.len; at++) {
		d.data[at] ^= 0x10;
		sim_replay(p.b, &d);
		d.data[at] ^= 0x10;
	}
	for (uint32_t len = 0; len < d.len; len++)
		sim_inject(p.b, &p.a->address, d.data, len);
	CHECK(p.b->delivered == 1);
	sim_replay(p.b, &d);
	CHECK(p.b->delivered == 2);
	pair_done(&p);
}

/* ---- W33: what moves an endpoint ---- */

static struct endpoint elsewhere(void)
{
	return (struct endpoint){ .ip = { .family = ADDR_V4, .b = { 203, 0, 113, 7 } },
				  .port = 9 };
}

static bool still_at(struct pair *p, const struct endpoint *at)
{
	struct endpoint now = sim_info(p->b, p->a).endpoint;

	return endpoint_same_remote(&now, at);
}

/* W33 */
static void nothing_but_new_authentic_packets_moves_an_endpoint(void)
{
	struct pair p = pair_up();
	struct endpoint other = elsewhere(), home = p.a->address;
	struct sim_datagram old = *sim_nth(p.s, p.a, MESSAGE_DATA, 0, 0);
	struct sim_datagram first = *sim_nth(p.s, p.a, MESSAGE_INITIATION, 0, 0);
	struct msg_cookie cookie = { .type = le32_from(MESSAGE_COOKIE) };
	struct sim_datagram fresh = *withheld(&p, 2);
	uint8_t junk[200];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)sim_random(p.s);
	sim_inject(p.b, &other, junk, sizeof(junk));
	CHECK(still_at(&p, &home));
	sim_inject(p.b, &other, old.data, old.len); /* a replay */
	CHECK(sim_counters(p.b).replayed == 1);
	CHECK(still_at(&p, &home));
	sim_inject(p.b, &other, first.data, first.len); /* and of an initiation */
	CHECK(still_at(&p, &home));
	fresh.data[50] ^= 1; /* a failed tag */
	sim_inject(p.b, &other, fresh.data, fresh.len);
	CHECK(sim_counters(p.b).bad_tag == 1);
	CHECK(still_at(&p, &home));
	fresh.data[50] ^= 1;
	cookie.receiver = le32_from(current(p.b, p.a)->index.index);
	sim_inject(p.b, &other, &cookie, sizeof(cookie));
	CHECK(still_at(&p, &home));
	sim_inject(p.b, &other, fresh.data, fresh.len); /* authentic and new */
	CHECK(still_at(&p, &other));
	pair_done(&p);
}

/* A cookie reply that verifies does not move it either. */
static void a_true_cookie_reply_does_not_move_an_endpoint(void)
{
	struct pair p = pair_new();
	struct endpoint other = elsewhere();
	const uint8_t *burst[200];
	uint32_t len[200];

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	p.b->keeper_delay_ns = SIM_MS;
	for (size_t i = 0; i < 200; i++) {
		burst[i] = p.s->log[0].data;
		len[i] = p.s->log[0].len;
	}
	sim_inject_burst(p.b, &p.a->address, burst, len, 200);
	sim_run_for(p.s, 10 * SIM_MS);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) > 0);
	struct peer *b_at_a = sim_peer(p.a, p.b);

	CHECK(!b_at_a->cookie.has_cookie);
	for (size_t i = 0; i < p.s->n_log; i++) {
		if (p.s->log[i].type == MESSAGE_COOKIE)
			sim_inject(p.a, &other, p.s->log[i].data, p.s->log[i].len);
	}
	CHECK(b_at_a->cookie.has_cookie);
	struct endpoint now = sim_info(p.a, p.b).endpoint;

	CHECK(endpoint_same_remote(&now, &p.b->address));
	pair_done(&p);
}

static void keepalives_and_handshakes_move_an_endpoint(void)
{
	struct pair p = pair_up();
	struct endpoint at[3] = { elsewhere(), elsewhere(), elsewhere() };
	struct sim_datagram d;

	at[1].port = 10; /* a change of port alone */
	at[2].ip.b[3] = 8;
	p.s->on_wire = nothing_arrives;
	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 25, 25 });
	sim_pump(p.a);
	d = *sim_last(p.s, p.a, MESSAGE_DATA);
	CHECK(sim_is_keepalive(&d));
	sim_inject(p.b, &at[0], d.data, d.len);
	CHECK(still_at(&p, &at[0]));
	sim_run_for(p.s, 25 * SIM_S);
	d = *sim_last(p.s, p.a, MESSAGE_DATA);
	sim_inject(p.b, &at[1], d.data, d.len);
	CHECK(still_at(&p, &at[1]));
	sim_run_for(p.s, 100 * SIM_S);
	d = *sim_last(p.s, p.a, MESSAGE_INITIATION);
	sim_inject(p.b, &at[2], d.data, d.len);
	CHECK(still_at(&p, &at[2]));
	CHECK(endpoint_same_remote(&sim_last(p.s, p.b, MESSAGE_RESPONSE)->destination, &at[2]));
	pair_done(&p);
}

static void the_last_valid_packet_of_a_batch_decides(void)
{
	struct pair p = pair_up();
	const struct sim_datagram *d = withheld(&p, 3);
	struct endpoint at[3] = { elsewhere(), elsewhere(), elsewhere() };
	struct engine_datagram in[3];

	for (uint16_t i = 0; i < 3; i++) {
		at[i].port = (uint16_t)(100 + i);
		in[i] = (struct engine_datagram){ .data = d[i].data,
						  .len = d[i].len,
						  .source = at[i] };
	}
	in[2].data[60] ^= 1; /* the last is not valid */
	engine_receive(p.b->worker, p.s->now_ns, in, 3);
	sim_fetch(p.b);
	CHECK(p.b->delivered == 3);
	CHECK(still_at(&p, &at[1]));
	pair_done(&p);
}

/* ---- W35: who may use an inner source ---- */

static uint64_t from_source(struct sim_node *at, struct sim_node *to, const char *source)
{
	struct ip_addr ip;
	struct ip_prefix inner = sim_inner4(to);
	uint8_t packet[100];
	uint64_t before = to->delivered;

	CHECK(ip_addr_parse(source, &ip) == 0);
	sim_build(packet, &ip, &inner.ip, 0, 1, 0, sizeof(packet));
	sim_send_raw(at, packet, sizeof(packet));
	sim_run_for(at->sim, SIM_S);
	return to->delivered - before;
}

/* W35 */
static void a_peer_cannot_use_a_source_that_is_more_specifically_anothers(void)
{
	struct sim *s = sim_new(1);
	struct sim_node *gate = sim_node_new(s), *wide = sim_node_new(s),
			*narrow = sim_node_new(s);
	struct ip_prefix net, hole;

	sim_introduce(wide, gate);
	sim_introduce(narrow, gate);
	CHECK(ip_prefix_parse("192.168.0.0/16", true, &net) == 0);
	CHECK(ip_prefix_parse("192.168.7.0/24", true, &hole) == 0);
	CHECK(engine_allowed_ip_add(gate->engine, sim_peer(gate, wide), &net) == 0);
	CHECK(engine_allowed_ip_add(gate->engine, sim_peer(gate, narrow), &hole) == 0);
	CHECK(from_source(wide, gate, "192.168.6.255") == 1);
	CHECK(from_source(wide, gate, "192.168.7.0") == 0);
	CHECK(from_source(wide, gate, "192.168.7.255") == 0);
	CHECK(from_source(wide, gate, "192.168.8.0") == 1);
	CHECK(from_source(narrow, gate, "192.168.7.9") == 1);
	CHECK(from_source(narrow, gate, "192.168.6.9") == 0);
	CHECK(from_source(wide, gate, "8.8.8.8") == 0); /* nobody's */
	CHECK(sim_counters(gate).bad_source == 4);
	CHECK(sim_info(gate, wide).drops == 3);
	engine_allowed_ip_remove(gate->engine, sim_peer(gate, narrow), &hole);
	CHECK(from_source(wide, gate, "192.168.7.0") == 1);
	CHECK(sim_check(s));
	sim_free(s);
}

/* ---- W41: ECN ---- */

static uint8_t last_tos;

static void note_tos(struct sim *s, const struct sim_packet *packet)
{
	(void)s;
	uint16_t head = get_be16(packet->data);

	last_tos = (uint8_t)(head >> 12 == 4 ? head : head >> 4);
}

enum { DROPPED = 255 };

/* RFC 6040, figure 4: inner down, outer across: not-ECT, ECT(1), ECT(0), CE. */
static const uint8_t decap[4][4] = {
	{ 0, 0, 0, DROPPED },
	{ 1, 1, 1, 3 },
	{ 2, 1, 2, 3 },
	{ 3, 3, 3, 3 },
};

static void check_ecn(struct pair *p, bool v6, uint8_t inner, uint8_t outer)
{
	struct ip_prefix from = v6 ? sim_inner6(p->a) : sim_inner4(p->a);
	struct ip_prefix to = v6 ? sim_inner6(p->b) : sim_inner4(p->b);
	uint8_t packet[100], tos = (uint8_t)(0xb8 | inner);
	uint64_t before = p->b->delivered;

	sim_build(packet, &from.ip, &to.ip, tos, 1, 0, sizeof(packet));
	p->s->on_wire = nothing_arrives;
	sim_send_raw(p->a, packet, sizeof(packet));
	p->s->on_wire = NULL;
	const struct sim_datagram *d = sim_last(p->s, p->a, MESSAGE_DATA);

	CHECK(d->tos == inner); /* the mark is copied, the class is not */
	sim_inject_tos(p->b, &p->a->address, d->data, d->len, (uint8_t)(0x20 | outer));
	if (decap[inner][outer] == DROPPED) {
		CHECK(p->b->delivered == before);
	} else {
		CHECK(p->b->delivered == before + 1);
		CHECK(last_tos == (0xb8 | decap[inner][outer]));
	}
}

/* W41 */
static void ecn_follows_rfc_6040_in_all_combinations(void)
{
	struct pair p = pair_up();

	p.s->on_packet = note_tos;
	for (uint8_t i = 0; i < 32; i++)
		check_ecn(&p, i >= 16, i / 4 % 4, i % 4);
	CHECK(sim_counters(p.b).bad_packet == 2);
	pair_done(&p);
}

static void handshakes_are_marked_af41_and_keepalives_are_not(void)
{
	struct pair p = pair_up();

	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 20 * SIM_S);
	CHECK(p.s->log[0].tos == 0x88 && p.s->log[0].type == MESSAGE_INITIATION);
	CHECK(p.s->log[1].tos == 0x88 && p.s->log[1].type == MESSAGE_RESPONSE);
	CHECK(keepalives(&p, p.b) == 1);
	CHECK(sim_last(p.s, p.b, MESSAGE_DATA)->tos == 0);
	pair_done(&p);
}

/* ---- W44: datagrams that are no messages ---- */

/* W44: each is counted, and afterwards everything works. */
static void rubbish_of_every_size_is_counted_and_harmless(void)
{
	struct pair p = pair_up();
	static uint8_t junk[65536];
	struct endpoint other = elsewhere();
	uint64_t n = 0;

	for (uint32_t len = 0; len <= 65535; len = len < 300 ? len + 1 : len * 5 / 4) {
		for (uint32_t i = 0; i < len; i++)
			junk[i] = (uint8_t)sim_random(p.s);
		sim_inject(p.b, &other, junk, len);
		n++;
	}
	for (uint32_t type = 0; type < 8; type++) { /* a true type word, any length */
		for (uint32_t len = 0; len < 400; len++, n++) {
			memset(junk, 0, 400);
			junk[0] = (uint8_t)type;
			sim_inject(p.b, &other, junk, len);
		}
	}
	struct engine_counters c = sim_counters(p.b);

	CHECK(c.malformed + c.unknown_index + c.bad_mac1 + c.handshakes_refused >= n);
	CHECK(c.malformed > 400);
	sim_send(p.a, p.b, 100);
	sim_send(p.b, p.a, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 2 && p.a->delivered == 1);
	pair_done(&p);
}

/* W44: one read may hold many datagrams, of which some are rubbish and the last is short. */
static void coalesced_datagrams_are_told_apart(void)
{
	struct pair p = pair_up();
	const struct sim_datagram *d = withheld(&p, 9);
	uint32_t each = d[0].len;
	struct engine_datagram in = { .segment = (uint16_t)each, .source = p.a->address };
	uint8_t *joined = malloc(each * 10);

	for (uint32_t i = 0; i < 9; i++)
		memcpy(joined + i * each, d[i].data, each);
	memset(joined + 2 * each, 0xff, each);
	joined[5 * each + 30] ^= 1;
	memset(joined + 9 * each, 4, 7); /* a short tail that is nothing */
	in.data = joined;
	in.len = 9 * each + 7;
	engine_receive(p.b->worker, p.s->now_ns, &in, 1);
	sim_fetch(p.b);
	CHECK(p.b->delivered == 1 + 7);
	CHECK(sim_counters(p.b).malformed == 2);
	CHECK(sim_counters(p.b).bad_tag == 1);
	free(joined);
	pair_done(&p);
}

/* W44: a full read of the smallest packets, and an inner packet whose length lies. */
static void inner_lengths_that_lie_are_refused(void)
{
	struct pair p = pair_up();
	struct ip_prefix from = sim_inner4(p.a), to = sim_inner4(p.b);
	struct session *s = current(p.a, p.b);
	uint8_t packet[112], m[256];

	for (uint16_t claim = 0; claim < 200; claim++) {
		uint64_t before = p.b->delivered;
		uint32_t len;

		sim_build(packet, &from.ip, &to.ip, 0, 1, 0, sizeof(packet));
		put_be16(packet + 2, claim);
		len = seal(s, 1000u + claim, packet, sizeof(packet), m);
		sim_inject(p.b, &p.a->address, m, len);
		CHECK(p.b->delivered == before + (claim >= 20 && claim <= sizeof(packet)));
	}
	pair_done(&p);
}

/* ---- waiting for a key ---- */

static uint64_t order_next, order_wrong;

static void check_order(struct sim *s, const struct sim_packet *packet)
{
	(void)s;
	order_wrong += packet->number < order_next;
	order_next = packet->number + 1;
}

static void the_newest_128_packets_wait_for_a_key_in_order(void)
{
	struct pair p = pair_new();
	uint64_t last = 0;

	p.s->on_packet = check_order;
	order_next = order_wrong = 0;
	for (int i = 0; i < 500; i++)
		last = sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(p.b->delivered == 128);
	CHECK(order_wrong == 0);
	CHECK(order_next == last + 1);
	CHECK(sim_counters(p.a).staged_dropped == 500 - 128);
	pair_done(&p);
}

static void a_packet_for_nobody_is_answered_with_icmp(void)
{
	struct pair p = pair_up();
	uint8_t packet[100];
	struct ip_addr from = sim_inner4(p.a).ip, to;

	CHECK(ip_addr_parse("172.16.0.1", &to) == 0);
	sim_build(packet, &from, &to, 0, 1, 0, sizeof(packet));
	sim_send_raw(p.a, packet, sizeof(packet));
	CHECK(p.a->delivered == 1); /* into its own TUN */
	CHECK(sim_counters(p.a).no_route == 1);
	CHECK(p.s->n_log == p.mark);
	pair_done(&p);
}

int main(void)
{
	RUN(the_counter_crosses_two_to_the_32);
	RUN(no_message_beyond_the_limit_is_sent);
	RUN(no_batch_crosses_the_limit);
	RUN(no_message_beyond_the_limit_is_accepted);
	RUN(after_two_to_the_60_messages_either_role_asks_for_a_new_key);
	RUN(packets_are_padded_to_16_but_never_beyond_the_mtu);
	RUN(padding_is_never_delivered);
	RUN(a_packet_longer_than_the_mtu_is_padded_by_its_last_part);
	RUN(reordering_by_8128_packets_loses_none);
	RUN(forged_counters_do_not_block_the_real_ones);
	RUN(any_changed_octet_is_refused);
	RUN(nothing_but_new_authentic_packets_moves_an_endpoint);
	RUN(a_true_cookie_reply_does_not_move_an_endpoint);
	RUN(keepalives_and_handshakes_move_an_endpoint);
	RUN(the_last_valid_packet_of_a_batch_decides);
	RUN(a_peer_cannot_use_a_source_that_is_more_specifically_anothers);
	RUN(ecn_follows_rfc_6040_in_all_combinations);
	RUN(handshakes_are_marked_af41_and_keepalives_are_not);
	RUN(rubbish_of_every_size_is_counted_and_harmless);
	RUN(coalesced_datagrams_are_told_apart);
	RUN(inner_lengths_that_lie_are_refused);
	RUN(the_newest_128_packets_wait_for_a_key_in_order);
	RUN(a_packet_for_nobody_is_answered_with_icmp);
	return DONE();
}
