/* SPDX-License-Identifier: Apache-2.0 */
#include "noise/cookie.h"

#include <assert.h>
#include <string.h>

#include "base/wire.h"

static const uint64_t second_ns = UINT64_C(1000000000);

enum {
	LABEL_LEN = 8,
	MACS_LEN = 2 * NOISE_MAC_LEN, /* mac1 and mac2 end a message */
	HEAD_LEN = 8,		      /* type and sender index begin it */
};

static const char label_mac1[LABEL_LEN + 1] = "mac1----";
static const char label_cookie[LABEL_LEN + 1] = "cookie--";

static void derive_key(struct suite *s, uint8_t out[HASH_LEN], const char label[LABEL_LEN],
		       const uint8_t public_key[NOISE_KEY_LEN])
{
	const struct hash_part parts[] = { { label, LABEL_LEN },
					   { public_key, NOISE_KEY_LEN } };

	hash_parts(s, out, parts, 2);
}

static void mac(struct suite *s, uint8_t out[NOISE_MAC_LEN], const void *key, size_t key_len,
		const void *data, size_t len)
{
	mac_parts(s, out, key, key_len, &(struct hash_part){ data, len }, 1);
}

/* The address alone would give all clients behind one NAT the same cookie. */
static void make_cookie(const struct cookie_checker *c, struct suite *s,
			const struct endpoint *source, uint8_t out[NOISE_COOKIE_LEN])
{
	uint8_t text[16 + 2];
	size_t len = ip_addr_bits(&source->ip) / 8;

	memcpy(text, source->ip.b, len);
	put_be16(text + len, source->port);
	mac(s, out, c->secret.b, sizeof(c->secret.b), text, len + 2);
}

void cookie_checker_init(struct cookie_checker *c, struct suite *s,
			 const uint8_t public_key[NOISE_KEY_LEN])
{
	*c = (struct cookie_checker){ 0 };
	derive_key(s, c->mac1_key, label_mac1, public_key);
	derive_key(s, c->cookie_key, label_cookie, public_key);
}

void cookie_checker_done(struct cookie_checker *c)
{
	secret_wipe(c, sizeof(*c));
}

bool cookie_checker_turn(struct cookie_checker *c, uint64_t now_ns, const uint8_t random[32])
{
	bool is_young = now_ns < c->secret_born_ns ||
			now_ns - c->secret_born_ns < COOKIE_SECRET_LIFE_S * second_ns;

	if (c->has_secret && is_young)
		return false;
	memcpy(c->secret.b, random, sizeof(c->secret.b));
	c->secret_born_ns = now_ns;
	c->has_secret = true;
	return true;
}

bool cookie_mac1_is_valid(const struct cookie_checker *c, struct suite *s, const void *message,
			  size_t len)
{
	const uint8_t *m = message;
	uint8_t expected[NOISE_MAC_LEN];

	if (len < HEAD_LEN + MACS_LEN)
		return false;
	mac(s, expected, c->mac1_key, HASH_LEN, m, len - MACS_LEN);
	return secret_equal(expected, m + len - MACS_LEN, NOISE_MAC_LEN);
}

bool cookie_mac2_is_valid(const struct cookie_checker *c, struct suite *s, const void *message,
			  size_t len, const struct endpoint *source)
{
	const uint8_t *m = message;
	uint8_t cookie[NOISE_COOKIE_LEN], expected[NOISE_MAC_LEN];

	if (len < HEAD_LEN + MACS_LEN || !c->has_secret)
		return false;
	make_cookie(c, s, source, cookie);
	mac(s, expected, cookie, sizeof(cookie), m, len - NOISE_MAC_LEN);
	secret_wipe(cookie, sizeof(cookie));
	return secret_equal(expected, m + len - NOISE_MAC_LEN, NOISE_MAC_LEN);
}

void cookie_reply_create(const struct cookie_checker *c, struct suite *s, uint32_t type,
			 const void *message, size_t len, const struct endpoint *source,
			 const uint8_t nonce[24], struct msg_cookie *reply)
{
	const uint8_t *m = message;
	uint8_t cookie[NOISE_COOKIE_LEN];

	assert(c->has_secret && len >= HEAD_LEN + MACS_LEN);
	reply->type = le32_from(type);
	memcpy(&reply->receiver, m + 4, sizeof(reply->receiver));
	memcpy(reply->nonce, nonce, sizeof(reply->nonce));
	make_cookie(c, s, source, cookie);
	xaead_seal(s, c->cookie_key, nonce, m + len - MACS_LEN, NOISE_MAC_LEN, cookie,
		   sizeof(cookie), reply->sealed_cookie);
	secret_wipe(cookie, sizeof(cookie));
}

static bool cookie_is_fresh(const struct cookie_maker *m, uint64_t now_ns)
{
	return m->has_cookie && (now_ns < m->cookie_born_ns ||
				 now_ns - m->cookie_born_ns < COOKIE_LIFE_S * second_ns);
}

void cookie_sign(struct cookie_maker *m, struct suite *s,
		 const uint8_t remote_key[NOISE_KEY_LEN], uint64_t now_ns, void *message,
		 size_t len)
{
	uint8_t *mac1 = (uint8_t *)message + len - MACS_LEN;
	uint8_t *mac2 = mac1 + NOISE_MAC_LEN;
	uint8_t key[HASH_LEN];

	assert(len >= HEAD_LEN + MACS_LEN);
	derive_key(s, key, label_mac1, remote_key);
	mac(s, mac1, key, sizeof(key), message, len - MACS_LEN);
	memcpy(m->last_mac1, mac1, NOISE_MAC_LEN);
	m->has_last_mac1 = true;

	if (cookie_is_fresh(m, now_ns)) {
		mac(s, mac2, m->cookie, sizeof(m->cookie), message, len - NOISE_MAC_LEN);
		return;
	}
	memset(mac2, 0, NOISE_MAC_LEN);
	secret_wipe(m->cookie, sizeof(m->cookie));
	m->has_cookie = false;
}

bool cookie_consume(struct cookie_maker *m, struct suite *s,
		    const uint8_t remote_key[NOISE_KEY_LEN], uint64_t now_ns,
		    const struct msg_cookie *reply)
{
	uint8_t key[HASH_LEN], cookie[NOISE_COOKIE_LEN];

	if (!m->has_last_mac1)
		return false;
	derive_key(s, key, label_cookie, remote_key);
	if (!xaead_open(s, key, reply->nonce, m->last_mac1, NOISE_MAC_LEN, reply->sealed_cookie,
			sizeof(cookie), cookie))
		return false;
	memcpy(m->cookie, cookie, sizeof(cookie));
	secret_wipe(cookie, sizeof(cookie));
	m->cookie_born_ns = now_ns;
	m->has_cookie = true;
	m->has_last_mac1 = false; /* the same reply again must not renew it */
	return true;
}
