/* SPDX-License-Identifier: Apache-2.0 */
/* The way out, undone the naive way of dress.h. */
#include "dress.h"

static const uint8_t seed[GENERATOR_SEED_LEN] = { 9 };

static void a_plain_message_leaves_as_it_is(void)
{
	struct frame_set set = alone("");
	const struct frame_profile *p = &set.profiles[0];
	uint8_t octets[64][32];
	struct frame_message m[64];
	struct generator g;

	generator_init(&g, seed);
	CHECK(p->is_plain && frame_data_overhead(p) == MESSAGE_DATA_MIN);
	for (uint32_t type = 1; type <= 4; type++)
		CHECK(frame_type(p, (enum message_type)type, &g) == type);
	memset(octets, 0x5a, sizeof(octets));
	for (uint32_t i = 0; i < 64; i++)
		m[i] = (struct frame_message){ .data = octets[i], .len = 32 };
	frame_wrap(p, MESSAGE_DATA, m, 64, &g);
	for (uint32_t i = 0; i < 64; i++)
		for (int k = 0; k < 32; k++)
			CHECK(octets[i][k] == 0x5a);
	frame_set_done(&set);
}

/* 64 messages of @type in one call. */
static void check_batch(const struct frame_profile *p, enum message_type type, uint32_t trailer,
			struct generator *g)
{
	uint32_t len = type == MESSAGE_DATA ? 300 : frame_message_len(type);
	uint32_t pad = p->pad[type], framed = pad + len + trailer;
	uint8_t before[64][400], after[400];
	struct frame_message m[64];

	for (uint32_t i = 0; i < 64; i++) {
		uint32_t word = frame_type(p, type, g);

		m[i] = (struct frame_message){ calloc(1, framed), framed };
		for (uint32_t k = 0; k < len; k++)
			before[i][k] = (uint8_t) throw();
		for (int k = 0; k < 4; k++)
			before[i][k] = (uint8_t)(word >> 8 * k);
		memcpy(m[i].data + pad, before[i], len);
	}
	frame_wrap(p, type, m, 64, g);
	for (uint32_t i = 0; i < 64; i++) {
		CHECK(naive_undress(&p->parameters, type, m[i].data, pad + len, after));
		CHECK(memcmp(after, before[i], len) == 0);
		/* No two paddings, no two trailers are alike (by chance 1 in 2^32). */
		CHECK(i == 0 || pad < 4 || memcmp(m[i].data, m[0].data, 4) != 0);
		CHECK(i == 0 || trailer < 4 ||
		      memcmp(m[i].data + pad + len, m[0].data + pad + len, 4) != 0);
	}
	for (uint32_t i = 0; i < 64; i++)
		free(m[i].data);
}

static void what_is_dressed_can_be_undressed(void)
{
	struct generator g;

	generator_init(&g, seed);
	for (int i = 0; i < GENERATIONS; i++) {
		struct frame_set set = alone(generations[i]);

		for (int type = MESSAGE_INITIATION; type <= MESSAGE_DATA; type++) {
			check_batch(&set.profiles[0], (enum message_type)type, 0, &g);
			if (type != MESSAGE_DATA && !set.profiles[0].is_plain)
				check_batch(&set.profiles[0], (enum message_type)type, 33, &g);
		}
		frame_set_done(&set);
	}
}

static void types_are_drawn_from_the_whole_range(void)
{
	struct frame_set set = alone("h1=10-12 h2=0-4 h3=20 h4=4000000000-4294967295");
	const struct frame_profile *p = &set.profiles[0];
	uint32_t seen = 0, high = 0;
	struct generator g;

	generator_init(&g, seed);
	for (int i = 0; i < 1000; i++) {
		uint32_t one = frame_type(p, MESSAGE_INITIATION, &g);
		uint32_t four = frame_type(p, MESSAGE_DATA, &g);

		CHECK(one >= 10 && one <= 12 && four >= 4000000000);
		seen |= 1U << (one - 10);
		high += four > 4147483647; /* the upper half */
	}
	CHECK(seen == 7 && high > 400 && high < 600);
	frame_set_done(&set);
}

/* ---- content ---- */

static void plain_content_is_padded_to_sixteen_within_the_mtu(void)
{
	struct frame_set set = alone("");
	struct generator g;

	generator_init(&g, seed);
	for (uint32_t len = 0; len <= 3000; len++) {
		uint32_t padding = frame_content_padding(&set.profiles[0], len, 1420, 500, &g);
		uint32_t last = len % 1420, up = (last + 15) / 16 * 16;

		CHECK(padding == (up > 1420 ? 1420 : up) - last);
		padding = frame_content_padding(&set.profiles[0], len, 0, 500, &g);
		CHECK((len + padding) % 16 == 0 && padding < 16);
	}
	frame_set_done(&set);
}

static void content_padding_is_drawn_and_stops_at_the_mtu(void)
{
	struct frame_set set = alone("content_padding_addition=10-100");
	const struct frame_profile *p = &set.profiles[0];
	bool lo = false, hi = false;
	struct generator g;

	generator_init(&g, seed);
	for (int i = 0; i < 3000; i++) {
		uint32_t padding = frame_content_padding(p, 0, 1420, 500, &g);

		CHECK(padding >= 10 && padding <= 100);
		lo |= padding == 10;
		hi |= padding == 100;
		padding = frame_content_padding(p, 1400, 1420, 500, &g);
		CHECK(padding >= 10 && padding <= 20);
		CHECK(frame_content_padding(p, 1420, 1420, 500, &g) ==
		      0); /* bulk keeps its size */
		CHECK(frame_content_padding(p, 2840, 1420, 500, &g) == 0);
		CHECK(frame_content_padding(p, 1500, 1420, 500, &g) <= 100);
	}
	CHECK(lo && hi);
	frame_set_done(&set);
}

static void with_trailers_content_is_padded_up_to_the_window(void)
{
	struct frame_set set = alone("s4=8 random_trailers=1");
	const struct frame_profile *p = &set.profiles[0];
	uint32_t most = 0;
	struct generator g;

	generator_init(&g, seed);
	for (int i = 0; i < 5000; i++) {
		uint32_t padding = frame_content_padding(p, 100, 1420, 200, &g);

		CHECK(100 + 40 + padding < 200);
		if (padding > most)
			most = padding;
		CHECK(frame_content_padding(p, 160, 1420, 200, &g) == 0);
		CHECK(frame_content_padding(p, 1420, 1420, 1480, &g) == 0);
	}
	CHECK(most == 59);
	frame_set_done(&set);
}

/* ---- trailers ---- */

static void a_trailer_is_below_the_window_and_never_makes_an_answer_longer_than_the_question(
	void)
{
	struct frame_set set = alone("s1=16 s2=16 random_trailers=1"), none = alone("s1=16");
	const struct frame_profile *p = &set.profiles[0];
	uint32_t most = 0;
	struct generator g;

	generator_init(&g, seed);
	for (int i = 0; i < 20000; i++) {
		uint32_t len = frame_trailer(p, MESSAGE_INITIATION, 500, 65507, &g);

		CHECK(164 + len < 500);
		if (len > most)
			most = len;
		CHECK(frame_trailer(p, MESSAGE_INITIATION, 164, 65507, &g) == 0);
		CHECK(108 + frame_trailer(p, MESSAGE_RESPONSE, 500, 164, &g) <= 164);
		CHECK(frame_trailer(p, MESSAGE_RESPONSE, 500, 100, &g) == 0);
		CHECK(frame_trailer(&none.profiles[0], MESSAGE_INITIATION, 500, 65507, &g) ==
		      0);
	}
	CHECK(most == 335);
	frame_set_done(&none);
	frame_set_done(&set);
}

/* A trailer that is drawn too long and then cut would make half of the answers exactly as long as
 * their questions, which nothing else on the wire is. */
static void every_length_of_an_answer_up_to_the_question_is_as_likely_as_the_others(void)
{
	struct frame_set set = alone("s1=16 s2=16 random_trailers=1");
	uint32_t seen[64] = { 0 };
	struct generator g;

	generator_init(&g, seed);
	for (int i = 0; i < 64000; i++) {
		uint32_t len =
			frame_trailer(&set.profiles[0], MESSAGE_RESPONSE, 500, 108 + 63, &g);

		CHECK(len < 64);
		seen[len % 64]++;
	}
	for (int i = 0; i < 64; i++) /* ten deviations */
		CHECK(seen[i] > 684 && seen[i] < 1316);
	frame_set_done(&set);
}

/* ---- before an initiation ---- */

static void signature_packets_come_first_then_junk_of_every_length(void)
{
	struct frame_set set = alone("jc=3 jmin=10 jmax=12 i2=<b 0xaabb><r 3> i4=<c><t>");
	const struct frame_profile *p = &set.profiles[0];
	struct frame_prelude_packet out[5];
	uint8_t *buffer = malloc(p->prelude_max);
	uint32_t counter = 7, seen = 0;
	struct generator g;

	generator_init(&g, seed);
	CHECK(p->prelude_packets == 5 && p->prelude_max == 5 + 8 + 3 * 12);
	for (int i = 0; i < 200; i++) {
		CHECK(frame_prelude(p, &g, 0x01020304, &counter, buffer, out) == 5);
		CHECK(out[0].len == 5 && out[0].data[0] == 0xaa && out[0].data[1] == 0xbb);
		CHECK(out[1].len == 8 && memcmp(out[1].data + 4, "\1\2\3\4", 4) == 0);
		CHECK(out[1].data[3] == (uint8_t)(8 + 2 * i)); /* one more for each packet */
		for (int k = 2; k < 5; k++) {
			CHECK(out[k].len >= 10 && out[k].len <= 12);
			seen |= 1U << (out[k].len - 10);
		}
	}
	CHECK(seen == 7);
	free(buffer);
	frame_set_done(&set);
}

static void junk_without_octets_is_not_sent(void)
{
	struct frame_set set = alone("jc=100 jmin=0 jmax=1"), none = alone("jc=9");
	struct frame_prelude_packet out[100];
	uint8_t buffer[100];
	uint32_t counter = 0, n;
	struct generator g;

	generator_init(&g, seed);
	n = frame_prelude(&set.profiles[0], &g, 0, &counter, buffer, out);
	CHECK(n > 20 && n < 80);
	for (uint32_t i = 0; i < n; i++)
		CHECK(out[i].len == 1);
	CHECK(none.profiles[0].prelude_packets == 0);
	CHECK(frame_prelude(&none.profiles[0], &g, 0, &counter, buffer, out) == 0);
	frame_set_done(&none);
	frame_set_done(&set);
}

int main(void)
{
	dice_begin(2);
	RUN(a_plain_message_leaves_as_it_is);
	RUN(what_is_dressed_can_be_undressed);
	RUN(types_are_drawn_from_the_whole_range);
	RUN(plain_content_is_padded_to_sixteen_within_the_mtu);
	RUN(content_padding_is_drawn_and_stops_at_the_mtu);
	RUN(with_trailers_content_is_padded_up_to_the_window);
	RUN(a_trailer_is_below_the_window_and_never_makes_an_answer_longer_than_the_question);
	RUN(every_length_of_an_answer_up_to_the_question_is_as_likely_as_the_others);
	RUN(signature_packets_come_first_then_junk_of_every_length);
	RUN(junk_without_octets_is_not_sent);
	return DONE();
}
