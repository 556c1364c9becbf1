/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "crypto/secret.h"

static void wipes_exactly_the_octets_given(void)
{
	uint8_t b[34];

	memset(b, 0x5a, sizeof(b));
	secret_wipe(b + 1, 32);
	CHECK(b[0] == 0x5a && b[33] == 0x5a);
	CHECK(secret_is_zero(b + 1, 32));
	secret_wipe(NULL, 0);
}

static void sees_a_difference_in_any_bit(void)
{
	struct secret_key a, b;

	memset(&a, 0x33, sizeof(a));
	b = a;
	CHECK(secret_equal(&a, &b, sizeof(a)));
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
		b.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!secret_equal(&a, &b, sizeof(a)));
		b.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void sees_any_bit_that_is_not_zero(void)
{
	struct secret_key k = { { 0 } };

	CHECK(secret_is_zero(&k, sizeof(k)));
	for (size_t bit = 0; bit < 8 * sizeof(k); bit++) {
		k.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!secret_is_zero(&k, sizeof(k)));
		k.b[bit / 8] = 0;
	}
	memset(&k, 1, sizeof(k));
	secret_key_done(&k);
	CHECK(secret_is_zero(&k, sizeof(k)));
}

int main(void)
{
	RUN(wipes_exactly_the_octets_given);
	RUN(sees_a_difference_in_any_bit);
	RUN(sees_any_bit_that_is_not_zero);
	return DONE();
}
