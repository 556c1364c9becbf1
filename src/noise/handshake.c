/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * Both sides keep two values of 32 octets: the hash H of everything that was sent
 * or known before, and the chaining key C that every shared secret is mixed into.
 * Each of the small functions at the top is one token of the Noise pattern; the
 * functions below them spell the pattern out, message by message.
 */
#include "noise/handshake.h"

#include <string.h>

#include "base/err.h"

/* HASH("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s") */
static const uint8_t initial_chain[HASH_LEN] = {
	0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35,
	0xe2, 0xa0, 0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72,
	0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36,
};

/* HASH(the above ‖ "WireGuard v1 zx2c4 Jason@zx2c4.com") */
static const uint8_t initial_hash[HASH_LEN] = {
	0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43,
	0xdb, 0x45, 0x8a, 0xd5, 0x32, 0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93,
	0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3,
};

/* H and C, and the key of the next sealed field. */
struct transcript {
	uint8_t hash[HASH_LEN];
	uint8_t chain[HASH_LEN];
	uint8_t key[HASH_LEN];
};

static void transcript_done(struct transcript *t)
{
	secret_wipe(t, sizeof(*t));
}

/* H = HASH(H ‖ data) */
static void mix_hash(struct suite *s, struct transcript *t, const void *data, size_t len)
{
	const struct hash_part parts[] = { { t->hash, HASH_LEN }, { data, len } };

	hash_parts(s, t->hash, parts, 2);
}

/* C = KDF1(C, ephemeral), H = HASH(H ‖ ephemeral) */
static void mix_ephemeral(struct suite *s, struct transcript *t,
			  const uint8_t ephemeral[NOISE_KEY_LEN])
{
	kdf(s, (uint8_t *[]){ t->chain }, 1, t->chain, ephemeral, NOISE_KEY_LEN);
	mix_hash(s, t, ephemeral, NOISE_KEY_LEN);
}

/* C, k = KDF2(C, secret) */
static void mix_key(struct suite *s, struct transcript *t, const uint8_t secret[32])
{
	kdf(s, (uint8_t *[]){ t->chain, t->key }, 2, t->chain, secret, 32);
}

/* C = KDF1(C, DH(k, pub)); false on a low-order point. No sealed field follows, so no key. */
static bool mix_dh(struct suite *s, struct transcript *t, const struct secret_key *k,
		   const uint8_t pub[NOISE_KEY_LEN])
{
	uint8_t shared[32];
	bool ok = dh(s, shared, k, pub);

	if (ok)
		kdf(s, (uint8_t *[]){ t->chain }, 1, t->chain, shared, sizeof(shared));
	secret_wipe(shared, sizeof(shared));
	return ok;
}

/* C, k = KDF2(C, DH(k, pub)); false on a low-order point */
static bool mix_dh_key(struct suite *s, struct transcript *t, const struct secret_key *k,
		       const uint8_t pub[NOISE_KEY_LEN])
{
	uint8_t shared[32];
	bool ok = dh(s, shared, k, pub);

	if (ok)
		mix_key(s, t, shared);
	secret_wipe(shared, sizeof(shared));
	return ok;
}

/* C, t, k = KDF3(C, psk), H = HASH(H ‖ t) */
static void mix_psk(struct suite *s, struct transcript *t, const struct secret_key *psk)
{
	uint8_t extra[HASH_LEN];

	kdf(s, (uint8_t *[]){ t->chain, extra, t->key }, 3, t->chain, psk->b, sizeof(psk->b));
	mix_hash(s, t, extra, sizeof(extra));
	secret_wipe(extra, sizeof(extra));
}

/* @sealed gets @len octets and the tag, then enters H. */
static void seal(struct suite *s, struct transcript *t, const void *text, size_t len,
		 uint8_t *sealed)
{
	aead_seal_ad(s, t->key, 0, t->hash, HASH_LEN, text, len, sealed);
	mix_hash(s, t, sealed, len + NOISE_TAG_LEN);
}

static bool open_sealed(struct suite *s, struct transcript *t, const uint8_t *sealed,
			size_t len, uint8_t *text)
{
	if (!aead_open_ad(s, t->key, 0, t->hash, HASH_LEN, sealed, len, text))
		return false;
	mix_hash(s, t, sealed, len + NOISE_TAG_LEN);
	return true;
}

/* H of a handshake with the responder @public_key, before the first message. */
static void start_hash(struct suite *s, uint8_t out[HASH_LEN],
		       const uint8_t public_key[NOISE_KEY_LEN])
{
	const struct hash_part parts[] = {
		{ initial_hash, HASH_LEN },
		{ public_key, NOISE_KEY_LEN },
	};

	hash_parts(s, out, parts, 2);
}

static void transcript_start(struct transcript *t, const uint8_t hash[HASH_LEN])
{
	memcpy(t->hash, hash, HASH_LEN);
	memcpy(t->chain, initial_chain, HASH_LEN);
	memset(t->key, 0, sizeof(t->key));
}

static void transcript_load(struct transcript *t, const struct noise_handshake *hs)
{
	memcpy(t->hash, hs->hash, HASH_LEN);
	memcpy(t->chain, hs->chain, HASH_LEN);
	memset(t->key, 0, sizeof(t->key));
}

static void transcript_save(const struct transcript *t, struct noise_handshake *hs)
{
	memcpy(hs->hash, t->hash, HASH_LEN);
	memcpy(hs->chain, t->chain, HASH_LEN);
}

void noise_identity_init(struct noise_identity *id, struct suite *s,
			 const struct secret_key *private_key)
{
	id->private_key = *private_key;
	if (!secret_is_zero(private_key, sizeof(*private_key)))
		dh_clamp(&id->private_key);
	dh_public(s, id->public_key, &id->private_key);
	start_hash(s, id->hash, id->public_key);
}

void noise_identity_done(struct noise_identity *id)
{
	secret_wipe(id, sizeof(*id));
}

static bool identity_is_empty(const struct noise_identity *id)
{
	return secret_is_zero(&id->private_key, sizeof(id->private_key));
}

bool noise_remote_prepare(struct noise_remote *r, struct suite *s,
			  const struct noise_identity *id)
{
	if (r->is_prepared)
		return !r->is_unusable;
	if (identity_is_empty(id))
		return false; /* prepared once there is a key */
	r->is_unusable = !dh(s, r->static_shared.b, &id->private_key, r->public_key);
	r->is_prepared = true;
	return !r->is_unusable;
}

void noise_remote_done(struct noise_remote *r)
{
	secret_wipe(r, sizeof(*r));
}

int noise_initiation_create(struct suite *s, const struct noise_identity *id,
			    struct noise_remote *r, uint32_t type, uint32_t sender,
			    const uint8_t random[32], const uint8_t time[NOISE_TIME_LEN],
			    struct noise_handshake *hs, struct msg_initiation *msg)
{
	struct transcript t;
	int err = ERR_KEY;

	if (identity_is_empty(id) || !noise_remote_prepare(r, s, id))
		return ERR_KEY;

	*hs = (struct noise_handshake){ 0 };
	*msg = (struct msg_initiation){ .type = le32_from(type), .sender = le32_from(sender) };
	memcpy(hs->ephemeral.b, random, sizeof(hs->ephemeral.b));
	dh_clamp(&hs->ephemeral);
	dh_public(s, msg->ephemeral, &hs->ephemeral);

	start_hash(s, hs->hash, r->public_key);
	transcript_start(&t, hs->hash);
	mix_ephemeral(s, &t, msg->ephemeral);
	if (!mix_dh_key(s, &t, &hs->ephemeral, r->public_key))
		goto out;
	seal(s, &t, id->public_key, NOISE_KEY_LEN, msg->sealed_static);
	mix_key(s, &t, r->static_shared.b);
	seal(s, &t, time, NOISE_TIME_LEN, msg->sealed_time);
	transcript_save(&t, hs);
	err = 0;
out:
	dh_forget(s, &hs->ephemeral);
	transcript_done(&t);
	return err;
}

int noise_initiation_open(struct suite *s, const struct noise_identity *id,
			  const struct msg_initiation *msg, struct noise_handshake *hs)
{
	struct transcript t;
	int err = ERR_AUTH;

	if (identity_is_empty(id))
		return ERR_KEY;

	*hs = (struct noise_handshake){ 0 };
	transcript_start(&t, id->hash);
	mix_ephemeral(s, &t, msg->ephemeral);
	if (!mix_dh_key(s, &t, &id->private_key, msg->ephemeral))
		goto out;
	if (!open_sealed(s, &t, msg->sealed_static, NOISE_KEY_LEN, hs->remote_static))
		goto out;
	memcpy(hs->remote_ephemeral, msg->ephemeral, NOISE_KEY_LEN);
	transcript_save(&t, hs);
	err = 0;
out:
	transcript_done(&t);
	return err;
}

int noise_initiation_finish(struct suite *s, const struct noise_identity *id,
			    struct noise_remote *r, const struct msg_initiation *msg,
			    struct noise_handshake *hs, uint8_t ret_time[NOISE_TIME_LEN])
{
	struct transcript t;
	uint8_t time[NOISE_TIME_LEN];
	int err = ERR_AUTH;

	if (!noise_remote_prepare(r, s, id))
		return ERR_KEY;

	transcript_load(&t, hs);
	mix_key(s, &t, r->static_shared.b);
	if (open_sealed(s, &t, msg->sealed_time, NOISE_TIME_LEN, time)) {
		memcpy(ret_time, time, NOISE_TIME_LEN);
		transcript_save(&t, hs);
		err = 0;
	}
	transcript_done(&t);
	return err;
}

/* send_i = recv_r, recv_i = send_r = KDF2(C, empty) */
static void split(struct suite *s, const struct transcript *t,
		  struct secret_key *from_initiator, struct secret_key *from_responder)
{
	kdf(s, (uint8_t *[]){ from_initiator->b, from_responder->b }, 2, t->chain, NULL, 0);
}

int noise_response_create(struct suite *s, struct noise_handshake *hs,
			  const struct noise_remote *r, uint32_t type, uint32_t sender,
			  uint32_t receiver, const uint8_t random[32], struct msg_response *msg,
			  struct noise_keys *ret_keys)
{
	struct secret_key ephemeral;
	struct transcript t;
	int err = ERR_KEY;

	*msg = (struct msg_response){
		.type = le32_from(type),
		.sender = le32_from(sender),
		.receiver = le32_from(receiver),
	};
	memcpy(ephemeral.b, random, sizeof(ephemeral.b));
	dh_clamp(&ephemeral);
	dh_public(s, msg->ephemeral, &ephemeral);

	transcript_load(&t, hs);
	mix_ephemeral(s, &t, msg->ephemeral);
	if (!mix_dh(s, &t, &ephemeral, hs->remote_ephemeral) ||
	    !mix_dh(s, &t, &ephemeral, r->public_key))
		goto out;
	mix_psk(s, &t, &r->preshared_key);
	seal(s, &t, NULL, 0, msg->sealed_nothing);
	split(s, &t, &ret_keys->receive, &ret_keys->send);
	err = 0;
out:
	dh_forget(s, &ephemeral);
	secret_key_done(&ephemeral);
	transcript_done(&t);
	noise_handshake_done(hs);
	return err;
}

int noise_response_accept(struct suite *s, const struct noise_identity *id,
			  const struct noise_remote *r, const struct noise_handshake *hs,
			  const struct msg_response *msg, struct noise_keys *ret_keys)
{
	struct transcript t;
	uint8_t nothing[1];
	int err = ERR_AUTH;

	transcript_load(&t, hs);
	mix_ephemeral(s, &t, msg->ephemeral);
	if (!mix_dh(s, &t, &hs->ephemeral, msg->ephemeral) ||
	    !mix_dh(s, &t, &id->private_key, msg->ephemeral))
		goto out;
	mix_psk(s, &t, &r->preshared_key);
	if (!open_sealed(s, &t, msg->sealed_nothing, 0, nothing))
		goto out;
	split(s, &t, &ret_keys->send, &ret_keys->receive);
	err = 0;
out:
	dh_forget(s, &hs->ephemeral);
	transcript_done(&t);
	return err;
}

void noise_handshake_done(struct noise_handshake *hs)
{
	secret_wipe(hs, sizeof(*hs));
}

void noise_keys_done(struct noise_keys *k)
{
	secret_wipe(k, sizeof(*k));
}

void noise_time(uint8_t out[NOISE_TIME_LEN], uint64_t unix_ns)
{
	uint32_t nanoseconds = (uint32_t)(unix_ns % UINT64_C(1000000000));

	put_be64(out, UINT64_C(0x400000000000000a) + unix_ns / UINT64_C(1000000000));
	put_be32(out + 8, nanoseconds & ~UINT32_C(0xffffff));
}
