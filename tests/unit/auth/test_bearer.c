/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "auth/bearer.h"
#include "base/codec.h"
#include "base/err.h"

static void a_key_is_read_as_it_was_written(void)
{
	struct bearer b = { .id = 4711, .secret = { 1, 2, 0xff } }, again = { .id = 0 };
	char text[BEARER_TEXT_MAX], value[BEARER_TEXT_MAX + 16];

	bearer_format(&b, text);
	CHECK(strncmp(text, "cvk_4711_0102ff00", 17) == 0 && strlen(text) == 9 + 64);
	snprintf(value, sizeof(value), "bearer  %s", text);
	CHECK(bearer_parse(value, &again) == 0 && again.id == 4711);
	CHECK(memcmp(again.secret, b.secret, sizeof(b.secret)) == 0);
}

static void what_is_no_key_is_refused(void)
{
	static const char *const values[] = {
		"",
		"Bearer",
		"Bearer ",
		"Basic cvk_1_0000000000000000000000000000000000000000000000000000000000000000",
		"Bearer cvk_1",
		"Bearer cvk_1_",
		"Bearer cvk__0000000000000000000000000000000000000000000000000000000000000000",
		"Bearer cvk_x_0000000000000000000000000000000000000000000000000000000000000000",
		"Bearer cvk_1_000000000000000000000000000000000000000000000000000000000000000",
		"Bearer cvk_1_00000000000000000000000000000000000000000000000000000000000000000",
		"Bearer cvk_1_g000000000000000000000000000000000000000000000000000000000000000",
		"Bearer cvk_99999999999999999999_"
		"0000000000000000000000000000000000000000000000000000000000000000",
	};
	struct bearer b;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		CHECK(bearer_parse(values[i], &b) == ERR_FORMAT);
}

/* sha256sum over 32 zero octets. */
static void its_digest_is_sha_256(void)
{
	static const char expected[] =
		"66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
	uint8_t secret[BEARER_SECRET_LEN] = { 0 }, digest[BEARER_DIGEST_LEN];
	char text[2 * BEARER_DIGEST_LEN + 1];

	bearer_digest(secret, digest);
	hex_encode(digest, sizeof(digest), text);
	CHECK(strcmp(text, expected) == 0);
	CHECK(bearer_matches(secret, digest));
	CHECK(!bearer_matches(secret, NULL));
	secret[31] = 1;
	CHECK(!bearer_matches(secret, digest));
}

int main(void)
{
	RUN(a_key_is_read_as_it_was_written);
	RUN(what_is_no_key_is_refused);
	RUN(its_digest_is_sha_256);
	return DONE();
}
