/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of the agent contract, and what could be read in two ways. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "auth/agent_hmac.h"
#include "base/codec.h"

#define P "2S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk="

static const struct hmac_key key = { .id = "agent", .text = "s3cret", .len = 6 };
static const uint64_t now_s = 1700000000;

static struct agent_request request(const char *method, const char *target, const char *body)
{
	return (struct agent_request){ .method = method,
				       .target = target,
				       .body = body,
				       .body_len = strlen(body),
				       .timestamp = "1700000000",
				       .changes = strcmp(method, "GET") != 0 };
}

static struct replay_cache *fresh(void)
{
	struct replay_cache *c = NULL;

	if (replay_cache_new(300, 1000, &c) != 0)
		abort();
	return c;
}

static void vectors_are_accepted_once(void)
{
	static const struct {
		const char *method, *target, *body, *signature;
	} rows[] = {
		{ "GET", "/health", "",
		  "6f146d1526e223ce39a088c058264bc5f1be4fb31a210f48148cb2dc3f166fd6" },
		{ "GET", "/wg/wg0/dump", "",
		  "e3cc423b27933f3a49a412381d831d814624c81b3f6088c248f594655dcbabc9" },
		{ "GET", "/v1/wg/wg0/dump", "",
		  "0bbb52136d0a2b57234ddc2d701929cc1e4d38f7ece7009b2932a2ab8d315776" },
		{ "POST", "/v1/wg/wg0/peers",
		  "{\"public_key\": \"" P "\", \"allowed_ips\": [\"10.0.1.2/32\"],"
		  " \"persistent_keepalive\": 25}",
		  "5598f4b3fdf56bc2d1e95b4862f472c01abc23865ea3ffa8fab398796504e33e" },
		{ "PUT", "/v1/wg/wg0/peers/" P,
		  "{\"allowed_ips\": [\"10.0.1.2/32\", \"10.0.1.3/32\"],"
		  " \"persistent_keepalive\": 30}",
		  "fcc21666d847acbb2f12f8d53f443f571ff15f908ab665cd7d871ef198089514" },
		{ "DELETE", "/v1/wg/wg0/peers/" P, "",
		  "657526fcf326b41f03d0d0c11ba73c1cbf5ca034812a09f3bd212b74af198405" },
		{ "DELETE",
		  "/v1/wg/wg0/peers/2S7mA0vEMethCNQrJpJKE81%2FJmhgtB%2BtHHLYQhgM6kk%3D", "",
		  "48fb59f1c82fb4eb96505dac67f60d742a1b1ba7370d5cd6abb499d04d734ba5" },
		/* The path that came encoded, signed as it reads. */
		{ "DELETE",
		  "/v1/wg/wg0/peers/2S7mA0vEMethCNQrJpJKE81%2fJmhgtB%2btHHLYQhgM6kk%3d", "",
		  "657526fcf326b41f03d0d0c11ba73c1cbf5ca034812a09f3bd212b74af198405" },
	};
	struct hmac_use use;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct agent_request r = request(rows[i].method, rows[i].target, rows[i].body);
		struct replay_cache *c = fresh();

		r.signature = rows[i].signature;
		CHECK(agent_hmac_judge(&key, c, now_s, &r, &use) == HMAC_ACCEPTED);
		CHECK(agent_hmac_judge(&key, c, now_s, &r, &use) ==
		      (r.changes ? HMAC_REPLAY_DETECTED : HMAC_ACCEPTED));
		replay_cache_free(c);
	}
}

static void another_spelling_of_what_was_signed_is_a_repetition(void)
{
	static const char *const targets[] = { "/v1/wg/wg0/peers/a%2Fb",
					       "/v1/wg/wg0/peers/a%2fb", "/v1/wg/wg0/peers/a/b",
					       "/v1/wg/wg0/peers/a%2Fb?x" };
	struct replay_cache *c = fresh();
	struct hmac_use use;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct agent_request r = request("DELETE", targets[i], "");
		char text[2 * HMAC_LEN + 1];
		uint8_t mac[HMAC_LEN];

		agent_hmac_sign(&key, &r, "/v1/wg/wg0/peers/a/b", mac);
		key_to_hex(mac, text);
		r.signature = text;
		CHECK(agent_hmac_judge(&key, c, now_s, &r, &use) ==
		      (i == 0 ? HMAC_ACCEPTED : HMAC_REPLAY_DETECTED));
	}
	replay_cache_free(c);
}

/* @path: what is signed. */
static enum hmac_verdict judge_signed(struct agent_request *r, const char *path,
				      const char *tampered)
{
	static char text[2 * HMAC_LEN + 1];
	struct replay_cache *c = fresh();
	uint8_t signature[HMAC_LEN];
	struct hmac_use use;
	enum hmac_verdict v;

	agent_hmac_sign(&key, r, path, signature);
	hex_encode(signature, sizeof(signature), text);
	r->signature = text;
	if (tampered)
		r->target = tampered;
	v = agent_hmac_judge(&key, c, now_s, r, &use);
	replay_cache_free(c);
	return v;
}

static void the_query_may_be_signed_or_not(void)
{
	struct agent_request r = request("GET", "/v1/status?x=1", "");

	CHECK(judge_signed(&r, "/v1/status?x=1", NULL) == HMAC_ACCEPTED);
	CHECK(judge_signed(&r, "/v1/status", NULL) == HMAC_ACCEPTED);
	CHECK(judge_signed(&r, "/v1/status?x=2", NULL) == HMAC_INVALID_SIGNATURE);
}

static void what_could_be_another_request_is_refused(void)
{
	/* POST|/a|b|1700000000 is /a with the body "b", or the path "/a|b" without one. */
	struct agent_request r = request("POST", "/a", "b");

	CHECK(judge_signed(&r, "/a", NULL) == HMAC_ACCEPTED);
	r = request("POST", "/a|b", "");
	CHECK(judge_signed(&r, "/a|b", NULL) == HMAC_INVALID_SIGNATURE);
	r = request("POST", "/a%7Cb", "");
	CHECK(judge_signed(&r, "/a|b", NULL) == HMAC_INVALID_SIGNATURE);
	r = request("POST", "/a%00", "");
	CHECK(judge_signed(&r, "/a", NULL) == HMAC_INVALID_SIGNATURE);
	r = request("POST", "/a", "");
	r.nonce = "x|y";
	CHECK(judge_signed(&r, "/a", NULL) == HMAC_INVALID_SIGNATURE);
	r = request("POST", "/a", "");
	CHECK(judge_signed(&r, "/a", "/b") == HMAC_INVALID_SIGNATURE);
}

static void timestamps_have_a_window_and_digits(void)
{
	static const struct {
		const char *text;
		enum hmac_verdict v;
	} rows[] = {
		{ "1699999700", HMAC_ACCEPTED },
		{ "1700000300", HMAC_ACCEPTED },
		{ "1699999699", HMAC_TIMESTAMP_EXPIRED },
		{ "1700000301", HMAC_TIMESTAMP_EXPIRED },
		{ "+1700000000", HMAC_INVALID_TIMESTAMP },
		{ " 1700000000", HMAC_INVALID_TIMESTAMP },
		{ "1.7e9", HMAC_INVALID_TIMESTAMP },
		{ "9223372036854775808", HMAC_INVALID_TIMESTAMP },
		{ "", HMAC_INVALID_TIMESTAMP },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct agent_request r = request("GET", "/health", "");

		r.timestamp = rows[i].text;
		CHECK(judge_signed(&r, "/health", NULL) == rows[i].v);
	}
}

int main(void)
{
	RUN(vectors_are_accepted_once);
	RUN(another_spelling_of_what_was_signed_is_a_repetition);
	RUN(the_query_may_be_signed_or_not);
	RUN(what_could_be_another_request_is_refused);
	RUN(timestamps_have_a_window_and_digits);
	return DONE();
}
