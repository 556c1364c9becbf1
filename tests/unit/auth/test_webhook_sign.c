/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "auth/webhook_sign.h"
#include "base/err.h"

/* Published with the reference libraries of Standard Webhooks. */
static void signs_as_the_published_vector(void)
{
	static const char body[] = "{\"test\": 2432232314}";
	char signature[WEBHOOK_SIGNATURE_MAX];
	struct webhook_secret s;

	CHECK(webhook_secret_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &s) == 0);
	webhook_sign(&s, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body),
		     signature);
	CHECK(strcmp(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=") == 0);
}

static void a_secret_that_was_made_is_read_again(void)
{
	char text[WEBHOOK_SECRET_TEXT_MAX];
	struct webhook_secret made, read, other;

	webhook_secret_make(&made);
	webhook_secret_make(&other);
	webhook_secret_format(&made, text);
	CHECK(strncmp(text, "whsec_", 6) == 0);
	CHECK(webhook_secret_parse(text, &read) == 0);
	CHECK(read.len == made.len && memcmp(read.b, made.b, made.len) == 0);
	CHECK(memcmp(other.b, made.b, made.len) != 0);
}

static void the_longest_secret_fits_its_text(void)
{
	struct webhook_secret s = { .len = WEBHOOK_SECRET_MAX }, read;
	char text[WEBHOOK_SECRET_TEXT_MAX];

	memset(s.b, 0xff, sizeof(s.b));
	webhook_secret_format(&s, text);
	CHECK(strlen(text) == WEBHOOK_SECRET_TEXT_MAX - 1);
	CHECK(webhook_secret_parse(text, &read) == 0 && read.len == WEBHOOK_SECRET_MAX);
}

static void refuses_what_is_no_secret_and_leaves_the_output_alone(void)
{
	static const struct {
		const char *text;
		int err;
	} wrong[] = {
		{ "", ERR_FORMAT },
		{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ERR_FORMAT },
		{ "whsec_", ERR_RANGE },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ERR_RANGE }, /* 22 octets */
		{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", ERR_FORMAT },
		{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ", ERR_FORMAT },
		{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		  "AAAAAAAAAAAAAAAAAAAA",
		  ERR_RANGE },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct webhook_secret s = { .len = 7 };

		CHECK(webhook_secret_parse(wrong[i].text, &s) == wrong[i].err);
		CHECK(s.len == 7);
	}
}

int main(void)
{
	RUN(signs_as_the_published_vector);
	RUN(a_secret_that_was_made_is_read_again);
	RUN(the_longest_secret_fits_its_text);
	RUN(refuses_what_is_no_secret_and_leaves_the_output_alone);
	return DONE();
}
