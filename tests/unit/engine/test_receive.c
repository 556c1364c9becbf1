/* SPDX-License-Identifier: Apache-2.0 */
/* From datagrams to packets: reads of many datagrams, their runs, bounds, and what is counted. */
#include "ends.h"

/* A datagram as @a would send it: @len octets of a packet, or of anything, under @counter. */
static uint32_t seal(struct ends *t, uint64_t counter, const uint8_t *text, uint32_t len,
		     uint8_t *out)
{
	struct session *s = atomic_load(&t->a.peer->current);
	struct msg_data *m = (void *)out;
	struct aead_job job = {
		.key = s->send.b, .counter = counter, .src = text, .dst = m->sealed, .len = len
	};

	m->type = le32_from(MESSAGE_DATA);
	m->receiver = le32_from(s->remote_index);
	m->counter = le64_from(counter);
	aead_seal(t->a.worker->suite, &job, 1);
	return len + MESSAGE_DATA_MIN;
}

/* @n datagrams of equal size in one read, as UDP GRO delivers them. Counters from @first on. */
static uint32_t seal_many(struct ends *t, uint64_t first, size_t n, uint32_t packet_len,
			  uint8_t *out)
{
	uint8_t packet[2048];
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		packet_build(packet, false, 1, 2, 0, packet_len);
		put_be16(packet + 4, (uint16_t)i); /* the identification tells the order */
		at += seal(t, first + i, packet, packet_len, out + at);
	}
	return at;
}

static void receive(struct ends *t, uint8_t *data, uint32_t len, uint16_t segment)
{
	uint8_t *exact = malloc(len ? len : 1);
	struct engine_datagram d = {
		.data = exact, .len = len, .segment = segment, .source = t->a.address
	};

	memcpy(exact, data, len);
	engine_receive(t->b.worker, t->now_ns, &d, 1);
	end_fetch(&t->b);
	free(exact);
}

static struct engine_counters counters(struct ends *t)
{
	struct engine_counters c;

	engine_counters(t->b.engine, &c);
	return c;
}

/* ---- reads of many ---- */

static uint8_t wire[65536];

/* More than the 64 that are opened at a time, and any number in the last part. */
static void a_read_of_any_number_of_datagrams_is_delivered_in_order(void)
{
	struct ends *t = ends_up();
	uint64_t counter = 100;

	for (size_t n = 1; n <= 200; n += n < 140 && n > 10 ? 9 : 1) {
		uint32_t len = seal_many(t, counter, n, 80, wire);

		counter += n;
		receive(t, wire, len, 80 + MESSAGE_DATA_MIN);
		CHECK(t->b.n_in == n);
		for (size_t i = 0; i < t->b.n_in; i++)
			CHECK(get_be16(t->b.in[i].data + 4) == i && t->b.in[i].len == 80);
	}
	CHECK(counters(t).malformed == 0 && counters(t).replayed == 0);
	ends_done(t);
}

static void the_last_datagram_of_a_read_may_be_shorter(void)
{
	struct ends *t = ends_up();
	uint32_t len = seal_many(t, 100, 10, 80, wire);
	uint8_t packet[48];

	packet_build(packet, false, 1, 2, 0, 48);
	len += seal(t, 200, packet, 48, wire + len);
	receive(t, wire, len, 80 + MESSAGE_DATA_MIN);
	CHECK(t->b.n_in == 11 && t->b.in[10].len == 48);
	ends_done(t);
}

/* What the kernel should not say: sizes that do not fit the read. */
static void a_segment_size_that_lies_costs_datagrams_and_nothing_else(void)
{
	enum { EACH = 80 + MESSAGE_DATA_MIN };
	struct ends *t = ends_up();
	uint64_t counter = 100;

	for (uint32_t segment = 0; segment < 2000; segment += segment < 130 ? 1 : 61) {
		uint32_t len = seal_many(t, counter, 10, 80, wire);

		counter += 10;
		receive(t, wire, len, (uint16_t)segment);
		/* By chance the last one may begin where a cut is. */
		bool last = segment > EACH && 9 * EACH % segment == 0;

		CHECK(t->b.n_in == (segment == EACH ? 10u : last ? 1u : 0u));
	}
	CHECK(counters(t).malformed > 0);
	receive(t, wire, seal_many(t, counter, 1, 80, wire), 65535); /* one, and larger */
	CHECK(t->b.n_in == 1);
	ends_done(t);
}

static void an_empty_datagram_is_counted(void)
{
	struct ends *t = ends_up();

	receive(t, wire, 0, 0);
	receive(t, wire, 0, 100);
	CHECK(counters(t).malformed == 2 && t->b.n_in == 0);
	ends_done(t);
}

/* Fed more than it was promised, it drops the rest. (End b takes 300 at a time.) */
static void more_packets_than_announced_are_dropped_and_counted(void)
{
	enum { EACH = 100, READS = 5 };
	struct ends *t = ends_up();
	struct engine_datagram reads[READS];
	const struct inet_write *writes = NULL;
	struct iovec *slices = NULL;

	for (int i = 0; i < READS; i++) {
		uint8_t *data = malloc(EACH * 112);

		reads[i] = (struct engine_datagram){ .data = data,
						     .segment = 80 + MESSAGE_DATA_MIN,
						     .source = t->a.address };
		reads[i].len = seal_many(t, 100 + (uint64_t)i * EACH, EACH, 80, data);
	}
	engine_receive(t->b.worker, t->now_ns, reads, READS);
	size_t n = engine_writes(t->b.worker, &writes, &slices);

	CHECK(n >= 300 && n < EACH * READS);
	CHECK(atomic_load(&t->b.peer->drops) == EACH * READS - n);
	for (int i = 0; i < READS; i++)
		free(reads[i].data);
	ends_done(t);
}

static void a_whole_read_may_be_for_one_write(void)
{
	struct ends *t = ends_up();
	uint32_t len = seal_many(t, 100, 40, 80, wire);

	engine_worker_set_merge(t->b.worker, true); /* protocol 253 is not merged, ever */
	receive(t, wire, len, 80 + MESSAGE_DATA_MIN);
	CHECK(t->b.n_in == 40);
	ends_done(t);
}

/* ---- what is inside ---- */

static void every_inner_length_up_to_the_packet_is_taken_and_trimmed(void)
{
	struct ends *t = ends_up();
	uint8_t packet[256];
	uint64_t counter = 100;

	for (uint32_t claim = 0; claim <= 256; claim++) {
		memset(packet, 0, sizeof(packet));
		packet_build(packet, false, 1, 2, 0, 200);
		put_be16(packet + 2, (uint16_t)claim);
		receive(t, wire, seal(t, counter++, packet, 200, wire), 0);
		bool fits = claim >= 20 && claim <= 200;

		CHECK(t->b.n_in == fits);
		CHECK(!fits || t->b.in[0].len == claim);
	}
	ends_done(t);
}

static void plaintext_that_is_no_ip_packet_is_counted_and_moves_no_packet(void)
{
	struct ends *t = ends_up();
	uint64_t counter = 100;
	uint8_t junk[64];

	for (uint32_t len = 1; len < 64; len++) {
		seeded_fill(junk, len);
		junk[0] = (uint8_t)(len % 2 ? 0x50 : 0x45);
		if (len >= 20 && len % 2 == 0)
			put_be16(junk + 2, 19); /* shorter than its own header */
		receive(t, wire, seal(t, counter++, junk, len, wire), 0);
		CHECK(t->b.n_in == 0);
	}
	CHECK(counters(t).bad_packet == 63);
	CHECK(atomic_load(&t->b.peer->drops) == 63);
	ends_done(t);
}

static void a_source_of_nobody_or_of_another_is_counted(void)
{
	struct ends *t = ends_up();
	uint8_t key[32] = { 9 }, packet[100];
	uint64_t counter = 100;

	end_know(&t->b, key, NULL, 9);
	for (int v6 = 0; v6 < 2; v6++) {
		packet_build(packet, v6, 9, 2, 0, sizeof(packet)); /* another peer's */
		receive(t, wire, seal(t, counter++, packet, sizeof(packet), wire), 0);
		CHECK(t->b.n_in == 0);
		packet_build(packet, v6, 200, 2, 0, sizeof(packet)); /* nobody's */
		receive(t, wire, seal(t, counter++, packet, sizeof(packet), wire), 0);
		CHECK(t->b.n_in == 0);
	}
	CHECK(counters(t).bad_source == 4);
	ends_done(t);
}

/* The source that was found good for one packet of a read is not good for the next. */
static void each_packet_of_a_read_has_its_own_source_judged(void)
{
	struct ends *t = ends_up();
	uint32_t len = 0;

	for (uint64_t i = 0; i < 20; i++) {
		uint8_t packet[80];

		packet_build(packet, false, i % 2 ? 200 : 1, 2, 0, sizeof(packet));
		packet[15] = (uint8_t)i;
		len += seal(t, 100 + i, packet, sizeof(packet), wire + len);
	}
	receive(t, wire, len, 80 + MESSAGE_DATA_MIN);
	CHECK(t->b.n_in == 10 && counters(t).bad_source == 10);
	for (size_t i = 0; i < t->b.n_in; i++)
		CHECK(t->b.in[i].data[15] == 2 * i);
	ends_done(t);
}

/* ---- what is counted ---- */

static void octets_are_counted_as_they_were_on_the_wire(void)
{
	struct ends *t = ends_up();
	uint64_t before = atomic_load(&t->b.peer->rx_bytes);
	uint64_t tx = atomic_load(&t->a.peer->tx_bytes);

	receive(t, wire, seal_many(t, 100, 10, 80, wire), 80 + MESSAGE_DATA_MIN);
	CHECK(atomic_load(&t->b.peer->rx_bytes) == before + 10 * (80 + 32));
	receive(t, wire, seal_many(t, 100, 10, 80, wire), 80 + MESSAGE_DATA_MIN); /* replays */
	CHECK(atomic_load(&t->b.peer->rx_bytes) == before + 10 * (80 + 32));
	CHECK(counters(t).replayed == 10);
	end_send_one(t, &t->a, false, 2, 0, 83); /* padded to 96 */
	CHECK(atomic_load(&t->a.peer->tx_bytes) == tx + 96 + 32);
	ends_done(t);
}

static void a_key_nobody_has_or_that_is_not_ready_is_an_unknown_index(void)
{
	struct ends *t = ends_up();
	struct session *s = session_begin(t->b.worker, t->b.peer, true);
	uint8_t message[64] = { MESSAGE_DATA };
	le32 index = le32_from(s->index.index);

	memcpy(message + 4, &index, sizeof(index));
	receive(t, message, sizeof(message), 0); /* pending: no keys */
	session_kill(t->b.engine, s);
	receive(t, message, sizeof(message), 0);
	CHECK(counters(t).unknown_index == 2 && counters(t).bad_tag == 0);
	ends_done(t);
}

static void handshakes_beyond_the_queue_are_dropped_and_counted(void)
{
	struct ends *t = ends_up();
	struct cookie_maker maker = { 0 };
	struct msg_initiation m;
	uint64_t answered = counters(t).handshakes_answered;

	memset(&m, 0, sizeof(m));
	m.type = le32_from(MESSAGE_INITIATION);
	end_hear(t, &t->b, &t->a.address, &m, sizeof(m)); /* without a MAC1 it does not wait */
	CHECK(engine_handshakes_waiting(t->b.engine) == 0 && counters(t).bad_mac1 == 1);
	cookie_sign(&maker, t->a.worker->suite, t->a.peer->remote.public_key, t->now_ns, &m,
		    sizeof(m));
	for (int i = 0; i < ENGINE_HANDSHAKES_MAX + 50; i++)
		end_hear(t, &t->b, &t->a.address, &m, sizeof(m));
	CHECK(engine_handshakes_waiting(t->b.engine) == ENGINE_HANDSHAKES_MAX);
	CHECK(counters(t).handshake_queue_full == 50);
	while (end_keep(&t->b, t->now_ns))
		;
	CHECK(engine_handshakes_waiting(t->b.engine) == 0);
	CHECK(counters(t).handshakes_answered == answered);
	CHECK(counters(t).handshakes_refused == 1 + ENGINE_HANDSHAKES_MAX);
	receive(t, wire, seal_many(t, 100, 1, 80, wire), 0); /* nobody else noticed */
	CHECK(t->b.n_in == 1);
	ends_done(t);
}

static void an_interface_that_is_down_hears_nothing(void)
{
	struct ends *t = ends_up();
	uint32_t len = seal_many(t, 100, 10, 80, wire);

	engine_set_up(t->b.worker, t->now_ns, false);
	receive(t, wire, len, 80 + MESSAGE_DATA_MIN);
	CHECK(t->b.n_in == 0 && t->b.n_out == 0);
	ends_done(t);
}

/* In one read the packets of two keys of one peer, in turn: during a change of keys. Each key
 * has counters, and a window, of its own. */
static void two_keys_may_take_turns_in_one_read(void)
{
	struct ends *t = ends_up();
	struct session *old = atomic_load(&t->a.peer->current);
	uint32_t len = 0;
	uint8_t packet[80];

	t->now_ns += 130 * ENGINE_SECOND;
	end_send_one(t, &t->a, false, 2, 0, 80);
	ends_talk(t);
	CHECK(atomic_load(&t->a.peer->previous) == old);
	packet_build(packet, false, 1, 2, 0, sizeof(packet));
	for (uint64_t i = 0; i < 20; i++) {
		struct session *now = atomic_load(&t->a.peer->current);

		atomic_store(&t->a.peer->current, i % 2 ? old : now);
		len += seal(t, 500 + i / 2, packet, sizeof(packet), wire + len);
		atomic_store(&t->a.peer->current, now);
	}
	receive(t, wire, len, 80 + MESSAGE_DATA_MIN);
	CHECK(t->b.n_in == 20 && counters(t).replayed == 0);
	ends_done(t);
}

int main(void)
{
	RUN(a_read_of_any_number_of_datagrams_is_delivered_in_order);
	RUN(the_last_datagram_of_a_read_may_be_shorter);
	RUN(a_segment_size_that_lies_costs_datagrams_and_nothing_else);
	RUN(an_empty_datagram_is_counted);
	RUN(more_packets_than_announced_are_dropped_and_counted);
	RUN(a_whole_read_may_be_for_one_write);
	RUN(every_inner_length_up_to_the_packet_is_taken_and_trimmed);
	RUN(plaintext_that_is_no_ip_packet_is_counted_and_moves_no_packet);
	RUN(a_source_of_nobody_or_of_another_is_counted);
	RUN(each_packet_of_a_read_has_its_own_source_judged);
	RUN(octets_are_counted_as_they_were_on_the_wire);
	RUN(a_key_nobody_has_or_that_is_not_ready_is_an_unknown_index);
	RUN(handshakes_beyond_the_queue_are_dropped_and_counted);
	RUN(an_interface_that_is_down_hears_nothing);
	RUN(two_keys_may_take_turns_in_one_read);
	return DONE();
}
