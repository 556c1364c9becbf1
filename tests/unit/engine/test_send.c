/* SPDX-License-Identifier: Apache-2.0 */
/* From packets to datagrams: padding, blocks, super-frames, counters, what waits, and refusals. */
#include "ends.h"

enum { HEADER4 = 20, TCP_HEADER = 20, SUPER_MAX = 65535 };

static struct session *key_of(struct end *e)
{
	return atomic_load(&e->peer->current);
}

/* The plaintext of a datagram of @a, opened with what @b has. NULL: forged. */
static uint8_t *open_piece(struct ends *t, const struct piece *p, uint32_t *ret_len)
{
	struct index_entry *entry = index_find(t->b.engine->sessions, piece_receiver(p));
	uint8_t *text = malloc(p->len);
	struct aead_job job = { .counter = piece_counter(p),
				.src = p->data + sizeof(struct msg_data),
				.dst = text,
				.len = p->len - MESSAGE_DATA_MIN };

	if (entry) {
		job.key = session_of_index(entry)->receive.b;
		aead_open(t->b.worker->suite, &job, 1);
	}
	if (!job.ok) {
		free(text);
		return NULL;
	}
	*ret_len = job.len;
	return text;
}

/* ---- W11: padding ---- */

/* To a multiple of 16, never beyond the MTU; longer than that, the rule is for its last part. */
static uint32_t padded_by_hand(uint32_t len, uint32_t mtu)
{
	uint32_t whole = 0, rest = len;

	while (rest > mtu) {
		whole += mtu;
		rest -= mtu;
	}
	while (rest % 16 != 0 && rest < mtu)
		rest++;
	return whole + rest;
}

static void check_padding(struct ends *t, bool v6, uint32_t len, uint32_t mtu)
{
	uint8_t *expected = malloc(len), *text = NULL;
	uint32_t text_len = 0;

	packet_build(expected, v6, 1, 2, 0, len);
	end_send_one(t, &t->a, v6, 2, 0, len);
	CHECK(t->a.n_out == 1);
	if (t->a.n_out == 1)
		text = open_piece(t, &t->a.out[0], &text_len);
	if (!text || text_len != padded_by_hand(len, mtu))
		FAIL("padded to another length");
	if (text) {
		CHECK(memcmp(text, expected, len) == 0);
		for (uint32_t i = len; i < text_len; i++)
			if (text[i])
				FAIL("padding that is not zero");
	}
	free(text);
	free(expected);
}

static void every_length_is_padded_as_the_rule_says(void)
{
	static const uint32_t mtus[] = { 68, 576, 1280, 1419, 1420, 1421, 1500 };
	struct ends *t = ends_up();

	for (size_t m = 0; m < sizeof(mtus) / sizeof(mtus[0]); m++) {
		engine_set_mtu(t->a.engine, mtus[m]);
		for (uint32_t len = HEADER4; len <= 2 * mtus[m] + 40 && !test_failed; len++)
			check_padding(t, len % 2 && len >= 40, len, mtus[m]);
	}
	ends_done(t);
}

static void a_keepalive_has_no_plaintext_at_all(void)
{
	struct ends *t = ends_up();

	engine_peer_greet(t->a.worker, t->a.peer);
	end_keep(&t->a, t->now_ns);
	CHECK(t->a.n_out == 1 && t->a.out[0].len == MESSAGE_DATA_MIN && t->a.out[0].tos == 0);
	ends_done(t);
}

/* ---- blocks ---- */

/* What a batch of packets looks like on the wire: lengths, marks, order. */
static void send_lengths(struct ends *t, const uint32_t *lengths, const uint8_t *tos, size_t n)
{
	static uint8_t octets[ENGINE_PACKETS_MAX][2048];
	struct engine_packet packets[ENGINE_PACKETS_MAX];

	for (size_t i = 0; i < n; i++) {
		packet_build(octets[i], false, 1, 2, tos ? tos[i] : 0, lengths[i]);
		packets[i] = (struct engine_packet){ .data = octets[i], .len = lengths[i] };
	}
	end_send(t, &t->a, packets, n);
}

static void equal_packets_leave_as_one_block_that_a_shorter_one_ends(void)
{
	static const uint32_t lengths[] = { 1000, 1000, 1000, 500, 1000, 1000, 1200, 1200 };
	struct ends *t = ends_up();
	uint64_t first = atomic_load(&key_of(&t->a)->send_counter);

	send_lengths(t, lengths, NULL, 8);
	CHECK(t->a.n_out == 8);
	CHECK(t->a.n_blocks == 3); /* 1000 1000 1000 500 | 1000 1000 | 1200 1200 */
	for (uint64_t i = 0; i < 8 && i < t->a.n_out; i++) {
		CHECK(t->a.out[i].len == (lengths[i] + 15) / 16 * 16 + MESSAGE_DATA_MIN);
		CHECK(piece_counter(&t->a.out[i]) == first + i);
	}
	ends_done(t);
}

/* One system call has one type of service. */
static void packets_with_another_mark_leave_apart(void)
{
	static const uint32_t lengths[] = { 300, 300, 300, 300 };
	static const uint8_t tos[] = { 0, 0xb8 | 2, 0xb8 | 2, 3 };
	struct ends *t = ends_up();

	send_lengths(t, lengths, tos, 4);
	CHECK(t->a.n_out == 4 && t->a.n_blocks == 3);
	CHECK(t->a.out[0].tos == 0 && t->a.out[1].tos == 2 && t->a.out[2].tos == 2 &&
	      t->a.out[3].tos == 3); /* the DSCP stays inside */
	ends_done(t);
}

static void packets_of_two_peers_in_turn_make_a_block_each_in_order(void)
{
	struct ends *t = ends_up();
	struct end third;
	uint8_t octets[8][100];
	struct engine_packet packets[8];
	uint64_t first = 0;

	end_start(&third, 3, 300);
	end_know(&third, t->a.public_key, &t->a.address, 1);
	struct peer *p3 = end_know(&t->a, third.public_key, &third.address, 3);

	engine_peer_greet(t->a.worker, p3);
	two_talk(t, &t->a, &third);
	CHECK(session_for_sending(p3, t->now_ns));
	first = atomic_load(&key_of(&t->a)->send_counter);
	for (size_t i = 0; i < 8; i++) {
		packet_build(octets[i], false, 1, i % 2 ? 3 : 2, 0, 100);
		packets[i] = (struct engine_packet){ .data = octets[i], .len = 100 };
	}
	end_send(t, &t->a, packets, 8);
	CHECK(t->a.n_out == 8 && t->a.n_blocks == 2);
	for (uint64_t i = 0; i < 4 && t->a.n_out == 8; i++) {
		CHECK(piece_receiver(&t->a.out[i]) == key_of(&t->a)->remote_index);
		CHECK(piece_counter(&t->a.out[i]) == first + i);
		CHECK(piece_receiver(&t->a.out[4 + i]) ==
		      atomic_load(&p3->current)->remote_index);
	}
	end_stop(&third);
	ends_done(t);
}

/* The contract: 64 packets and 128 KiB in one call, of any lengths. */
static void a_full_batch_of_any_lengths_fits(void)
{
	struct ends *t = ends_up();
	uint32_t lengths[ENGINE_PACKETS_MAX];

	engine_set_mtu(t->a.engine, 9000);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < ENGINE_PACKETS_MAX; i++)
			lengths[i] = round == 0	  ? 2048
				     : round == 1 ? 20 + (uint32_t)i
						  : 20 + (uint32_t)(seeded_next() % 2028);
		send_lengths(t, lengths, NULL, ENGINE_PACKETS_MAX);
		CHECK(t->a.n_out == ENGINE_PACKETS_MAX);
	}
	CHECK(atomic_load(&t->a.peer->drops) == 0);
	ends_done(t);
}

/* ---- super-frames ---- */

/* A TCP super-frame over IPv4 with @payload octets, as a TUN gives it. */
static struct engine_packet super_frame(uint8_t *out, uint32_t payload, uint16_t gso_size)
{
	uint32_t len = HEADER4 + TCP_HEADER + payload;

	packet_build(out, false, 1, 2, 0, len);
	out[9] = 6;
	memset(out + HEADER4, 0, TCP_HEADER);
	out[HEADER4 + 12] = 5 << 4;
	out[HEADER4 + 13] = 0x18;
	return (struct engine_packet){
		.data = out,
		.len = len,
		.offload = { .gso = INET_GSO_TCP4,
			     .gso_size = gso_size,
			     .csum_start = HEADER4,
			     .csum_offset = 16,
			     .needs_csum = true },
	};
}

/* Every segment arrives whole, none twice; what does not fit is dropped and counted. */
static void a_super_frame_with_any_segment_size_stays_within_bounds(void)
{
	static uint8_t octets[SUPER_MAX];
	struct ends *t = ends_up();

	for (uint32_t size = 1; size < 65000; size += size < 70 ? 1 : 1 + size / 9) {
		uint32_t payload = SUPER_MAX - HEADER4 - TCP_HEADER;
		struct engine_packet p = super_frame(octets, payload, (uint16_t)size);
		uint64_t drops = atomic_load(&t->a.peer->drops);
		uint64_t bytes = atomic_load(&t->a.peer->tx_bytes), sealed = 0;
		const struct engine_output *outs = NULL;

		engine_set_mtu(t->a.engine, 1420);
		end_send(t, &t->a, &p, 1); /* checks each output */
		sealed = engine_outputs(t->a.worker, &outs);
		CHECK(sealed > 0 && atomic_load(&t->a.peer->tx_bytes) > bytes);
		/* From 100 octets on nothing may be lost: smaller ones no TCP uses. */
		CHECK(size < 100 || atomic_load(&t->a.peer->drops) == drops);
	}
	end_send_one(t, &t->a, false, 2, 0, 100);
	CHECK(t->a.n_out == 1);
	ends_done(t);
}

static void a_super_frame_leaves_as_blocks_of_equal_segments(void)
{
	static uint8_t octets[SUPER_MAX];
	struct ends *t = ends_up();
	uint64_t first = atomic_load(&key_of(&t->a)->send_counter);
	struct engine_packet p = super_frame(octets, 45 * 1380 - 80, 1380);

	end_send(t, &t->a, &p, 1);
	CHECK(t->a.n_blocks == 1 && t->a.n_out == 45);
	for (uint64_t i = 0; i < 45 && i < t->a.n_out; i++) {
		uint32_t len = 0;
		uint8_t *text = open_piece(t, &t->a.out[i], &len);

		CHECK(piece_counter(&t->a.out[i]) == first + i);
		CHECK(text && get_be16(text + 2) == (i < 44 ? 1420 : 1340));
		CHECK(text && get_be32(text + HEADER4 + 4) == i * 1380);
		free(text);
	}
	ends_done(t);
}

/* Padding is written over what follows a segment, which is the next one's payload. */
static void padding_a_segment_does_not_touch_the_next(void)
{
	static uint8_t octets[SUPER_MAX], untouched[SUPER_MAX];
	struct ends *t = ends_up();

	for (uint16_t size = 990; size < 1022; size++) {
		struct engine_packet p = super_frame(octets, 20 * 1000, size);

		memcpy(untouched, octets, p.len);
		end_send(t, &t->a, &p, 1);
		for (uint32_t i = 0; i < t->a.n_out; i++) {
			uint32_t len = 0, at = HEADER4 + TCP_HEADER + i * size;
			uint8_t *text = open_piece(t, &t->a.out[i], &len);
			uint32_t n = p.len - at < size ? p.len - at : size;

			CHECK(text &&
			      memcmp(text + HEADER4 + TCP_HEADER, untouched + at, n) == 0);
			free(text);
		}
		CHECK(t->a.n_out == (20000u + size - 1) / size);
	}
	ends_done(t);
}

static void a_super_frame_that_contradicts_itself_is_dropped(void)
{
	static uint8_t octets[SUPER_MAX];
	struct ends *t = ends_up();
	struct engine_packet p = super_frame(octets, 5000, 0);

	end_send(t, &t->a, &p, 1);
	CHECK(t->a.n_out == 0 && atomic_load(&t->a.peer->drops) == 1);
	p = super_frame(octets, 5000, 1000);
	p.offload.csum_start = 60000;
	end_send(t, &t->a, &p, 1);
	p = super_frame(octets, 5000, 1000);
	p.offload.gso = INET_GSO_UDP;
	end_send(t, &t->a, &p, 1);
	CHECK(t->a.n_out == 0);
	p = super_frame(octets, 5000, 1000);
	p.offload.gso = INET_GSO_NONE; /* a single packet with an impossible checksum */
	p.offload.csum_start = 6000;
	end_send(t, &t->a, &p, 1);
	CHECK(t->a.n_out == 0);
	end_send_one(t, &t->a, false, 2, 0, 100);
	CHECK(t->a.n_out == 1);
	ends_done(t);
}

/* ---- W10 ---- */

/* Whatever is asked for, no counter from 2^64 - 2^13 - 1 on is ever on the wire. */
static void the_last_counters_are_never_used(void)
{
	static uint8_t octets[SUPER_MAX];
	static const uint32_t lengths[] = { 100, 100, 100, 100 };
	const uint64_t limit = UINT64_MAX - 8192;

	for (uint64_t left = 0; left < 12; left++)
		for (int kind = 0; kind < 3; kind++) {
			struct ends *t = ends_up();
			struct engine_packet p = super_frame(octets, 5 * 1000, 1000);

			t->now_ns += 10 * ENGINE_SECOND;
			atomic_store(&key_of(&t->a)->send_counter, limit - left);
			for (int again = 0; again < 4; again++) {
				if (kind == 0)
					end_send_one(t, &t->a, false, 2, 0, 100);
				else if (kind == 1)
					send_lengths(t, lengths, NULL, 4);
				else
					end_send(t, &t->a, &p, 1);
				for (size_t i = 0; i < t->a.n_out; i++)
					CHECK(piece_counter(&t->a.out[i]) < limit);
			}
			CHECK(atomic_load(&t->a.peer->wants_handshake));
			ends_done(t);
		}
}

/* ---- waiting for a key ---- */

static void what_waits_is_bounded_in_packets_and_the_oldest_goes(void)
{
	struct ends *t = ends_new();
	uint32_t arrived = 0, first = 0;

	for (uint32_t i = 0; i < 300; i++)
		end_send_one(t, &t->a, false, 2, 0, 20 + i);
	CHECK(atomic_load(&t->a.peer->n_staged) == ENGINE_STAGED_MAX);
	CHECK(atomic_load(&t->a.peer->drops) == 300 - ENGINE_STAGED_MAX);
	for (int round = 0; round < 8; round++) {
		while (end_keep(&t->a, t->now_ns) && t->a.n_out == 0)
			;
		for (size_t i = 0; i < t->a.n_out; i++) {
			end_hear(t, &t->b, &t->a.address, t->a.out[i].data, t->a.out[i].len);
			if (t->b.n_in && !arrived++)
				first = t->b.in[0].len;
		}
		end_keep(&t->b, t->now_ns);
		for (size_t i = 0; i < t->b.n_out; i++)
			end_hear(t, &t->a, &t->b.address, t->b.out[i].data, t->b.out[i].len);
	}
	CHECK(arrived == ENGINE_STAGED_MAX && first == 20 + 300 - ENGINE_STAGED_MAX);
	CHECK(atomic_load(&t->a.engine->staged_bytes) == 0);
	ends_done(t);
}

/* A super-frame counts as the packets it will be. */
static void super_frames_that_wait_count_by_their_segments(void)
{
	static uint8_t octets[SUPER_MAX];
	struct ends *t = ends_new();
	struct engine_packet p = super_frame(octets, 45 * 1380 - 80, 1380);

	for (int i = 0; i < 5; i++)
		end_send(t, &t->a, &p, 1);
	CHECK(atomic_load(&t->a.peer->n_staged) <= ENGINE_STAGED_MAX);
	CHECK(atomic_load(&t->a.peer->drops) == 3); /* 45 + 45 fit, a third does not */
	ends_done(t);
}

/* The bound over all peers: here 1 MiB. */
static void what_waits_is_bounded_in_octets_over_all_peers(void)
{
	struct ends *t = ends_new();
	uint8_t key[32] = { 9 };

	for (uint8_t n = 10; n < 40; n++) {
		key[1] = n;
		struct peer *p = end_know(&t->a, key, &t->b.address, n);

		for (int i = 0; i < 100; i++) {
			end_send_one(t, &t->a, false, n, 0, 1400);
			CHECK(atomic_load(&t->a.engine->staged_bytes) <= 1 << 20);
		}
		CHECK(n > 15 || atomic_load(&p->n_staged) == 100);
		CHECK(n < 20 || atomic_load(&p->drops) == 100);
	}
	engine_set_up(t->a.worker, t->now_ns, false);
	CHECK(atomic_load(&t->a.engine->staged_bytes) == 0);
	ends_done(t);
}

static void what_waits_for_a_peer_that_is_removed_is_freed(void)
{
	struct ends *t = ends_new();

	for (int i = 0; i < 20; i++)
		end_send_one(t, &t->a, false, 2, 0, 1400);
	engine_peer_remove(t->a.worker, t->a.peer);
	for (int i = 0; i < 5; i++)
		end_keep(&t->a, t->now_ns);
	CHECK(atomic_load(&t->a.engine->staged_bytes) == 0);
	ends_done(t);
}

/* ---- nowhere to go ---- */

static bool is_unreachable(const struct piece *p, bool v6, uint8_t to)
{
	if (v6) /* RFC 4443: type 1, code 3, address unreachable */
		return p->len >= 88 && p->data[0] >> 4 == 6 && p->data[6] == 58 &&
		       p->data[25] == to && p->data[40] == 1 && p->data[41] == 3 &&
		       p->data[49] == 1; /* and in it the packet's own source */
	/* RFC 792: type 3, code 1, host unreachable */
	return p->len >= 56 && p->data[0] >> 4 == 4 && p->data[9] == 1 && p->data[18] == to &&
	       p->data[20] == 3 && p->data[21] == 1;
}

static void a_packet_for_nobody_is_answered_with_host_unreachable(void)
{
	struct ends *t = ends_up();

	end_send_one(t, &t->a, false, 77, 0, 100);
	CHECK(t->a.n_out == 0 && t->a.n_in == 1 && is_unreachable(&t->a.in[0], false, 1));
	end_send_one(t, &t->a, true, 77, 0, 100);
	CHECK(t->a.n_out == 0 && t->a.n_in == 1 && t->a.in[0].data[40] == 1 &&
	      t->a.in[0].data[41] == 3 && t->a.in[0].data[25] == 1);
	struct engine_counters c;

	engine_counters(t->a.engine, &c);
	CHECK(c.no_route == 2);
	ends_done(t);
}

static void a_packet_for_a_peer_without_endpoint_is_answered_too(void)
{
	struct ends *t = ends_new();
	uint8_t key[32] = { 9 };
	struct peer *p = end_know(&t->a, key, NULL, 9);
	struct engine_counters c;

	end_send_one(t, &t->a, false, 9, 0, 100);
	CHECK(t->a.n_in == 1 && is_unreachable(&t->a.in[0], false, 1));
	end_send_one(t, &t->a, true, 9, 0, 100);
	CHECK(t->a.n_in == 1 && t->a.in[0].data[40] == 1 && t->a.in[0].data[41] == 3);
	engine_counters(t->a.engine, &c);
	CHECK(c.no_endpoint == 2 && atomic_load(&p->drops) == 2);
	CHECK(atomic_load(&p->n_staged) == 0);
	ends_done(t);
}

static void a_batch_for_nobody_gets_few_answers(void)
{
	static uint8_t octets[ENGINE_PACKETS_MAX][100];
	struct engine_packet packets[ENGINE_PACKETS_MAX];
	struct ends *t = ends_up();

	for (size_t i = 0; i < ENGINE_PACKETS_MAX; i++) {
		packet_build(octets[i], false, 1, 77, 0, 100);
		packets[i] = (struct engine_packet){ .data = octets[i], .len = 100 };
	}
	end_send(t, &t->a, packets, ENGINE_PACKETS_MAX);
	CHECK(t->a.n_in == ICMP_PER_BATCH);
	ends_done(t);
}

static void what_is_no_packet_is_counted(void)
{
	struct ends *t = ends_up();
	struct engine_counters c;
	uint8_t octets[64] = { 0 };

	for (uint32_t len = 0; len < 20; len++) {
		struct engine_packet p = { .data = octets, .len = len };

		octets[0] = 0x45;
		end_send(t, &t->a, &p, 1);
		CHECK(t->a.n_out == 0 && t->a.n_in == 0);
	}
	for (uint8_t first = 0; first < 16; first++) { /* versions that do not exist */
		struct engine_packet p = { .data = octets, .len = sizeof(octets) };

		octets[0] = (uint8_t)(first << 4 | 5);
		if (first != 4 && first != 6)
			end_send(t, &t->a, &p, 1);
		CHECK(t->a.n_out == 0);
	}
	engine_counters(t->a.engine, &c);
	CHECK(c.bad_packet == 20 + 14);
	ends_done(t);
}

/* The first packet may come before the news that the link is up. */
static void an_interface_that_is_down_sends_nothing_until_it_is_up(void)
{
	struct ends *t = ends_up();

	t->now_ns += 10 * ENGINE_SECOND;
	engine_set_up(t->a.worker, t->now_ns, false);
	for (int i = 0; i < 200; i++) {
		end_send_one(t, &t->a, false, 2, 0, 100);
		CHECK(t->a.n_out == 0 && t->a.n_in == 0);
	}
	while (end_keep(&t->a, t->now_ns))
		CHECK(t->a.n_out == 0);
	CHECK(t->a.n_out == 0 && atomic_load(&t->a.peer->n_staged) == ENGINE_STAGED_MAX);
	engine_set_up(t->a.worker, t->now_ns, true);
	ends_talk(t);
	CHECK(atomic_load(&t->a.peer->n_staged) == 0);
	CHECK(atomic_load(&t->b.peer->rx_bytes) > ENGINE_STAGED_MAX * 100);
	ends_done(t);
}

int main(void)
{
	RUN(every_length_is_padded_as_the_rule_says);
	RUN(a_keepalive_has_no_plaintext_at_all);
	RUN(equal_packets_leave_as_one_block_that_a_shorter_one_ends);
	RUN(packets_with_another_mark_leave_apart);
	RUN(packets_of_two_peers_in_turn_make_a_block_each_in_order);
	RUN(a_full_batch_of_any_lengths_fits);
	RUN(a_super_frame_leaves_as_blocks_of_equal_segments);
	RUN(a_super_frame_with_any_segment_size_stays_within_bounds);
	RUN(padding_a_segment_does_not_touch_the_next);
	RUN(a_super_frame_that_contradicts_itself_is_dropped);
	RUN(the_last_counters_are_never_used);
	RUN(what_waits_is_bounded_in_packets_and_the_oldest_goes);
	RUN(super_frames_that_wait_count_by_their_segments);
	RUN(what_waits_is_bounded_in_octets_over_all_peers);
	RUN(what_waits_for_a_peer_that_is_removed_is_freed);
	RUN(a_packet_for_nobody_is_answered_with_host_unreachable);
	RUN(a_packet_for_a_peer_without_endpoint_is_answered_too);
	RUN(a_batch_for_nobody_gets_few_answers);
	RUN(what_is_no_packet_is_counted);
	RUN(an_interface_that_is_down_sends_nothing_until_it_is_up);
	return DONE();
}
