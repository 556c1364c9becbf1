/* SPDX-License-Identifier: Apache-2.0 */
/**
 * cookie.h - MAC1, MAC2 and cookies: who may make us do work
 *
 * A checker judges what arrives under our public key; a maker signs what we send
 * to one peer and keeps the cookie that peer gave us. Cookies are bound to
 * address and port. A received cookie serves 115 s (120 s less 5 s of travel).
 *
 * Source:  WireGuard whitepaper, sections 5.3, 5.4.4, 5.4.7; RFC 7693.
 * Threads: a checker may be read by several threads between cookie_checker_turn()
 *          calls (the owner arranges that); a maker belongs to whoever locks its peer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "crypto/suite.h"
#include "noise/messages.h"

enum {
	COOKIE_SECRET_LIFE_S = 120,
	COOKIE_LIFE_S = 115,
};

/**
 * struct cookie_checker - What we need to judge a handshake message
 * @secret, @secret_born_ns: Turned every 120 s by cookie_checker_turn()
 */
struct cookie_checker {
	uint8_t mac1_key[HASH_LEN];
	uint8_t cookie_key[HASH_LEN];
	struct secret_key secret;
	uint64_t secret_born_ns;
	bool has_secret;
};

/**
 * struct cookie_maker - Signing messages to one peer
 * @last_mac1:	MAC1 of the last message sent, to match a cookie reply with
 */
struct cookie_maker {
	uint8_t cookie[NOISE_COOKIE_LEN];
	uint8_t last_mac1[NOISE_MAC_LEN];
	uint64_t cookie_born_ns;
	bool has_cookie;
	bool has_last_mac1;
};

/** cookie_checker_init() - Keys from our own public key; the secret is drawn at the first turn */
void cookie_checker_init(struct cookie_checker *c, struct suite *s,
			 const uint8_t public_key[NOISE_KEY_LEN]);
void cookie_checker_done(struct cookie_checker *c);

/** cookie_checker_turn() - Take @random as the new secret if the old one is 120 s old
 * Return: true if the secret was replaced. */
bool cookie_checker_turn(struct cookie_checker *c, uint64_t now_ns, const uint8_t random[32]);

/* @message is a whole initiation or response (mac1 and mac2 are its last 32 octets). */
bool cookie_mac1_is_valid(const struct cookie_checker *c, struct suite *s, const void *message,
			  size_t len);
bool cookie_mac2_is_valid(const struct cookie_checker *c, struct suite *s, const void *message,
			  size_t len, const struct endpoint *source);

/**
 * cookie_reply_create() - Ask @source to prove its address
 * @type:	Type word (frame_type())
 * @message:	The offending message; its sender index becomes the receiver
 * @nonce:	24 fresh random octets
 */
void cookie_reply_create(const struct cookie_checker *c, struct suite *s, uint32_t type,
			 const void *message, size_t len, const struct endpoint *source,
			 const uint8_t nonce[24], struct msg_cookie *reply);

/**
 * cookie_sign() - Fill mac1, and mac2 while a cookie is held, of a message we send
 * @remote_key:	Public key of the receiver
 */
void cookie_sign(struct cookie_maker *m, struct suite *s,
		 const uint8_t remote_key[NOISE_KEY_LEN], uint64_t now_ns, void *message,
		 size_t len);

/**
 * cookie_consume() - Take the cookie out of a reply
 *
 * Only if we sent a MAC1 that it answers; one cookie per message sent.
 *
 * Return: true if @m now holds the cookie; otherwise @m is unchanged.
 */
bool cookie_consume(struct cookie_maker *m, struct suite *s,
		    const uint8_t remote_key[NOISE_KEY_LEN], uint64_t now_ns,
		    const struct msg_cookie *reply);
