/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our handshake, octet for octet, against a second one.
 *
 * The published vector has another prologue than WireGuard and carries payloads, so our
 * code cannot run it. A naive implementation runs it (reference.h); and our code must
 * write what that one writes, for a thousand random handshakes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../vectors/vectors.h"
#include "../test.h"
#include "pair.h"
#include "reference.h"

static struct suite *suite;

/* The fields of noise_ikpsk2.txt in their order there. */
struct published {
	uint8_t prologue[64], psk[32], i_static[32], i_ephemeral[32];
	uint8_t r_static[32], r_ephemeral[32], r_public[32], hash[32];
	size_t prologue_len;
};

static bool read_published(struct vectors *v, struct published *p)
{
	uint8_t *const fields[] = { p->prologue, p->psk,	 p->i_static, p->i_ephemeral,
				    p->r_static, p->r_ephemeral, p->r_public, p->hash };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		size_t len;

		if (!vectors_next(v))
			return false;
		len = vectors_bytes(v, 1, fields[i], i ? 32 : sizeof(p->prologue));
		if (i == 0)
			p->prologue_len = len;
	}
	return true;
}

struct payload {
	uint8_t text[64], expected[256], got[256];
	size_t len, expected_len;
};

static bool read_payload(struct vectors *v, struct payload *m)
{
	if (!vectors_next(v))
		return false;
	m->len = vectors_bytes(v, 1, m->text, sizeof(m->text));
	m->expected_len = vectors_bytes(v, 2, m->expected, sizeof(m->expected));
	return true;
}

static void the_reference_passes_the_published_vector(void)
{
	struct vectors v = { 0 };
	struct published p;
	struct payload m;
	struct ref_handshake i, r;
	uint8_t text[64], keys[64];

	if (!vectors_open(&v, "noise_ikpsk2.txt") || !read_published(&v, &p)) {
		CHECK(false);
		return;
	}
	ref_start(&i, p.prologue, p.prologue_len, p.i_static, p.i_ephemeral, p.r_public, p.psk);
	ref_start(&r, p.prologue, p.prologue_len, p.r_static, p.r_ephemeral, NULL, p.psk);

	CHECK(read_payload(&v, &m) && m.expected_len == 96 + m.len);
	ref_write_1(&i, m.text, m.len, m.got);
	CHECK(memcmp(m.got, m.expected, m.expected_len) == 0);
	CHECK(ref_read_1(&r, m.expected, m.expected_len, text));
	CHECK(memcmp(text, m.text, m.len) == 0);

	CHECK(read_payload(&v, &m) && m.expected_len == 48 + m.len);
	ref_write_2(&r, m.text, m.len, m.got);
	CHECK(memcmp(m.got, m.expected, m.expected_len) == 0);
	CHECK(ref_read_2(&i, m.expected, m.expected_len, text));
	CHECK(memcmp(text, m.text, m.len) == 0);
	CHECK(memcmp(i.sym.h, p.hash, 32) == 0 && memcmp(r.sym.h, p.hash, 32) == 0);

	ref_split(&i, keys);
	for (uint64_t n = 0; n < 4; n++) { /* in turn, the initiator first */
		CHECK(read_payload(&v, &m) && m.expected_len == 16 + m.len);
		CHECK(ref_aead(true, keys + 32 * (n % 2), n / 2, NULL, 0, m.text, m.len,
			       m.got));
		CHECK(memcmp(m.got, m.expected, m.expected_len) == 0);
	}
	CHECK(!vectors_next(&v));
}

/* What both implementations are given for one handshake. */
struct inputs {
	struct pair pair;
	uint8_t i_random[32], r_random[32], time[NOISE_TIME_LEN];
	struct ref_handshake i, r;
};

static const char prologue[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

static void draw_inputs(struct inputs *in, bool with_psk)
{
	pair_meet(&in->pair, suite, with_psk);
	seeded_fill(in->i_random, 32);
	seeded_fill(in->r_random, 32);
	seeded_fill(in->time, sizeof(in->time));
	ref_start(&in->i, prologue, sizeof(prologue) - 1, in->pair.i_key.b, in->i_random,
		  in->pair.r.public_key, in->pair.i_sees_r.preshared_key.b);
	ref_start(&in->r, prologue, sizeof(prologue) - 1, in->pair.r_key.b, in->r_random, NULL,
		  in->pair.i_sees_r.preshared_key.b);
}

/* Our message must be the reference's message in ours' frame, and nothing else. */
static void compare_initiation(const struct msg_initiation *m, const uint8_t body[108])
{
	static const uint8_t no_macs[32];
	const uint8_t *b = (const uint8_t *)m;

	CHECK(memcmp(b, "\x01\0\0\0\x44\x33\x22\x11", 8) == 0);
	CHECK(memcmp(b + 8, body, 108) == 0);
	CHECK(memcmp(b + 116, no_macs, 32) == 0);
}

static void compare_response(const struct msg_response *m, const uint8_t body[48])
{
	static const uint8_t no_macs[32];
	const uint8_t *b = (const uint8_t *)m;

	CHECK(memcmp(b, "\x02\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11", 12) == 0);
	CHECK(memcmp(b + 12, body, 48) == 0);
	CHECK(memcmp(b + 60, no_macs, 32) == 0);
}

static void compare_keys(const struct ref_handshake *ref, const struct secret_key *from_i,
			 const struct secret_key *from_r)
{
	uint8_t keys[64];

	ref_split(ref, keys);
	CHECK(memcmp(from_i, keys, 32) == 0);
	CHECK(memcmp(from_r, keys + 32, 32) == 0);
}

static void our_initiator_against_the_reference(struct inputs *in)
{
	struct noise_handshake hs;
	struct msg_initiation m1;
	struct msg_response m2 = { 0 };
	struct noise_keys keys;
	uint8_t body1[108], body2[48], text[16];

	CHECK(pair_initiate(&in->pair, in->i_random, in->time, &hs, &m1) == 0);
	ref_write_1(&in->i, in->time, sizeof(in->time), body1);
	compare_initiation(&m1, body1);
	CHECK(ref_read_1(&in->r, m1.ephemeral, 108, text));
	CHECK(memcmp(text, in->time, sizeof(in->time)) == 0);
	CHECK(memcmp(in->r.rs, in->pair.i.public_key, 32) == 0);

	ref_write_2(&in->r, NULL, 0, body2);
	memcpy(m2.ephemeral, body2, sizeof(body2));
	CHECK(pair_accept(&in->pair, &hs, &m2, &keys) == 0);
	compare_keys(&in->r, &keys.send, &keys.receive);
}

static void our_responder_against_the_reference(struct inputs *in)
{
	struct msg_initiation m1 = { .sender = le32_from(I_INDEX) };
	struct msg_response m2;
	struct noise_keys keys;
	uint8_t body2[48], time[NOISE_TIME_LEN], nothing[1];

	ref_write_1(&in->i, in->time, sizeof(in->time), m1.ephemeral);
	CHECK(pair_answer(&in->pair, &m1, in->r_random, time, &m2, &keys) == 0);
	CHECK(memcmp(time, in->time, sizeof(time)) == 0);

	CHECK(ref_read_1(&in->r, m1.ephemeral, 108, time));
	ref_write_2(&in->r, NULL, 0, body2);
	compare_response(&m2, body2);
	CHECK(ref_read_2(&in->i, m2.ephemeral, 48, nothing));
	compare_keys(&in->i, &keys.receive, &keys.send);
}

static void a_thousand_handshakes_as_initiator_match_the_reference(void)
{
	for (int i = 0; i < 1000; i++) {
		struct inputs in;

		draw_inputs(&in, i % 2);
		our_initiator_against_the_reference(&in);
	}
}

static void a_thousand_handshakes_as_responder_match_the_reference(void)
{
	for (int i = 0; i < 1000; i++) {
		struct inputs in;

		draw_inputs(&in, i % 2);
		our_responder_against_the_reference(&in);
	}
}

static void both_back_ends_match_the_reference(void)
{
	struct suite *best = suite;
	struct inputs in;

	if (suite_new(SUITE_OPENSSL, &suite) == 0) {
		for (int i = 0; i < 20; i++) {
			draw_inputs(&in, i % 2);
			our_initiator_against_the_reference(&in);
			draw_inputs(&in, i % 2);
			our_responder_against_the_reference(&in);
		}
		suite_free(suite);
	} else {
		CHECK(false);
	}
	suite = best;
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(the_reference_passes_the_published_vector);
	RUN(a_thousand_handshakes_as_initiator_match_the_reference);
	RUN(a_thousand_handshakes_as_responder_match_the_reference);
	RUN(both_back_ends_match_the_reference);
	suite_free(suite);
	return DONE();
}
