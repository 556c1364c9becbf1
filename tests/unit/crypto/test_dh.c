/* SPDX-License-Identifier: Apache-2.0 */
/* X25519 against RFC 7748 and Project Wycheproof, and the keys a suite keeps ready. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../vectors/vectors.h"
#include "../test.h"
#include "crypto/suite.h"
#include "seeded.h"

static struct suite *suite;

static bool exchange_is(const char *private, const char *public, const char *shared)
{
	struct secret_key k;
	uint8_t pub[32], expected[32], out[32];

	vectors_hex(private, k.b, sizeof(k.b));
	vectors_hex(public, pub, sizeof(pub));
	vectors_hex(shared, expected, sizeof(expected));
	return dh(suite, out, &k, pub) && memcmp(out, expected, 32) == 0;
}

static bool public_is(const char *private, const char *public)
{
	struct secret_key k;
	uint8_t expected[32], out[32];

	vectors_hex(private, k.b, sizeof(k.b));
	vectors_hex(public, expected, sizeof(expected));
	dh_public(suite, out, &k);
	return memcmp(out, expected, 32) == 0;
}

static void computes_the_examples_of_rfc_7748(void)
{
	/* section 5.2 */
	CHECK(exchange_is("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
			  "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			  "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
	CHECK(exchange_is("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
			  "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			  "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"));
	/* section 6.1 */
	CHECK(public_is("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
	CHECK(public_is("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
	CHECK(exchange_is("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
			  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
			  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
}

static void iterates_a_thousand_times_as_rfc_7748_asks(void)
{
	struct secret_key k = { { 9 } };
	uint8_t u[32] = { 9 }, out[32], expected[32];

	for (int i = 1; i <= 1000; i++) {
		CHECK(dh(suite, out, &k, u));
		memcpy(u, k.b, sizeof(u));
		memcpy(k.b, out, sizeof(out));
		if (i == 1) {
			vectors_hex(
				"422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
				expected, sizeof(expected));
			CHECK(memcmp(k.b, expected, sizeof(expected)) == 0);
		}
	}
	vectors_hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
		    expected, sizeof(expected));
	CHECK(memcmp(k.b, expected, sizeof(expected)) == 0);
}

static bool wycheproof_case_holds(const struct vectors *v)
{
	struct secret_key k;
	uint8_t pub[32], shared[32], out[32];
	bool is_zero = strcmp(v->field[4], "yes") == 0;

	vectors_bytes(v, 1, k.b, sizeof(k.b));
	vectors_bytes(v, 2, pub, sizeof(pub));
	vectors_bytes(v, 3, shared, sizeof(shared));
	memset(out, 0xee, sizeof(out));
	return dh(suite, out, &k, pub) == !is_zero && memcmp(out, shared, sizeof(out)) == 0;
}

static void agrees_with_wycheproof_and_refuses_its_zero_shared_secrets(void)
{
	struct vectors v = { 0 };
	size_t refused = 0;

	if (vectors_open(&v, "wycheproof_x25519.txt")) {
		while (vectors_next(&v)) {
			CHECK(wycheproof_case_holds(&v));
			refused += strcmp(v.field[4], "yes") == 0;
		}
	}
	CHECK(v.cases == 518);
	CHECK(refused == 31);
}

static void refuses_points_of_low_order_and_zeroes_the_output(void)
{
	/* 0, 1, two points of order 8, p - 1, p, p + 1: all low-order encodings below 2^255 */
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct secret_key k;
	uint8_t pub[32], out[32];

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (int top_bit = 0; top_bit < 2; top_bit++) { /* which X25519 ignores */
			vectors_hex(points[i], pub, sizeof(pub));
			pub[31] |= (uint8_t)(top_bit << 7);
			seeded_fill(&k, sizeof(k));
			memset(out, 0xee, sizeof(out));
			CHECK(!dh(suite, out, &k, pub));
			CHECK(secret_is_zero(out, sizeof(out)));
		}
	}
}

static void the_public_key_is_the_exchange_with_the_base_point(void)
{
	static const uint8_t base_point[32] = { 9 };

	for (int i = 0; i < 200; i++) {
		struct secret_key k;
		uint8_t by_table[32], by_ladder[32];

		seeded_fill(&k, sizeof(k));
		if (i % 2)
			dh_clamp(&k);
		dh_public(suite, by_table, &k);
		CHECK(dh(suite, by_ladder, &k, base_point));
		CHECK(memcmp(by_table, by_ladder, 32) == 0);
	}
}

static void a_zero_key_has_a_zero_public_key(void)
{
	struct secret_key k = { { 0 } };
	uint8_t out[32] = { 1 };

	dh_public(suite, out, &k);
	CHECK(secret_is_zero(out, sizeof(out)));
}

static void clamps_as_rfc_7748_section_5_says(void)
{
	struct secret_key k;

	memset(&k, 0xff, sizeof(k));
	dh_clamp(&k);
	CHECK(k.b[0] == 0xf8 && k.b[1] == 0xff && k.b[31] == 0x7f);
	memset(&k, 0, sizeof(k));
	dh_clamp(&k);
	CHECK(k.b[0] == 0 && k.b[31] == 0x40);
}

/* A suite that has kept and forgotten other keys against one that is always new. */
static void keys_kept_ready_never_answer_for_another_key(void)
{
	struct secret_key keys[5];
	uint8_t pub[32], out[32], expected[5][32];

	seeded_fill(keys, sizeof(keys));
	seeded_fill(pub, sizeof(pub));
	pub[31] &= 127;
	for (size_t i = 0; i < 5; i++) {
		struct suite *fresh;

		keys[i].b[1] = 0; /* alike but for one octet each, where they can be */
		if (suite_new(SUITE_OPENSSL, &fresh) != 0) {
			CHECK(false);
			return;
		}
		CHECK(dh(fresh, expected[i], &keys[i], pub));
		suite_free(fresh);
	}
	for (int round = 0; round < 300; round++) {
		size_t i = seeded_next() % 5;

		CHECK(dh(suite, out, &keys[i], pub));
		CHECK(memcmp(out, expected[i], 32) == 0);
		if (seeded_next() % 3 == 0)
			dh_forget(suite, &keys[seeded_next() % 5]);
	}
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(computes_the_examples_of_rfc_7748);
	RUN(iterates_a_thousand_times_as_rfc_7748_asks);
	RUN(agrees_with_wycheproof_and_refuses_its_zero_shared_secrets);
	RUN(refuses_points_of_low_order_and_zeroes_the_output);
	RUN(the_public_key_is_the_exchange_with_the_base_point);
	RUN(a_zero_key_has_a_zero_public_key);
	RUN(clamps_as_rfc_7748_section_5_says);
	RUN(keys_kept_ready_never_answer_for_another_key);
	suite_free(suite);
	return DONE();
}
