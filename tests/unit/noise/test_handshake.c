/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake from both ends, and what each end does when the other lies. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../vectors/vectors.h"
#include "../test.h"
#include "pair.h"

static struct suite *suite;

/* A handshake up to the response: what most tests start from. */
struct attempt {
	struct pair pair;
	uint8_t i_random[32], r_random[32], time[NOISE_TIME_LEN], read_time[NOISE_TIME_LEN];
	struct noise_handshake hs;
	struct msg_initiation m1;
	struct msg_response m2;
	struct noise_keys i_keys, r_keys;
};

static void attempt_init(struct attempt *a, bool with_psk)
{
	memset(a, 0, sizeof(*a));
	pair_meet(&a->pair, suite, with_psk);
	seeded_fill(a->i_random, sizeof(a->i_random));
	seeded_fill(a->r_random, sizeof(a->r_random));
	seeded_fill(a->time, sizeof(a->time));
}

static int send_initiation(struct attempt *a)
{
	return pair_initiate(&a->pair, a->i_random, a->time, &a->hs, &a->m1);
}

static int send_response(struct attempt *a)
{
	return pair_answer(&a->pair, &a->m1, a->r_random, a->read_time, &a->m2, &a->r_keys);
}

static int take_response(struct attempt *a)
{
	return pair_accept(&a->pair, &a->hs, &a->m2, &a->i_keys);
}

static bool keys_agree(const struct attempt *a)
{
	return secret_equal(&a->i_keys.send, &a->r_keys.receive, SECRET_KEY_LEN) &&
	       secret_equal(&a->i_keys.receive, &a->r_keys.send, SECRET_KEY_LEN) &&
	       !secret_equal(&a->i_keys.send, &a->i_keys.receive, SECRET_KEY_LEN);
}

static void both_ends_derive_the_same_two_keys(void)
{
	for (int with_psk = 0; with_psk < 2; with_psk++) {
		struct attempt a;

		attempt_init(&a, with_psk);
		CHECK(send_initiation(&a) == 0);
		CHECK(send_response(&a) == 0);
		CHECK(take_response(&a) == 0);
		CHECK(keys_agree(&a));
		CHECK(memcmp(a.read_time, a.time, sizeof(a.time)) == 0);
	}
}

static void forged_initiations_are_refused_whatever_octet_is_changed(void)
{
	struct attempt a;

	attempt_init(&a, true);
	CHECK(send_initiation(&a) == 0);
	for (size_t bit = 8 * 8; bit < 8 * 116; bit++) {
		((uint8_t *)&a.m1)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* X25519 ignores the top bit of a key, but the transcript does not. */
		CHECK(send_response(&a) == ERR_AUTH);
		((uint8_t *)&a.m1)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(send_response(&a) == 0);
}

static void a_refused_finish_leaves_handshake_and_time_as_they_were(void)
{
	struct attempt a;
	struct noise_handshake hs, before;
	uint8_t time[NOISE_TIME_LEN] = { 7 };

	attempt_init(&a, false);
	CHECK(send_initiation(&a) == 0);
	a.m1.sealed_time[3] ^= 1;
	CHECK(noise_initiation_open(suite, &a.pair.r, &a.m1, &hs) == 0);
	before = hs;
	CHECK(noise_initiation_finish(suite, &a.pair.r, &a.pair.r_sees_i, &a.m1, &hs, time) ==
	      ERR_AUTH);
	CHECK(memcmp(&hs, &before, sizeof(hs)) == 0);
	CHECK(time[0] == 7);
}

/* Right index, wrong content: an attacker who cannot read us must not stop us (W32). */
static void a_thousand_forged_responses_leave_the_pending_handshake_alone(void)
{
	struct attempt a;
	struct noise_handshake before;
	struct noise_keys untouched;
	struct msg_response good;

	attempt_init(&a, true);
	CHECK(send_initiation(&a) == 0);
	CHECK(send_response(&a) == 0);
	good = a.m2;
	before = a.hs;
	memset(&a.i_keys, 0x77, sizeof(a.i_keys));
	untouched = a.i_keys;
	for (int i = 0; i < 1000; i++) {
		size_t bit = seeded_next() % (8 * (NOISE_KEY_LEN + NOISE_TAG_LEN));

		a.m2 = good;
		if (i % 2)
			((uint8_t *)&a.m2)[12 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		else
			seeded_fill((uint8_t *)&a.m2 + 12, NOISE_KEY_LEN + NOISE_TAG_LEN);
		CHECK(take_response(&a) == ERR_AUTH);
		CHECK(memcmp(&a.hs, &before, sizeof(before)) == 0);
		CHECK(memcmp(&a.i_keys, &untouched, sizeof(untouched)) == 0);
	}
	a.m2 = good;
	CHECK(take_response(&a) == 0);
	CHECK(keys_agree(&a));
}

static void a_wrong_preshared_key_is_noticed_by_the_initiator(void)
{
	struct attempt a;

	attempt_init(&a, true);
	a.pair.r_sees_i.preshared_key.b[31] ^= 1;
	CHECK(send_initiation(&a) == 0);
	CHECK(send_response(&a) == 0);
	CHECK(take_response(&a) == ERR_AUTH);
}

static void a_preshared_key_changed_on_both_sides_reaches_the_pending_handshake(void)
{
	struct attempt a;

	attempt_init(&a, false);
	CHECK(send_initiation(&a) == 0);
	seeded_fill(&a.pair.i_sees_r.preshared_key, SECRET_KEY_LEN);
	a.pair.r_sees_i.preshared_key = a.pair.i_sees_r.preshared_key;
	CHECK(send_response(&a) == 0);
	CHECK(take_response(&a) == 0);
	CHECK(keys_agree(&a));
}

static void an_initiation_for_another_host_is_refused(void)
{
	struct attempt a, b;

	attempt_init(&a, false);
	attempt_init(&b, false);
	CHECK(send_initiation(&a) == 0);
	b.m1 = a.m1;
	CHECK(send_response(&b) == ERR_AUTH);
}

static void a_host_without_a_key_neither_asks_nor_answers(void)
{
	struct attempt a;
	struct secret_key none = { { 0 } };

	attempt_init(&a, false);
	CHECK(send_initiation(&a) == 0);
	noise_identity_init(&a.pair.i, suite, &none);
	noise_identity_init(&a.pair.r, suite, &none);
	CHECK(secret_is_zero(a.pair.i.public_key, NOISE_KEY_LEN));
	CHECK(send_response(&a) == ERR_KEY);
	a.pair.i_sees_r.is_prepared = false; /* as after every change of key */
	CHECK(send_initiation(&a) == ERR_KEY);
	CHECK(!noise_remote_prepare(&a.pair.i_sees_r, suite, &a.pair.i));
	CHECK(!a.pair.i_sees_r.is_unusable && !a.pair.i_sees_r.is_prepared);
}

/* The seven points the kernel's self-test uses, and every zero result of Wycheproof (W36). */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void refuse_everywhere(const uint8_t point[NOISE_KEY_LEN])
{
	struct attempt a;

	/* as a peer's static key: nothing to send, nothing to finish */
	attempt_init(&a, false);
	memcpy(a.pair.i_sees_r.public_key, point, NOISE_KEY_LEN);
	CHECK(send_initiation(&a) == ERR_KEY);
	CHECK(a.pair.i_sees_r.is_unusable);
	CHECK(!noise_remote_prepare(&a.pair.i_sees_r, suite, &a.pair.i));

	/* as an ephemeral key, in either message */
	attempt_init(&a, false);
	CHECK(send_initiation(&a) == 0);
	CHECK(send_response(&a) == 0);
	memcpy(a.m1.ephemeral, point, NOISE_KEY_LEN);
	memcpy(a.m2.ephemeral, point, NOISE_KEY_LEN);
	CHECK(take_response(&a) == ERR_AUTH);
	CHECK(send_response(&a) == ERR_AUTH);
}

static void low_order_keys_are_refused_as_peer_and_as_ephemeral(void)
{
	struct vectors v = { 0 };
	uint8_t point[NOISE_KEY_LEN];
	size_t points = 0;

	for (size_t i = 0; i < sizeof(low_order) / sizeof(low_order[0]); i++) {
		vectors_hex(low_order[i], point, sizeof(point));
		refuse_everywhere(point);
	}
	if (vectors_open(&v, "wycheproof_x25519.txt")) {
		while (vectors_next(&v)) {
			if (strcmp(v.field[4], "yes") != 0)
				continue;
			vectors_bytes(&v, 2, point, sizeof(point));
			refuse_everywhere(point);
			points++;
		}
	}
	CHECK(points == 31);
}

/* Preparing a peer refuses such a key already; the response has a check of its own. */
static void a_response_is_not_made_for_a_low_order_peer(void)
{
	struct attempt a;
	struct noise_handshake hs;

	attempt_init(&a, false);
	CHECK(send_initiation(&a) == 0);
	CHECK(noise_initiation_open(suite, &a.pair.r, &a.m1, &hs) == 0);
	CHECK(noise_initiation_finish(suite, &a.pair.r, &a.pair.r_sees_i, &a.m1, &hs,
				      a.read_time) == 0);
	vectors_hex(low_order[2], a.pair.r_sees_i.public_key, NOISE_KEY_LEN);
	CHECK(noise_response_create(suite, &hs, &a.pair.r_sees_i, MESSAGE_RESPONSE, R_INDEX,
				    I_INDEX, a.r_random, &a.m2, &a.r_keys) == ERR_KEY);
	CHECK(secret_is_zero(&hs, sizeof(hs)));
}

static void secrets_are_gone_when_a_handshake_is_done(void)
{
	struct attempt a;
	struct noise_handshake hs;

	attempt_init(&a, true);
	CHECK(send_initiation(&a) == 0);
	CHECK(noise_initiation_open(suite, &a.pair.r, &a.m1, &hs) == 0);
	CHECK(noise_initiation_finish(suite, &a.pair.r, &a.pair.r_sees_i, &a.m1, &hs,
				      a.read_time) == 0);
	CHECK(noise_response_create(suite, &hs, &a.pair.r_sees_i, MESSAGE_RESPONSE, R_INDEX,
				    I_INDEX, a.r_random, &a.m2, &a.r_keys) == 0);
	CHECK(secret_is_zero(&hs, sizeof(hs))); /* wiped by the call */

	noise_handshake_done(&a.hs);
	noise_keys_done(&a.r_keys);
	noise_identity_done(&a.pair.i);
	noise_remote_done(&a.pair.i_sees_r);
	CHECK(secret_is_zero(&a.hs, sizeof(a.hs)));
	CHECK(secret_is_zero(&a.r_keys, sizeof(a.r_keys)));
	CHECK(secret_is_zero(&a.pair.i, sizeof(a.pair.i)));
	CHECK(secret_is_zero(&a.pair.i_sees_r, sizeof(a.pair.i_sees_r)));
}

static void a_private_key_is_clamped_on_the_way_in(void)
{
	struct noise_identity id, same;
	struct secret_key k;

	memset(&k, 0xff, sizeof(k));
	noise_identity_init(&id, suite, &k);
	CHECK(id.private_key.b[0] == 0xf8 && id.private_key.b[31] == 0x7f);
	noise_identity_init(&same, suite, &id.private_key);
	CHECK(memcmp(&id, &same, sizeof(id)) == 0);
}

static void the_type_word_is_the_callers(void)
{
	struct attempt a;

	attempt_init(&a, false);
	CHECK(noise_initiation_create(suite, &a.pair.i, &a.pair.i_sees_r, UINT32_C(0xa1b2c3d4),
				      I_INDEX, a.i_random, a.time, &a.hs, &a.m1) == 0);
	CHECK(le32_value(a.m1.type) == UINT32_C(0xa1b2c3d4));
	CHECK(send_response(&a) == 0); /* outside the transcript */
	CHECK(take_response(&a) == 0);
}

static void time_labels_are_tai64n_with_the_low_bits_cleared(void)
{
	uint8_t label[NOISE_TIME_LEN], later[NOISE_TIME_LEN], expected[NOISE_TIME_LEN];

	noise_time(label, 0);
	vectors_hex("400000000000000a00000000", expected, sizeof(expected));
	CHECK(memcmp(label, expected, sizeof(label)) == 0);

	/* 2023-11-14T22:13:20.999999999Z: 0x3b9ac9ff ns, of which 0x3b000000 remain */
	noise_time(label, UINT64_C(1700000000999999999));
	vectors_hex("400000006553f10a3b000000", expected, sizeof(expected));
	CHECK(memcmp(label, expected, sizeof(label)) == 0);

	noise_time(label, UINT64_C(1700000000000000000));
	noise_time(later, UINT64_C(1700000000016777215));
	CHECK(memcmp(label, later, sizeof(label)) == 0);
	noise_time(later, UINT64_C(1700000000016777216));
	CHECK(memcmp(label, later, sizeof(label)) < 0);
}

static void time_labels_never_go_back(void)
{
	uint8_t before[NOISE_TIME_LEN] = { 0 }, label[NOISE_TIME_LEN];
	uint64_t ns = UINT64_C(1699999999900000000);

	for (int i = 0; i < 100000; i++) {
		ns += seeded_next() % 30000;
		noise_time(label, ns);
		CHECK(memcmp(before, label, sizeof(label)) <= 0);
		memcpy(before, label, sizeof(label));
	}
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(both_ends_derive_the_same_two_keys);
	RUN(forged_initiations_are_refused_whatever_octet_is_changed);
	RUN(a_refused_finish_leaves_handshake_and_time_as_they_were);
	RUN(a_thousand_forged_responses_leave_the_pending_handshake_alone);
	RUN(a_wrong_preshared_key_is_noticed_by_the_initiator);
	RUN(a_preshared_key_changed_on_both_sides_reaches_the_pending_handshake);
	RUN(an_initiation_for_another_host_is_refused);
	RUN(a_host_without_a_key_neither_asks_nor_answers);
	RUN(low_order_keys_are_refused_as_peer_and_as_ephemeral);
	RUN(a_response_is_not_made_for_a_low_order_peer);
	RUN(secrets_are_gone_when_a_handshake_is_done);
	RUN(a_private_key_is_clamped_on_the_way_in);
	RUN(the_type_word_is_the_callers);
	RUN(time_labels_are_tai64n_with_the_low_bits_cleared);
	RUN(time_labels_never_go_back);
	suite_free(suite);
	return DONE();
}
