/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that are cut and put together again, in any order; and pieces nobody sends in good faith. */
#include <stdlib.h>

#include "../test.h"
#include "crypto/generator.h"
#include "inet/fragment.h"
#include "packets.h"

enum { PIECES_MAX = 64, ROUNDS = 300 };

#define SECOND UINT64_C(1000000000)

static struct generator draws;

struct pieces {
	uint8_t data[PIECES_MAX][1500];
	uint32_t len[PIECES_MAX];
	uint32_t n;
};

static uint32_t pick(uint32_t lo, uint32_t hi)
{
	return generator_between(&draws, lo, hi);
}

static uint32_t make(uint8_t family, uint32_t payload, uint8_t *out)
{
	struct recipe r = {
		.family = family, .protocol = 17, .ttl = 64, .host = 5, .payload = payload
	};

	return build(&r, out);
}

static void cut(const uint8_t *packet, uint32_t len, uint32_t mtu, uint32_t id,
		struct pieces *p)
{
	struct fragment_cut c;

	p->n = 0;
	fragment_cut_begin(&c, packet, len, mtu, id);
	while (p->n < PIECES_MAX && (p->len[p->n] = fragment_cut_next(&c, p->data[p->n])) != 0)
		p->n++;
}

static void pieces_fit_and_have_right_headers(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;

	for (uint8_t family = 4; family <= 6; family += 2) {
		cut(packet, make(family, 4000, packet), 1420, 77, &p);
		CHECK(p.n == 3);
		for (uint32_t i = 0; i < p.n; i++) {
			struct inet_upper upper;
			struct inet_ip ip;

			CHECK(p.len[i] <= 1420 && inet_ip_parse(p.data[i], p.len[i], &ip));
			CHECK(ip.len == p.len[i] && inet_upper_find(p.data[i], ip.len, &upper));
			CHECK(upper.is_fragment && upper.is_later_fragment == (i > 0));
			CHECK(upper.protocol == 17);
			if (family == 4)
				CHECK(slow_sum(p.data[i], 20) == 0xffff &&
				      !(p.data[i][6] & 0x40));
		}
	}
}

static void what_was_cut_comes_back_in_any_order(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0;

	CHECK(fragments_new(&f) == 0);
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t family = pick(0, 1) ? 4 : 6;
		uint32_t len = make(family, pick(1400, 40000), packet), done = 0;
		uint64_t now = (uint64_t)round * SECOND;

		cut(packet, len, 1420, (uint32_t)round, &p);
		for (uint32_t i = p.n - 1; i > 0; i--) { /* shuffle, and one comes twice */
			static uint8_t t[1500];
			uint32_t k = pick(0, i), l = p.len[i];

			memcpy(t, p.data[i], sizeof(t));
			memcpy(p.data[i], p.data[k], sizeof(t));
			memcpy(p.data[k], t, sizeof(t));
			p.len[i] = p.len[k];
			p.len[k] = l;
		}
		for (uint32_t i = 0; i < p.n; i++) {
			done += fragment_add(f, now, p.data[i], p.len[i], &got, &got_len);
			CHECK(done == (i + 1 == p.n));
			if (i + 1 < p.n)
				CHECK(!fragment_add(f, now, p.data[i], p.len[i], &got,
						    &got_len));
		}
		CHECK(got_len == len);
		if (family == 4) { /* the header says no more that it must not be cut */
			put_be16(packet + 6, 0);
			put_be16(packet + 4, (uint16_t)round);
			put_be16(packet + 10, 0);
			put_be16(packet + 10, (uint16_t)~slow_sum(packet, 20));
		}
		CHECK(memcmp(got, packet, len) == 0);
	}
	CHECK(fragments_count(f)->completed == ROUNDS && fragments_count(f)->refused == 0);
	fragments_free(f);
}

/* RFC 5722 */
static void an_overlap_ends_the_packet(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0;

	CHECK(fragments_new(&f) == 0);
	for (uint8_t family = 4; family <= 6; family += 2) {
		uint32_t at = family == 4 ? 6 : 42;

		cut(packet, make(family, 4000, packet), 1420, 5, &p);
		CHECK(!fragment_add(f, 0, p.data[0], p.len[0], &got, &got_len));
		/* Eight octets earlier than it should be. */
		put_be16(p.data[1] + at,
			 (uint16_t)(get_be16(p.data[1] + at) - (family == 4 ? 1 : 8)));
		CHECK(!fragment_add(f, 0, p.data[1], p.len[1], &got, &got_len));
		CHECK(!fragment_add(f, 0, p.data[2], p.len[2], &got, &got_len));
	}
	CHECK(fragments_count(f)->refused == 2 && fragments_count(f)->completed == 0);
	fragments_free(f);
}

static void a_different_copy_of_a_piece_ends_the_packet(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0;

	CHECK(fragments_new(&f) == 0);
	cut(packet, make(4, 2000, packet), 1420, 5, &p);
	CHECK(!fragment_add(f, 0, p.data[0], p.len[0], &got, &got_len));
	p.data[0][100] ^= 1;
	CHECK(!fragment_add(f, 0, p.data[0], p.len[0], &got, &got_len));
	CHECK(!fragment_add(f, 0, p.data[1], p.len[1], &got, &got_len));
	CHECK(fragments_count(f)->refused == 1);
	fragments_free(f);
}

static void what_is_not_complete_after_thirty_seconds_is_gone(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0;

	CHECK(fragments_new(&f) == 0);
	cut(packet, make(6, 2000, packet), 1420, 5, &p);
	CHECK(!fragment_add(f, 0, p.data[0], p.len[0], &got, &got_len));
	CHECK(!fragment_add(f, 30 * SECOND, p.data[1], p.len[1], &got, &got_len));
	CHECK(fragments_count(f)->expired == 1);
	CHECK(!fragment_add(f, 31 * SECOND, p.data[1], p.len[1], &got, &got_len));
	CHECK(fragment_add(f, 32 * SECOND, p.data[0], p.len[0], &got, &got_len));
	fragments_free(f);
}

static void of_more_than_64_packets_the_oldest_goes(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0, len = make(4, 2000, packet);

	CHECK(fragments_new(&f) == 0);
	for (uint32_t id = 0; id < 65; id++) {
		cut(packet, len, 1420, id, &p);
		CHECK(!fragment_add(f, id, p.data[0], p.len[0], &got, &got_len));
	}
	CHECK(fragments_count(f)->expired == 1);
	for (uint32_t id = 1; id < 65; id++) {
		cut(packet, len, 1420, id, &p);
		CHECK(fragment_add(f, 100, p.data[1], p.len[1], &got, &got_len));
	}
	cut(packet, len, 1420, 0, &p);
	CHECK(!fragment_add(f, 100, p.data[1], p.len[1], &got, &got_len));
	fragments_free(f);
}

/* RFC 6946: it must not be mixed with others of its number. */
static void a_packet_in_one_piece_is_complete(void)
{
	static uint8_t packet[PACKET_MAX], piece[1500];
	struct fragment_cut c;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0, len = make(6, 100, packet);

	CHECK(fragments_new(&f) == 0);
	fragment_cut_begin(&c, packet, len, 1420, 9);
	CHECK(fragment_add(f, 0, piece, fragment_cut_next(&c, piece), &got, &got_len));
	CHECK(got_len == len && memcmp(got, packet, len) == 0);
	fragments_free(f);
}

static void refuses_pieces_that_end_beyond_64_kib_or_between_octets(void)
{
	static uint8_t packet[PACKET_MAX];
	static struct pieces p;
	struct fragments *f = NULL;
	uint8_t *got = NULL;
	uint32_t got_len = 0;

	CHECK(fragments_new(&f) == 0);
	cut(packet, make(4, 4000, packet), 1420, 5, &p);
	put_be16(p.data[1] + 6, 0x3fff);
	CHECK(!fragment_add(f, 0, p.data[1], p.len[1], &got, &got_len));
	put_be16(p.data[0] + 2, (uint16_t)(p.len[0] - 1));
	CHECK(!fragment_add(f, 0, p.data[0], p.len[0], &got, &got_len));
	CHECK(fragments_count(f)->refused == 2);
	fragments_free(f);
}

int main(void)
{
	const uint8_t seed[GENERATOR_SEED_LEN] = { 9 };

	generator_init(&draws, seed);
	RUN(pieces_fit_and_have_right_headers);
	RUN(what_was_cut_comes_back_in_any_order);
	RUN(an_overlap_ends_the_packet);
	RUN(a_different_copy_of_a_piece_ends_the_packet);
	RUN(what_is_not_complete_after_thirty_seconds_is_gone);
	RUN(of_more_than_64_packets_the_oldest_goes);
	RUN(a_packet_in_one_piece_is_complete);
	RUN(refuses_pieces_that_end_beyond_64_kib_or_between_octets);
	return DONE();
}
