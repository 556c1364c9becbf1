/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handshake.h - Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, as WireGuard uses it
 *
 * Pure transcript: no peer table, no clock, no random source. The caller brings
 * 32 random octets for each ephemeral key and the TAI64N label, finds the peer
 * that a decrypted static key names, and decides about timestamps and rates.
 *
 * The MACs of a message are not made here: see noise/cookie.h. Every create
 * function leaves mac1 and mac2 zero.
 *
 * Source:  WireGuard whitepaper, section 5.4; Noise specification, revision 34.
 * Threads: none here; a suite belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/suite.h"
#include "noise/messages.h"

/**
 * struct noise_identity - Our own static key and what follows from it
 * @private_key:	Clamped; all zero means "none": nothing can be opened
 * @public_key:		All zero when there is no private key
 * @hash:		HASH(HASH(C ‖ identifier) ‖ public_key): start as responder
 */
struct noise_identity {
	struct secret_key private_key;
	uint8_t public_key[NOISE_KEY_LEN];
	uint8_t hash[HASH_LEN];
};

/**
 * struct noise_remote - A peer's static key and what follows from it
 * @static_shared:	DH(our static, theirs), filled by noise_remote_prepare()
 * @is_prepared:	@static_shared is valid; false after a change of our key
 * @is_unusable:	The shared secret is all zero (low-order key): never talk to it
 *
 * 97 octets per peer, because there may be 100 000 of them: what follows from
 * the public key is hashed again per handshake (under a microsecond).
 */
struct noise_remote {
	uint8_t public_key[NOISE_KEY_LEN];
	struct secret_key preshared_key; /* all zero when none */
	struct secret_key static_shared;
	bool is_prepared;
	bool is_unusable;
};

/**
 * struct noise_handshake - Transcript between two messages
 *
 * Initiator: filled by noise_initiation_create(), kept until the response.
 * Responder: filled by noise_initiation_open()/_finish(), used at once by
 * noise_response_create(). Wipe with noise_handshake_done().
 */
struct noise_handshake {
	struct secret_key ephemeral;		 /* ours; initiator only */
	uint8_t remote_ephemeral[NOISE_KEY_LEN]; /* theirs; responder only */
	uint8_t remote_static[NOISE_KEY_LEN];	 /* decrypted; responder only */
	uint8_t hash[HASH_LEN];
	uint8_t chain[HASH_LEN];
};

/** struct noise_keys - Transport keys of a finished handshake, from our side */
struct noise_keys {
	struct secret_key send;
	struct secret_key receive;
};

/** noise_identity_init() - Clamp @private_key (zero stays zero) and derive the rest */
void noise_identity_init(struct noise_identity *id, struct suite *s,
			 const struct secret_key *private_key);
void noise_identity_done(struct noise_identity *id);

/**
 * noise_remote_prepare() - Compute the static-static secret, once
 *
 * Return: false when the key is unusable (low order); nothing may be sent to it.
 */
bool noise_remote_prepare(struct noise_remote *r, struct suite *s,
			  const struct noise_identity *id);
void noise_remote_done(struct noise_remote *r);

/**
 * noise_initiation_create() - Write an initiation and remember its transcript
 * @type:	Type word for the first four octets (frame_type() gives it)
 * @sender:	Our index for the new session
 * @random:	32 fresh random octets: the ephemeral key
 * @time:	TAI64N label, big-endian
 *
 * Return: 0, or ERR_KEY when @r is unusable or @id has no key; then @hs and
 *	   @msg are unspecified and nothing may be sent.
 */
int noise_initiation_create(struct suite *s, const struct noise_identity *id,
			    struct noise_remote *r, uint32_t type, uint32_t sender,
			    const uint8_t random[32], const uint8_t time[NOISE_TIME_LEN],
			    struct noise_handshake *hs, struct msg_initiation *msg);

/**
 * noise_initiation_open() - First half of reading an initiation: who is it?
 *
 * One DH and one AEAD. On success @hs->remote_static names the caller.
 *
 * Return: 0; ERR_AUTH (forged, or a low-order ephemeral); ERR_KEY (no identity).
 */
int noise_initiation_open(struct suite *s, const struct noise_identity *id,
			  const struct msg_initiation *msg, struct noise_handshake *hs);

/**
 * noise_initiation_finish() - Second half: the timestamp, under the static-static secret
 * @r:		The peer whose public key is @hs->remote_static
 * @ret_time:	TAI64N label. The caller refuses it unless greater than the last
 *
 * Return: 0; ERR_AUTH; ERR_KEY when @r is unusable.
 */
int noise_initiation_finish(struct suite *s, const struct noise_identity *id,
			    struct noise_remote *r, const struct msg_initiation *msg,
			    struct noise_handshake *hs, uint8_t ret_time[NOISE_TIME_LEN]);

/**
 * noise_response_create() - Answer an initiation and derive the transport keys
 * @hs:		From noise_initiation_finish(); wiped on return
 * @receiver:	The initiator's index
 *
 * Return: 0, or ERR_KEY when a shared secret is all zero.
 */
int noise_response_create(struct suite *s, struct noise_handshake *hs,
			  const struct noise_remote *r, uint32_t type, uint32_t sender,
			  uint32_t receiver, const uint8_t random[32], struct msg_response *msg,
			  struct noise_keys *ret_keys);

/**
 * noise_response_accept() - Read the response to our initiation
 * @hs:		From noise_initiation_create(). Unchanged, whatever the result:
 *		a forged response must not end a pending handshake (W32)
 *
 * Return: 0 and the keys, or ERR_AUTH.
 */
int noise_response_accept(struct suite *s, const struct noise_identity *id,
			  const struct noise_remote *r, const struct noise_handshake *hs,
			  const struct msg_response *msg, struct noise_keys *ret_keys);

void noise_handshake_done(struct noise_handshake *hs);
void noise_keys_done(struct noise_keys *k);

/**
 * noise_time() - TAI64N label of a Unix time, low 24 bits of the nanoseconds cleared
 *
 * The coarse clock hides how busy we are; two labels within 16.8 ms are equal.
 */
void noise_time(uint8_t out[NOISE_TIME_LEN], uint64_t unix_ns);
