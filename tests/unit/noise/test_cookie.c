/* SPDX-License-Identifier: Apache-2.0 */
/* MAC1, MAC2 and cookies: the values first, then who gets what for how long. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../crypto/seeded.h"
#include "../test.h"
#include "noise/cookie.h"

static struct suite *suite;

static const uint64_t second_ns = UINT64_C(1000000000);

/* A responder that issues cookies, an initiator that keeps them, one message. */
struct scene {
	uint8_t public_key[NOISE_KEY_LEN];
	struct cookie_checker checker;
	struct cookie_maker maker;
	struct endpoint source;
	struct msg_initiation message;
	struct msg_cookie reply;
	uint8_t nonce[24];
};

static struct endpoint v4(uint8_t last, uint16_t port)
{
	return (struct endpoint){ .ip = { ADDR_V4, { 192, 0, 2, last } }, .port = port };
}

static void scene_init(struct scene *s)
{
	uint8_t random[32];

	memset(s, 0, sizeof(*s));
	seeded_fill(s->public_key, sizeof(s->public_key));
	seeded_fill(&s->message, sizeof(s->message));
	seeded_fill(s->nonce, sizeof(s->nonce));
	seeded_fill(random, sizeof(random));
	cookie_checker_init(&s->checker, suite, s->public_key);
	CHECK(cookie_checker_turn(&s->checker, 0, random));
	s->source = v4(7, 51820);
}

static void sign(struct scene *s, uint64_t now_ns)
{
	cookie_sign(&s->maker, suite, s->public_key, now_ns, &s->message, sizeof(s->message));
}

static void reply(struct scene *s)
{
	seeded_fill(s->nonce, sizeof(s->nonce));
	cookie_reply_create(&s->checker, suite, MESSAGE_COOKIE, &s->message, sizeof(s->message),
			    &s->source, s->nonce, &s->reply);
}

static bool consume(struct scene *s, uint64_t now_ns)
{
	return cookie_consume(&s->maker, suite, s->public_key, now_ns, &s->reply);
}

static bool mac1_is_valid(const struct scene *s)
{
	return cookie_mac1_is_valid(&s->checker, suite, &s->message, sizeof(s->message));
}

static bool mac2_is_valid_from(const struct scene *s, const struct endpoint *source)
{
	return cookie_mac2_is_valid(&s->checker, suite, &s->message, sizeof(s->message),
				    source);
}

static bool mac2_is_valid(const struct scene *s)
{
	return mac2_is_valid_from(s, &s->source);
}

/* Sign, be asked for a cookie, take it at @now_ns: the usual beginning. */
static void obtain_cookie(struct scene *s, uint64_t now_ns)
{
	sign(s, now_ns);
	reply(s);
	CHECK(consume(s, now_ns));
}

static void mac1_is_the_macs_definition_spelled_out(void)
{
	struct scene s;
	uint8_t key[HASH_LEN], mac[MAC_LEN];

	scene_init(&s);
	sign(&s, 0);
	hash_parts(suite, key,
		   (struct hash_part[]){ { "mac1----", 8 }, { s.public_key, NOISE_KEY_LEN } },
		   2);
	mac_parts(suite, mac, key, sizeof(key), &(struct hash_part){ &s.message, 116 }, 1);
	CHECK(memcmp(mac, s.message.mac1, MAC_LEN) == 0);
	CHECK(secret_is_zero(s.message.mac2, MAC_LEN)); /* no cookie, no MAC2 */
}

static void mac2_is_the_mac_under_the_cookie_with_mac1_inside(void)
{
	struct scene s;
	uint8_t mac[MAC_LEN];

	scene_init(&s);
	obtain_cookie(&s, 0);
	sign(&s, 0);
	mac_parts(suite, mac, s.maker.cookie, NOISE_COOKIE_LEN,
		  &(struct hash_part){ &s.message, 132 }, 1);
	CHECK(memcmp(mac, s.message.mac2, MAC_LEN) == 0);
}

static void the_cookie_is_the_mac_of_address_and_port(void)
{
	struct scene s;
	uint8_t mac[MAC_LEN];
	const uint8_t text[6] = { 192, 0, 2, 7, 51820 >> 8, 51820 & 0xff };

	scene_init(&s);
	obtain_cookie(&s, 0);
	mac_parts(suite, mac, &s.checker.secret, 32, &(struct hash_part){ text, 6 }, 1);
	CHECK(memcmp(mac, s.maker.cookie, MAC_LEN) == 0);
}

static void mac1_fails_when_any_covered_bit_changes(void)
{
	struct scene s;
	uint8_t *m = (uint8_t *)&s.message;

	scene_init(&s);
	sign(&s, 0);
	CHECK(mac1_is_valid(&s));
	for (size_t bit = 0; bit < 8 * 132; bit++) {
		m[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!mac1_is_valid(&s));
		m[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	m[132] ^= 1; /* mac2 is not covered */
	CHECK(mac1_is_valid(&s));
}

static void mac1_of_another_host_is_refused(void)
{
	struct scene s;
	uint8_t other[NOISE_KEY_LEN];

	scene_init(&s);
	seeded_fill(other, sizeof(other));
	cookie_sign(&s.maker, suite, other, 0, &s.message, sizeof(s.message));
	CHECK(!mac1_is_valid(&s));
}

static void messages_too_short_for_macs_are_refused(void)
{
	struct scene s;

	scene_init(&s);
	for (size_t len = 0; len < 40; len++) {
		CHECK(!cookie_mac1_is_valid(&s.checker, suite, &s.message, len));
		CHECK(!cookie_mac2_is_valid(&s.checker, suite, &s.message, len, &s.source));
	}
}

static void responses_are_signed_and_checked_like_initiations(void)
{
	struct scene s;
	struct msg_response m;

	scene_init(&s);
	seeded_fill(&m, sizeof(m));
	cookie_sign(&s.maker, suite, s.public_key, 0, &m, sizeof(m));
	CHECK(cookie_mac1_is_valid(&s.checker, suite, &m, sizeof(m)));
	cookie_reply_create(&s.checker, suite, MESSAGE_COOKIE, &m, sizeof(m), &s.source,
			    s.nonce, &s.reply);
	CHECK(consume(&s, 0));
	cookie_sign(&s.maker, suite, s.public_key, 0, &m, sizeof(m));
	CHECK(cookie_mac2_is_valid(&s.checker, suite, &m, sizeof(m), &s.source));
}

static void a_reply_goes_back_to_the_senders_index(void)
{
	struct scene s;

	scene_init(&s);
	s.message.sender = le32_from(0xcafe1234);
	sign(&s, 0);
	reply(&s);
	CHECK(le32_value(s.reply.receiver) == 0xcafe1234);
	CHECK(le32_value(s.reply.type) == MESSAGE_COOKIE);
	CHECK(memcmp(s.reply.nonce, s.nonce, sizeof(s.nonce)) == 0);
}

/* W31: clients behind one NAT must not share a cookie. */
static void a_cookie_is_bound_to_address_and_port(void)
{
	struct scene s;
	struct endpoint other_port = v4(7, 51821), other_address = v4(8, 51820);
	struct endpoint v6 = { .ip = { ADDR_V6, { 192, 0, 2, 7 } }, .port = 51820 };

	scene_init(&s);
	obtain_cookie(&s, 0);
	sign(&s, 0);
	CHECK(mac2_is_valid(&s));
	CHECK(!mac2_is_valid_from(&s, &other_port));
	CHECK(!mac2_is_valid_from(&s, &other_address));
	CHECK(!mac2_is_valid_from(&s, &v6));
}

static void a_cookie_is_bound_to_all_of_an_ipv6_address(void)
{
	struct scene s;

	scene_init(&s);
	s.source = (struct endpoint){ .ip = { ADDR_V6, { 0x20, 0x01, 0xd, 0xb8 } }, .port = 1 };
	obtain_cookie(&s, 0);
	sign(&s, 0);
	CHECK(mac2_is_valid(&s));
	for (size_t i = 0; i < 16; i++) {
		s.source.ip.b[i] ^= 1;
		CHECK(!mac2_is_valid(&s));
		s.source.ip.b[i] ^= 1;
	}
}

static void our_own_side_of_the_path_does_not_enter_the_cookie(void)
{
	struct scene s;
	struct endpoint seen;

	scene_init(&s);
	obtain_cookie(&s, 0);
	sign(&s, 0);
	seen = s.source;
	seen.local = (struct ip_addr){ ADDR_V4, { 10, 0, 0, 1 } };
	seen.local_if = 3;
	CHECK(mac2_is_valid_from(&s, &seen));
}

static void mac2_fails_when_any_covered_bit_changes(void)
{
	struct scene s;
	uint8_t *m = (uint8_t *)&s.message;

	scene_init(&s);
	obtain_cookie(&s, 0);
	sign(&s, 0);
	for (size_t bit = 0; bit < 8 * sizeof(s.message); bit++) {
		m[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!mac2_is_valid(&s));
		m[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(mac2_is_valid(&s));
}

static void a_received_cookie_serves_115_seconds(void)
{
	struct scene s;
	uint64_t got = 1000 * second_ns;

	scene_init(&s);
	obtain_cookie(&s, got);
	sign(&s, got + 115 * second_ns - 1);
	CHECK(!secret_is_zero(s.message.mac2, MAC_LEN));
	sign(&s, got + 115 * second_ns);
	CHECK(secret_is_zero(s.message.mac2, MAC_LEN));
	CHECK(secret_is_zero(s.maker.cookie, NOISE_COOKIE_LEN)); /* and is gone */
	sign(&s, got);
	CHECK(secret_is_zero(s.message.mac2, MAC_LEN));
}

static void a_clock_read_slightly_backwards_harms_no_cookie(void)
{
	struct scene s;
	uint8_t random[32] = { 1 };

	scene_init(&s);
	CHECK(cookie_checker_turn(&s.checker, 500 * second_ns, random));
	obtain_cookie(&s, 500 * second_ns);
	sign(&s, 500 * second_ns - 10);
	CHECK(mac2_is_valid(&s));
	CHECK(!cookie_checker_turn(&s.checker, 500 * second_ns - 10, random));
}

static void the_secret_turns_at_120_seconds_and_old_cookies_end(void)
{
	struct scene s;
	struct secret_key before;
	uint8_t random[32];

	scene_init(&s);
	seeded_fill(random, sizeof(random));
	obtain_cookie(&s, 0);
	sign(&s, 0);
	before = s.checker.secret;
	CHECK(!cookie_checker_turn(&s.checker, 120 * second_ns - 1, random));
	CHECK(memcmp(&before, &s.checker.secret, sizeof(before)) == 0);
	CHECK(mac2_is_valid(&s));
	CHECK(cookie_checker_turn(&s.checker, 120 * second_ns, random));
	CHECK(memcmp(random, &s.checker.secret, sizeof(random)) == 0);
	CHECK(!mac2_is_valid(&s));
	CHECK(!cookie_checker_turn(&s.checker, 239 * second_ns, random));
	CHECK(cookie_checker_turn(&s.checker, 240 * second_ns, random));
}

static void without_a_secret_no_mac2_is_valid(void)
{
	struct scene s;

	scene_init(&s);
	obtain_cookie(&s, 0);
	sign(&s, 0);
	s.checker.has_secret = false;
	CHECK(!mac2_is_valid(&s));
}

static void a_cookie_is_consumed_once_per_message_sent(void)
{
	struct scene s;
	struct cookie_maker before;

	scene_init(&s);
	obtain_cookie(&s, 0);
	before = s.maker;
	CHECK(!consume(&s, 5 * second_ns)); /* the same reply again must not renew it */
	CHECK(memcmp(&before, &s.maker, sizeof(before)) == 0);
	s.message.ephemeral[0] ^= 1;
	sign(&s, 0);
	CHECK(!consume(&s, 0)); /* it answers the MAC1 before this one */
	reply(&s);
	CHECK(consume(&s, 0));
}

static void a_reply_to_nothing_we_sent_is_refused(void)
{
	struct scene s;
	struct cookie_maker before;

	scene_init(&s);
	sign(&s, 0);
	reply(&s);
	memset(&s.maker, 0, sizeof(s.maker));
	before = s.maker;
	CHECK(!consume(&s, 0));
	CHECK(memcmp(&before, &s.maker, sizeof(before)) == 0);
}

static void a_forged_reply_changes_nothing(void)
{
	struct scene s;
	struct cookie_maker before;
	uint8_t *r = (uint8_t *)&s.reply;

	scene_init(&s);
	sign(&s, 0);
	reply(&s);
	before = s.maker;
	for (size_t bit = 8 * 8; bit < 8 * sizeof(s.reply); bit++) {
		r[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!consume(&s, 0));
		CHECK(memcmp(&before, &s.maker, sizeof(before)) == 0);
		r[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(consume(&s, 0));
}

static void a_reply_by_another_host_is_refused(void)
{
	struct scene s, other;

	scene_init(&s);
	scene_init(&other);
	sign(&s, 0);
	other.message = s.message;
	reply(&other);
	s.reply = other.reply;
	CHECK(!consume(&s, 0));
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(mac1_is_the_macs_definition_spelled_out);
	RUN(mac2_is_the_mac_under_the_cookie_with_mac1_inside);
	RUN(the_cookie_is_the_mac_of_address_and_port);
	RUN(mac1_fails_when_any_covered_bit_changes);
	RUN(mac1_of_another_host_is_refused);
	RUN(messages_too_short_for_macs_are_refused);
	RUN(responses_are_signed_and_checked_like_initiations);
	RUN(a_reply_goes_back_to_the_senders_index);
	RUN(a_cookie_is_bound_to_address_and_port);
	RUN(a_cookie_is_bound_to_all_of_an_ipv6_address);
	RUN(our_own_side_of_the_path_does_not_enter_the_cookie);
	RUN(mac2_fails_when_any_covered_bit_changes);
	RUN(a_received_cookie_serves_115_seconds);
	RUN(a_clock_read_slightly_backwards_harms_no_cookie);
	RUN(the_secret_turns_at_120_seconds_and_old_cookies_end);
	RUN(without_a_secret_no_mac2_is_valid);
	RUN(a_cookie_is_consumed_once_per_message_sent);
	RUN(a_reply_to_nothing_we_sent_is_refused);
	RUN(a_forged_reply_changes_nothing);
	RUN(a_reply_by_another_host_is_refused);
	suite_free(suite);
	return DONE();
}
