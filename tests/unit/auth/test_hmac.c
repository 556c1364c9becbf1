/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of version 1: the gateway's wire contract. Vectors of version 2: computed with
 * Python's hmac and hashlib.
 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "auth/hmac.h"
#include "base/codec.h"

static const char P[] = "{\"public_key\":\"2S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk=\","
			"\"obfuscation_level\":\"off\"}";
static const uint64_t NOW = 1700000000;

static struct hmac_key key(void)
{
	struct hmac_key k = { .id = "gateway", .len = 64 };

	memset(k.text, 'k', 64);
	return k;
}

static struct replay_cache *cache(uint64_t window_s)
{
	struct replay_cache *c = NULL;

	if (replay_cache_new(window_s, 1000, &c) != 0)
		abort();
	return c;
}

static const char *signature_v1(const char *body, const char *nonce)
{
	static char text[2 * HMAC_LEN + 1];
	struct hmac_key k = key();
	uint8_t mac[HMAC_LEN];

	hmac_sign_v1(&k, "1700000000", nonce, body, strlen(body), mac);
	hex_encode(mac, sizeof(mac), text);
	return text;
}

static void version_1_signs_as_the_contract_says(void)
{
	static const struct {
		const char *body, *nonce, *signature;
	} vectors[] = {
		{ "", NULL,
		  "ab7e0ede06283d832a6a5b3f42dd9bff7bcdd84073cdd963d9a72197b529ee78" },
		{ "{\"status\": \"suspended\"}", NULL,
		  "68e290f2191ba7b4d9e9081c3335bc496d4e61a4cef4fbf84c5c3178dd6ecdc6" },
		{ "{\"status\":\"suspended\"}", NULL,
		  "86c42742c9bf780001f52d7794a88da51d1e6c65203789bb31e4f704d724cb20" },
		{ "{\"status\": \"active\"}", NULL,
		  "896edea60ae01d60c75b123d105947cc1edf46c7ac4708cb0880e6b78bbf0cd0" },
		{ "{\"service\": \"wg-manager\", \"action\": \"stop\"}", "",
		  "a62e2982986b8d567f0b00f8ad253437ad96e4e79c14003f3e1a2a90618c069e" },
		{ "{\"service\": \"whisper-node\", \"action\": \"start\"}", "n0",
		  "47c6cfe7f9b76dd557ac34d2701c87be843b31b6cdb5fbda199b8da649022e3b" },
		{ "{\"action\": \"wipe\", \"confirm\": true}", NULL,
		  "b4a0eda6808cc9a260fd6fb6e5529e514cb432e433a040a0b911b0d5aaf2a38f" },
		{ "{\"action\": \"wipe\", \"confirm\": true}", "n0",
		  "cfe1e0e2556e82322b380eefa27c13206493979bc665041423f9851c710da73f" },
		{ P, NULL, "61fa09985974a50d10f317296eebcd5b58ec0fe7e896a1b48c9ed86bbca97541" },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		CHECK(strcmp(signature_v1(vectors[i].body, vectors[i].nonce),
			     vectors[i].signature) == 0);
}

static void version_2_binds_method_and_target(void)
{
	struct hmac_key k = key();
	char text[2 * HMAC_LEN + 1];
	uint8_t mac[HMAC_LEN];

	hmac_sign_v2(&k, "GET", "/api/v1/peers?limit=10", "1700000000", "n0", NULL, 0, mac);
	hex_encode(mac, sizeof(mac), text);
	CHECK(strcmp(text,
		     "175f929e898957f22d5acb06a92c6bb10e791050c0e0107bd46241843d93c1e1") == 0);
	hmac_sign_v2(&k, "POST", "/api/v1/peers", "1700000000", "n1", "{\"name\":\"phone\"}",
		     16, mac);
	hex_encode(mac, sizeof(mac), text);
	CHECK(strcmp(text,
		     "cfef77e0078cbddcc64a49111f71eed64023d6c69b8cbb0fa0f41a20e2de4aa1") == 0);
}

/* --- Judging --- */

static struct hmac_request delete_request(void)
{
	return (struct hmac_request){
		.method = "DELETE",
		.target = "/api/v1/configurations/x",
		.signature = "ab7e0ede06283d832a6a5b3f42dd9bff7bcdd84073cdd963d9a72197b529ee78",
		.timestamp = "1700000000",
		.changes = true,
	};
}

static enum hmac_verdict judge(struct replay_cache *c, uint64_t now_s,
			       const struct hmac_request *r)
{
	struct hmac_key k = key();
	struct hmac_use use;

	return hmac_judge(&k, c, now_s, r, &use);
}

static void a_mutating_request_is_good_for_one_use(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = delete_request();

	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &r) == HMAC_REPLAY_DETECTED);
	CHECK(judge(c, NOW + 60, &r) == HMAC_REPLAY_DETECTED);
	CHECK(judge(c, NOW + 61, &r) == HMAC_TIMESTAMP_EXPIRED);
	CHECK(judge(c, NOW, &r) == HMAC_TIMESTAMP_EXPIRED); /* the clock was set back */

	/* Upper case is the same signature. */
	struct replay_cache *fresh = cache(60);
	struct hmac_request upper = r;

	upper.signature = "AB7E0EDE06283D832A6A5B3F42DD9BFF7BCDD84073CDD963D9A72197B529EE78";
	CHECK(judge(fresh, NOW, &r) == HMAC_ACCEPTED);
	CHECK(judge(fresh, NOW, &upper) == HMAC_REPLAY_DETECTED);
	replay_cache_free(fresh);
	replay_cache_free(c);
}

static void the_same_signature_may_serve_two_targets_and_repeated_gets(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = delete_request(), other = r, get = r;

	other.target = "/api/v1/configurations/y";
	get.method = "GET";
	get.changes = false;
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &other) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &get) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &get) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &r) == HMAC_REPLAY_DETECTED);
	replay_cache_free(c);
}

static void a_forgotten_request_may_come_again(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = delete_request();
	struct hmac_key k = key();
	struct hmac_use use;

	CHECK(hmac_judge(&k, c, NOW, &r, &use) == HMAC_ACCEPTED);
	CHECK(use.has_digest && use.signed_s == NOW);
	hmac_forget(c, &use);
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	replay_cache_free(c);
}

static void the_window_is_inclusive_on_both_sides(void)
{
	static const struct {
		uint64_t window_s, now_s;
		enum hmac_verdict verdict;
	} cases[] = {
		{ 60, NOW + 60, HMAC_ACCEPTED },
		{ 60, NOW - 60, HMAC_ACCEPTED },
		{ 60, NOW + 61, HMAC_TIMESTAMP_EXPIRED },
		{ 60, NOW - 61, HMAC_TIMESTAMP_EXPIRED },
		{ 300, NOW + 299, HMAC_ACCEPTED },
		{ 300, NOW - 299, HMAC_ACCEPTED },
		{ 300, NOW + 301, HMAC_TIMESTAMP_EXPIRED },
		{ 300, NOW - 301, HMAC_TIMESTAMP_EXPIRED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct replay_cache *c = cache(cases[i].window_s);
		struct hmac_request r = delete_request();

		CHECK(judge(c, cases[i].now_s, &r) == cases[i].verdict);
		replay_cache_free(c);
	}
}

static void refuses_timestamps_that_are_not_1_to_12_digits(void)
{
	static const char *const texts[] = { "",
					     "+1700000000",
					     "-1700000000",
					     " 1700000000",
					     "1700000000 ",
					     "1.7e9",
					     "0x6553f100",
					     "1700000000123",
					     "9223372036854775808",
					     "now",
					     "17000000\xd9\xa0" };
	struct replay_cache *c = cache(60);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct hmac_request r = delete_request();

		r.timestamp = texts[i];
		CHECK(judge(c, NOW, &r) == HMAC_INVALID_TIMESTAMP);
	}
	replay_cache_free(c);
}

static void refuses_every_changed_digit_of_a_signature(void)
{
	struct replay_cache *c = cache(60);
	char text[65];

	for (int i = 0; i < 64; i++) {
		struct hmac_request r = delete_request();

		memcpy(text, r.signature, sizeof(text));
		text[i] = text[i] == '0' ? '1' : '0';
		r.signature = text;
		CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	}

	static const char *const others[] = {
		"", "ab7e", "ab7e0ede06283d832a6a5b3f42dd9bff7bcdd84073cdd963d9a72197b529ee7",
		"ab7e0ede06283d832a6a5b3f42dd9bff7bcdd84073cdd963d9a72197b529ee780",
		"zz7e0ede06283d832a6a5b3f42dd9bff7bcdd84073cdd963d9a72197b529ee78"
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct hmac_request r = delete_request();

		r.signature = others[i];
		CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	}
	CHECK(replay_cache_count(c) == 0); /* nothing refused is remembered */
	replay_cache_free(c);
}

static void the_canonical_text_is_a_second_reading_of_the_same_body(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = {
		.method = "PUT",
		.target = "/t",
		.timestamp = "1700000000",
		.signed_body = "{\"status\":\"suspended\"}",
		.signed_body_len = 22,
		.canonical = "{\"status\": \"suspended\"}",
		.canonical_len = 23,
		.changes = true,
	};

	r.signature = "68e290f2191ba7b4d9e9081c3335bc496d4e61a4cef4fbf84c5c3178dd6ecdc6";
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	r.signature = "86c42742c9bf780001f52d7794a88da51d1e6c65203789bb31e4f704d724cb20";
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	r.signature = "896edea60ae01d60c75b123d105947cc1edf46c7ac4708cb0880e6b78bbf0cd0";
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	replay_cache_free(c);
}

static void version_1_reads_a_nonce_only_where_the_route_does(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = {
		.method = "POST",
		.target = "/admin/wipe",
		.timestamp = "1700000000",
		.nonce = "n0",
		.signed_body = "{\"action\": \"wipe\", \"confirm\": true}",
		.signed_body_len = 35,
		.reads_nonce = true,
		.changes = true,
	};

	r.signature = "cfe1e0e2556e82322b380eefa27c13206493979bc665041423f9851c710da73f";
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &r) == HMAC_REPLAY_DETECTED);
	r.target = "/admin/other"; /* the nonce is spent, whatever the target */
	CHECK(judge(c, NOW, &r) == HMAC_REPLAY_DETECTED);
	r.reads_nonce = false;
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r.signature = "b4a0eda6808cc9a260fd6fb6e5529e514cb432e433a040a0b911b0d5aaf2a38f";
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	r.reads_nonce = true;
	r.nonce = ""; /* counts as absent */
	r.target = "/admin/third";
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	replay_cache_free(c);
}

static struct hmac_request v2_request(void)
{
	return (struct hmac_request){
		.method = "POST",
		.target = "/api/v1/peers",
		.signature = "cfef77e0078cbddcc64a49111f71eed64023d6c69b8cbb0fa0f41a20e2de4aa1",
		.timestamp = "1700000000",
		.nonce = "n1",
		.body = "{\"name\":\"phone\"}",
		.body_len = 16,
		.is_v2 = true,
		.changes = true,
	};
}

static void version_2_refuses_whatever_was_changed(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = v2_request();

	r.method = "PUT";
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	r.target = "/api/v1/peers?";
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	r.nonce = "n2";
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	r.timestamp = "1700000001";
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	r.body = "{\"name\":\"phono\"}";
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	r.nonce = NULL;
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	r.is_v2 = false;
	r.signed_body = r.body;
	r.signed_body_len = r.body_len;
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	r = v2_request();
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	CHECK(judge(c, NOW, &r) == HMAC_REPLAY_DETECTED);
	replay_cache_free(c);
}

static void version_2_needs_a_nonce_even_if_the_signer_left_it_out(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = v2_request();
	struct hmac_key k = key();
	uint8_t mac[HMAC_LEN];
	char signature[65];

	hmac_sign_v2(&k, r.method, r.target, r.timestamp, "", r.body, r.body_len, mac);
	hex_encode(mac, sizeof(mac), signature);
	r.nonce = "";
	r.signature = signature;
	CHECK(judge(c, NOW, &r) == HMAC_INVALID_SIGNATURE);
	replay_cache_free(c);
}

static void a_nonce_has_a_bound(void)
{
	struct replay_cache *c = cache(60);
	struct hmac_request r = v2_request();
	char nonce[HMAC_NONCE_MAX + 2], signature[65];
	struct hmac_key k = key();
	uint8_t mac[HMAC_LEN];

	for (size_t len = HMAC_NONCE_MAX; len <= HMAC_NONCE_MAX + 1; len++) {
		memset(nonce, 'n', len);
		nonce[len] = '\0';
		hmac_sign_v2(&k, r.method, r.target, r.timestamp, nonce, r.body, r.body_len,
			     mac);
		hex_encode(mac, sizeof(mac), signature);
		r.nonce = nonce;
		r.signature = signature;
		CHECK(judge(c, NOW, &r) ==
		      (len <= HMAC_NONCE_MAX ? HMAC_ACCEPTED : HMAC_INVALID_SIGNATURE));
	}
	replay_cache_free(c);
}

static void a_full_cache_refuses_instead_of_forgetting(void)
{
	struct replay_cache *c = NULL;
	struct hmac_request r = delete_request();

	CHECK(replay_cache_new(60, 1, &c) == 0);
	CHECK(judge(c, NOW, &r) == HMAC_ACCEPTED);
	r.target = "/other";
	CHECK(judge(c, NOW, &r) == HMAC_CACHE_FULL);
	r.target = "/api/v1/configurations/x";
	CHECK(judge(c, NOW, &r) == HMAC_REPLAY_DETECTED);
	replay_cache_free(c);
}

int main(void)
{
	RUN(version_1_signs_as_the_contract_says);
	RUN(version_2_binds_method_and_target);
	RUN(a_mutating_request_is_good_for_one_use);
	RUN(the_same_signature_may_serve_two_targets_and_repeated_gets);
	RUN(a_forgotten_request_may_come_again);
	RUN(the_window_is_inclusive_on_both_sides);
	RUN(refuses_timestamps_that_are_not_1_to_12_digits);
	RUN(refuses_every_changed_digit_of_a_signature);
	RUN(the_canonical_text_is_a_second_reading_of_the_same_body);
	RUN(version_1_reads_a_nonce_only_where_the_route_does);
	RUN(version_2_refuses_whatever_was_changed);
	RUN(version_2_needs_a_nonce_even_if_the_signer_left_it_out);
	RUN(a_nonce_has_a_bound);
	RUN(a_full_cache_refuses_instead_of_forgetting);
	return DONE();
}
