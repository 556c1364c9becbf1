/* SPDX-License-Identifier: Apache-2.0 */
/* What AmneziaWG changes on the wire, seen by an observer who can read it. */
#include "framed.h"

/* --- Every way of framing --- */

static void every_generation_and_level_talks_and_is_read(void)
{
	for (int way = 0; way < WAYS; way++) {
		struct pair p = pair_way(way);

		both_ways(&p, SIM_S);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
		CHECK(said(&p, p.b, MESSAGE_RESPONSE) == 1);
		CHECK(said(&p, p.a, MESSAGE_DATA) == 1);
		CHECK(said(&p, p.b, MESSAGE_DATA) == 1);
		sim_run_for(p.s, 130 * SIM_S);
		both_ways(&p, SIM_S);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) == 2);
		pair_done(&p);
	}
}

/* S4 = S2 + 4, and half of all indices look like a type of data. */
static void no_answer_is_taken_for_data(void)
{
	for (int i = 0; i < 20; i++) {
		struct pair p = pair_framed("s4=4 h4=2147483648-4294967295");

		p.s->random_state += (uint64_t)i; /* other indices */
		both_ways(&p, SIM_S);
		CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1);
		pair_done(&p);
	}
}

static void nothing_but_plain_looks_plain(void)
{
	for (int way = 0; way < WAYS; way++) {
		struct pair p = pair_way(way);
		bool is_plain = way == 0 || way == GENERATIONS;

		both_ways(&p, SIM_S);
		for (size_t i = 0; i < p.s->n_log; i++) {
			const struct sim_datagram *d = &p.s->log[i];

			CHECK(is_plain || d->type == 0 || d->type == MESSAGE_DATA ||
			      naive_word(d->data) != d->type);
			CHECK(!is_plain ||
			      (naive_word(d->data) == d->type && d->plain_len == d->len));
		}
		pair_done(&p);
	}
}

/* --- Keepalives --- */

static uint32_t text_len(const struct sim_datagram *d)
{
	return d->plain_len - MESSAGE_DATA_MIN;
}

/* A5: a block of zeroes has no packet in it, so it is not answered like one. */
static void a_padded_keepalive_is_a_keepalive(void)
{
	struct pair p = pair_framed_up("s4=5 h4=77 content_padding_addition=10-100");
	uint32_t least = UINT32_MAX, most = 0;

	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 1, 1 });
	sim_pump(p.a);
	sim_run_for(p.s, 100 * SIM_S);
	CHECK(keepalives(&p, p.a) >= 100 && keepalives(&p, p.a) == said(&p, p.a, MESSAGE_DATA));
	for (size_t i = p.mark; i < p.s->n_log; i++) {
		const struct sim_datagram *d = &p.s->log[i];

		if (d->type != MESSAGE_DATA)
			continue;
		least = text_len(d) < least ? text_len(d) : least;
		most = text_len(d) > most ? text_len(d) : most;
	}
	CHECK(least >= 10 && least < 20 && most <= 100 && most > 90);
	CHECK(said(&p, p.b, MESSAGE_DATA) == 0); /* data would be answered after 10 s */
	CHECK(p.b->delivered == 1 && sim_info(p.b, p.a).drops == 0);
	CHECK(sim_counters(p.b).bad_packet == 0);
	pair_done(&p);
}

/* With trailers and no addition of its own, the text is padded within the window. */
static void trailers_pad_keepalives_within_the_window(void)
{
	struct pair p = pair_framed_up(generations[4]);
	bool is_long = false;

	sim_frame_text(p.a, "s1=16 s2=16 s3=16 s4=16 h1=1000 h2=2000 h3=3000 h4=4000"
			    " random_trailers=1 header_protection_key=" KEY_B);
	engine_peer_set_keepalive(p.a->worker, p.s->now_ns, sim_peer(p.a, p.b),
				  (struct frame_range){ 1, 1 });
	sim_pump(p.a);
	sim_run_for(p.s, 100 * SIM_S);
	CHECK(keepalives(&p, p.a) >= 100);
	for (size_t i = p.mark; i < p.s->n_log; i++) {
		const struct sim_datagram *d = &p.s->log[i];

		CHECK(!d->is_keepalive || d->len < FRAME_WINDOW);
		is_long |= d->is_keepalive && d->len > FRAME_WINDOW * 9 / 10;
	}
	CHECK(is_long);
	CHECK(said(&p, p.b, MESSAGE_DATA) == 0 && p.b->delivered == 1);
	pair_done(&p);
}

/* A4: versions of early 2.0 sent their keepalives without S4. */
static void a_keepalive_without_its_padding_is_heard(void)
{
	struct pair p = pair_framed_up(generations[2]);
	struct sim_datagram lost;
	uint64_t before = sim_info(p.b, p.a).rx_bytes;

	p.s->on_wire = nothing_arrives;
	engine_peer_greet(p.a->worker, sim_peer(p.a, p.b));
	sim_pump(p.a);
	lost = *sim_last(p.s, p.a, MESSAGE_DATA);
	CHECK(lost.is_keepalive && lost.len == 32 + 5);
	sim_inject(p.b, &p.a->address, lost.plain, lost.plain_len);
	CHECK(sim_info(p.b, p.a).rx_bytes == before + MESSAGE_DATA_MIN);
	sim_inject(p.b, &p.a->address, lost.data, lost.len); /* the same, as it should be */
	CHECK(sim_counters(p.b).replayed == 1);
	pair_done(&p);
}

/* --- What is no message --- */

/* Some junk looks like a message until its index or MAC1 is looked at. */
static uint64_t nothing_fits(const struct engine_counters *c)
{
	return c->malformed + c->unknown_index + c->bad_mac1;
}

/* A8: the kernel module once put trailers behind signature packets and junk. */
static void junk_of_any_length_is_dropped_quietly(void)
{
	for (int way = 1; way < GENERATIONS; way++) {
		struct pair p = pair_framed_up(generations[way]);
		struct engine_counters before = sim_counters(p.b), after;
		uint8_t junk[1500];

		for (uint32_t len = 1; len < sizeof(junk); len += 3) {
			for (uint32_t i = 0; i < len; i++)
				junk[i] = (uint8_t) throw();
			sim_inject(p.b, &p.a->address, junk, len);
		}
		after = sim_counters(p.b);
		CHECK(p.s->n_log == p.mark); /* not a word in answer */
		CHECK(nothing_fits(&after) == nothing_fits(&before) + 500);
		CHECK(after.handshakes_refused - after.bad_mac1 ==
		      before.handshakes_refused - before.bad_mac1); /* never opened */
		both_ways(&p, SIM_S);
		CHECK(said(&p, NULL, MESSAGE_INITIATION) == 0);
		pair_done(&p);
	}
}

/* The right length and the right word; only MAC1 tells, and nothing dearer is computed. */
static void junk_that_looks_like_a_handshake_costs_a_hash(void)
{
	for (int way = 0; way < GENERATIONS; way++) {
		struct pair p = pair_framed(generations[way]);
		const struct frame_parameters *f = &p.b->profiles[0].parameters;
		uint8_t junk[sizeof(struct msg_initiation)];
		struct engine_counters c;

		for (uint32_t i = 0; i < 100; i++) {
			uint32_t type = 1 + i % 2;

			for (uint32_t k = 0; k < sizeof(junk); k++)
				junk[k] = (uint8_t) throw();
			for (int k = 0; k < 4; k++)
				junk[k] = (uint8_t)(f->header[type - 1].lo >> 8 * k);
			sim_inject_dressed(p.b, &p.a->address, 0, type, junk,
					   (uint32_t)naive_masked(type), 0);
		}
		c = sim_counters(p.b);
		CHECK(nothing_fits(&c) == 100 && c.bad_mac1 > 90);
		CHECK(c.handshakes_refused == c.bad_mac1);
		CHECK(p.s->n_log == 0);
		pair_done(&p);
	}
}

/* What goes before initiations is dropped, and what looks like a message of nobody. */
static void a_prelude_disturbs_nobody(void)
{
	struct pair p = pair_level(FRAME_EXTREME);

	for (int i = 0; i < 20; i++) {
		both_ways(&p, 200 * SIM_MS);
		sim_run_for(p.s, 200 * SIM_S);
	}
	CHECK(noise_of(&p, p.a) >= 20 * 7);
	CHECK(sim_counters(p.b).malformed == noise_of(&p, p.a));
	CHECK(sim_counters(p.b).handshakes_refused == 0);
	CHECK(sim_counters(p.b).handshakes_answered == 20);
	CHECK(sim_info(p.b, p.a).rx_bytes < sim_info(p.a, p.b).tx_bytes); /* not counted */
	pair_done(&p);
}

/* --- Order and marks --- */

static const char signed_and_junked[] =
	"jc=3 jmin=20 jmax=30 s1=13 s2=14 s3=15 h1=1000 h2=2000 h3=3000 h4=4000"
	" i1=<b 0xa1><r 3> i2=<b 0xa2><r 4> i3=<b 0xa3><t> i4=<b 0xa4><rc 6> i5=<b 0xa5><rd 7>";

/* The eight packets before entry @at of the log are the prelude. */
static void check_prelude(const struct pair *p, size_t at)
{
	const struct sim_datagram *d = &p->s->log[at < 8 ? 0 : at - 8];
	uint32_t unix_s = (uint32_t)((SIM_WALL + p->s->log[at].sent_ns) / SIM_S);

	CHECK(at >= 8);
	for (uint32_t i = 0; i < 8 && at >= 8; i++) {
		CHECK(d[i].type == 0 && d[i].from == p->s->log[at].from);
		CHECK(d[i].sent_ns == p->s->log[at].sent_ns);
		CHECK(endpoint_same_remote(&d[i].destination, &p->s->log[at].destination));
		if (i < 5)
			CHECK(d[i].data[0] == 0xa1 + i && d[i].len == (i == 2 ? 5 : 4 + i));
		else
			CHECK(d[i].len >= 20 && d[i].len <= 30);
	}
	CHECK(get_be32(d[2].data + 1) == unix_s);
}

static void a_prelude_goes_before_every_initiation_in_order(void)
{
	struct pair p = pair_framed(signed_and_junked);
	size_t initiations = 0;

	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 60 * SIM_S); /* retries */
	p.s->on_wire = NULL;
	sim_run_for(p.s, 10 * SIM_S);
	CHECK(p.b->delivered == 1);
	for (size_t i = 0; i < p.s->n_log; i++) {
		if (p.s->log[i].type != MESSAGE_INITIATION)
			continue;
		initiations++;
		check_prelude(&p, i);
	}
	CHECK(initiations > 10);
	CHECK(noise_of(&p, p.a) == 8 * initiations);
	pair_done(&p);
}

/* As much as may go before it, and S1 as large as it may be. */
static void the_longest_prelude_leaves_room_for_the_longest_initiation(void)
{
	struct pair p = pair_framed("jc=128 jmin=1408 jmax=1408 s1=65359");

	both_ways(&p, SIM_S);
	CHECK(noise_of(&p, p.a) == 128);
	CHECK(said(&p, p.a, MESSAGE_INITIATION) == 1 &&
	      sim_last(p.s, p.a, MESSAGE_INITIATION)->len == 65507);
	pair_done(&p);
}

static void nothing_goes_before_answers(void)
{
	struct pair p = pair_framed(signed_and_junked);

	p.s->on_wire = second_is_busy;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, 12 * SIM_S);
	CHECK(said(&p, p.b, MESSAGE_COOKIE) >= 1 && said(&p, p.b, MESSAGE_RESPONSE) == 1);
	CHECK(noise_of(&p, p.b) == 0);
	pair_done(&p);
}

/* A15: a server need not, and may choose by the peer. */
static void a_peer_can_be_spared_the_prelude(void)
{
	struct pair p = pair_framed(signed_and_junked);
	struct sim_node *c = sim_node_new(p.s);

	sim_frame_text(c, signed_and_junked);
	sim_introduce(p.a, c);
	engine_peer_set_prelude(sim_peer(p.a, p.b), false);
	CHECK(!sim_info(p.a, p.b).sends_prelude && sim_info(p.a, c).sends_prelude);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(noise_of(&p, p.a) == 0 && p.b->delivered == 1);
	sim_send(p.a, c, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(noise_of(&p, p.a) == 8 && c->delivered == 1);
	engine_peer_set_prelude(sim_peer(p.a, p.b), true);
	sim_run_for(p.s, 200 * SIM_S);
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(noise_of(&p, p.a) == 16 && p.b->delivered == 2);
	pair_done(&p);
}

/* One packet with a mark of its own, which the tunnel does not show. */
static void send_marked(struct pair *p, uint8_t tos)
{
	struct ip_prefix a = sim_inner4(p->a), b = sim_inner4(p->b);
	uint8_t packet[200];

	sim_build(packet, &a.ip, &b.ip, tos, 1, p->s->now_ns, sizeof(packet));
	sim_send_raw(p->a, packet, sizeof(packet));
	sim_run_for(p->s, SIM_S);
}

static void nothing_that_is_not_plain_is_marked(void)
{
	for (int way = 0; way < WAYS; way++) {
		struct pair p = pair_way(way);
		bool is_plain = way == 0 || way == GENERATIONS;

		p.s->on_wire = second_is_busy;
		sim_send(p.a, p.b, 100);
		sim_run_for(p.s, 12 * SIM_S);
		send_marked(&p, 0xb8);
		CHECK(p.b->delivered == 2 && said(&p, p.b, MESSAGE_COOKIE) >= 1);
		for (size_t i = 0; i < p.s->n_log; i++) {
			const struct sim_datagram *d = &p.s->log[i];
			bool is_handshake =
				d->type == MESSAGE_INITIATION || d->type == MESSAGE_RESPONSE;

			CHECK(d->tos == (is_plain && is_handshake ? 0x88 : 0));
		}
		pair_done(&p);
	}
}

/* --- The window --- */

static uint32_t window(const struct sim_node *at, const struct sim_node *of)
{
	return atomic_load(&sim_peer(at, of)->window);
}

/* A13: the same endpoint in another datagram, or another of our own addresses, is no change. */
static void the_window_shrinks_only_when_the_endpoint_changes(void)
{
	struct pair p = pair_framed_up(generations[4]);
	struct endpoint there = p.a->address;
	struct engine_peer_info info;
	struct sim_datagram late;
	uint32_t wide = 0;

	CHECK(window(p.b, p.a) == FRAME_WINDOW);
	sim_send(p.a, p.b, 1000);
	sim_run_for(p.s, SIM_S);
	wide = window(p.b, p.a);
	p.s->on_wire = nothing_arrives;
	sim_send(p.a, p.b, 100);
	p.s->on_wire = NULL;
	late = *sim_last(p.s, p.a, MESSAGE_DATA);
	late.source.local = (struct ip_addr){ .family = ADDR_V4, .b = { 192, 0, 2, 99 } };
	sim_inject(p.b, &late.source, late.data, late.len);
	info = sim_info(p.b, p.a);
	CHECK(ip_addr_equal(&info.endpoint.local, &late.source.local));
	CHECK(window(p.b, p.a) == wide);
	CHECK(wide >= 1000 + 32 + 16 && window(p.a, p.b) == wide);
	for (int i = 0; i < 100; i++) {
		sim_send(p.a, p.b, 100);
		sim_send(p.b, p.a, 100);
		sim_run_for(p.s, 100 * SIM_MS);
		CHECK(window(p.b, p.a) == wide);
	}
	CHECK(engine_peer_set_endpoint(p.b->worker, sim_peer(p.b, p.a), &there) == 0);
	CHECK(window(p.b, p.a) == wide); /* told again what it knew */
	p.a->address.port++;
	sim_send(p.a, p.b, 100);
	sim_run_for(p.s, SIM_S);
	CHECK(window(p.b, p.a) == FRAME_WINDOW);
	there.port += 2;
	sim_send(p.b, p.a, 1000);
	CHECK(window(p.b, p.a) > 1000);
	CHECK(engine_peer_set_endpoint(p.b->worker, sim_peer(p.b, p.a), &there) == 0);
	CHECK(window(p.b, p.a) == FRAME_WINDOW);
	pair_done(&p);
}

static void trailers_grow_with_the_window(void)
{
	struct pair p = pair_framed(generations[4]);
	uint32_t before = 0, after = 0;

	for (int i = 0; i < 40; i++) {
		sim_send(p.a, p.b, i < 20 ? 100 : 1300);
		sim_run_for(p.s, 200 * SIM_S);
	}
	for (size_t i = 0; i < p.s->n_log; i++) {
		const struct sim_datagram *d = &p.s->log[i];
		uint32_t *most = d->sent_ns < 4001 * SIM_S ? &before : &after;

		if (d->type == MESSAGE_INITIATION && d->len > *most)
			*most = d->len;
	}
	CHECK(before > 450 && before < FRAME_WINDOW);
	CHECK(after > 1000 && after < 1300 + 100 + 48);
	pair_done(&p);
}

int main(void)
{
	dice_begin(1);
	RUN(every_generation_and_level_talks_and_is_read);
	RUN(no_answer_is_taken_for_data);
	RUN(nothing_but_plain_looks_plain);
	RUN(a_padded_keepalive_is_a_keepalive);
	RUN(trailers_pad_keepalives_within_the_window);
	RUN(a_keepalive_without_its_padding_is_heard);
	RUN(junk_of_any_length_is_dropped_quietly);
	RUN(junk_that_looks_like_a_handshake_costs_a_hash);
	RUN(a_prelude_disturbs_nobody);
	RUN(a_prelude_goes_before_every_initiation_in_order);
	RUN(the_longest_prelude_leaves_room_for_the_longest_initiation);
	RUN(nothing_goes_before_answers);
	RUN(a_peer_can_be_spared_the_prelude);
	RUN(nothing_that_is_not_plain_is_marked);
	RUN(the_window_shrinks_only_when_the_endpoint_changes);
	RUN(trailers_grow_with_the_window);
	return DONE();
}
