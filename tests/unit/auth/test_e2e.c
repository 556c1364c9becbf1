/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of the gateway contract. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "auth/e2e.h"
#include "base/codec.h"
#include "base/err.h"

static struct suite *suite;

static const char eph_pub_text[] = "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=";
static const char request_text[] = "{\"obfuscation_level\": \"off\"}";
static const char request_blob[] =
	"AAECAwQFBgcICQoLv76EEYNE1zuVJ6anbn+1YVNZEZiScdNjkjYiLf+E+DBLzKYm"
	"1dT8qMbSWtQ=";
static const char reply_text[] =
	"{\"status\": \"created\", \"assigned_ip\": \"10.5.30.2\", \"server_public_key\":"
	" \"2S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk=\", \"port\": 51820,"
	" \"obfuscation_level\": \"off\"}";
static const char reply_blob[] =
	"DA0ODxAREhMUFRYXI3xwMmTIpTyIWBanUzU4UDIBwq7SH43pj+pySp7InZn/lD8eKYazMpJkFDj746kABspS8fAd"
	"n+McrBfJ5wjdK6PPytlTbS3OjRXw+uHeThIH7tZkGEHWfe99FW8hqyEVC9jTflyGkzcm+TqW0BpskdF3JrsVoqUH"
	"wf/JORRYxvFXiiKy/XrrjW1T6G823DFwv7ypGRhv4x0xzmLHo2x7AhSwfO3Vc2CRC3gXeEYyA8Nq";

static struct e2e start(void)
{
	struct secret_key own;
	uint8_t eph_pub[32];
	struct e2e e;

	memset(own.b, 0x11, sizeof(own.b));
	CHECK(key_from_base64(eph_pub_text, strlen(eph_pub_text), eph_pub) == 0);
	CHECK(e2e_init(suite, &own, eph_pub, &e) == 0);
	return e;
}

static void keys_are_those_of_the_contract(void)
{
	struct e2e e = start();
	char text[65];

	hex_encode(e.request.b, 32, text);
	CHECK(strcmp(text,
		     "bf7167d413f17e1b3c994d71eec45d30efbd6253c79d4e98e015f63571763eef") == 0);
	hex_encode(e.reply.b, 32, text);
	CHECK(strcmp(text,
		     "14019a41f7ef16365585cf7e4d1a34563f09fddef5f15ebdebd24e556744725c") == 0);
}

static void a_request_is_opened_and_a_touched_one_is_not(void)
{
	struct e2e e = start();
	uint8_t blob[256], out[256];
	long len = base64_decode(request_blob, strlen(request_blob), blob, sizeof(blob));

	CHECK(len == (long)strlen(request_text) + E2E_OVERHEAD);
	CHECK(e2e_open(&e.request, blob, (size_t)len, out) == 0);
	CHECK(memcmp(out, request_text, strlen(request_text)) == 0);
	CHECK(e2e_open(&e.reply, blob, (size_t)len, out) == ERR_AUTH);
	for (long i = 0; i < len; i++) {
		blob[i] ^= 1;
		CHECK(e2e_open(&e.request, blob, (size_t)len, out) == ERR_AUTH);
		blob[i] ^= 1;
	}
	for (size_t n = 0; n < E2E_OVERHEAD; n++)
		CHECK(e2e_open(&e.request, blob, n, out) == ERR_AUTH);
}

static void a_reply_is_sealed_as_the_contract_says(void)
{
	static const uint8_t nonce[E2E_NONCE_LEN] = { 12, 13, 14, 15, 16, 17,
						      18, 19, 20, 21, 22, 23 };
	struct e2e e = start();
	size_t len = strlen(reply_text);
	uint8_t sealed[512];
	char text[1024];

	e2e_close(&e.reply, nonce, (const uint8_t *)reply_text, len, sealed);
	base64_encode(sealed, len + E2E_OVERHEAD, text);
	CHECK(strcmp(text, reply_blob) == 0);
}

static void a_shared_secret_of_zero_is_refused(void)
{
	struct secret_key own = { .b = { 9 } };
	uint8_t zero[32] = { 0 };
	struct e2e e;

	CHECK(e2e_init(suite, &own, zero, &e) == ERR_KEY);
}

int main(void)
{
	if (suite_new(SUITE_OPENSSL, &suite) != 0)
		abort();
	RUN(keys_are_those_of_the_contract);
	RUN(a_request_is_opened_and_a_touched_one_is_not);
	RUN(a_reply_is_sealed_as_the_contract_says);
	RUN(a_shared_secret_of_zero_is_refused);
	suite_free(suite);
	return DONE();
}
