/* SPDX-License-Identifier: Apache-2.0 */
/**
 * reference.h - A second Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, slow and plain
 *
 * Written from the Noise specification (revision 34, sections 5 and 9), object by object
 * and with its names, straight on OpenSSL's one-shot calls; it shares no code with src/.
 * It knows prologues and payloads, so the published vector can say whether it is right;
 * WireGuard is then the case with its own prologue, a timestamp as the first payload and
 * nothing as the second.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

/* Anything the library refuses here is a broken test. */
static inline void ref_must(bool ok)
{
	if (!ok)
		abort();
}

static inline void ref_hash(uint8_t out[32], const void *a, size_t a_len, const void *b,
			    size_t b_len)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	ref_must(c && EVP_DigestInit_ex(c, EVP_blake2s256(), NULL) == 1);
	ref_must(EVP_DigestUpdate(c, a, a_len) == 1 && EVP_DigestUpdate(c, b, b_len) == 1);
	ref_must(EVP_DigestFinal_ex(c, out, NULL) == 1);
	EVP_MD_CTX_free(c);
}

/* Noise's HKDF is RFC 5869 with an empty info, which OpenSSL has as a whole. */
static inline void ref_hkdf(uint8_t *out, size_t out_len, const uint8_t ck[32], const void *ikm,
			    size_t ikm_len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
	uint8_t salt[32], key[64];
	char digest[] = "BLAKE2S-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, ikm_len),
		OSSL_PARAM_END,
	};

	memcpy(salt, ck, sizeof(salt));
	memcpy(key, ikm_len ? ikm : "", ikm_len);
	ref_must(c && EVP_KDF_derive(c, out, out_len, params) == 1);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
}

static inline EVP_PKEY *ref_private(const uint8_t k[32])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, k, 32);

	ref_must(key != NULL);
	return key;
}

static inline void ref_public(uint8_t out[32], const uint8_t k[32])
{
	EVP_PKEY *key = ref_private(k);
	size_t len = 32;

	ref_must(EVP_PKEY_get_raw_public_key(key, out, &len) == 1);
	EVP_PKEY_free(key);
}

static inline void ref_dh(uint8_t out[32], const uint8_t k[32], const uint8_t pub[32])
{
	EVP_PKEY *key = ref_private(k);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub, 32);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	size_t len = 32;

	ref_must(peer && c && EVP_PKEY_derive_init(c) == 1);
	ref_must(EVP_PKEY_derive_set_peer(c, peer) == 1 && EVP_PKEY_derive(c, out, &len) == 1);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(key);
}

/* ChaChaPoly of section 12.3: 32 bits of zeros and n in 64 bits, little-endian. */
static inline bool ref_aead(bool seal, const uint8_t k[32], uint64_t n, const uint8_t *ad,
			    size_t ad_len, const uint8_t *in, size_t in_len, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	size_t len = seal ? in_len : in_len - 16;
	uint8_t nonce[12] = { 0 }, tag[16], rest[16];
	bool ok = true;
	int n_out;

	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(n >> (8 * i));
	ref_must(c && EVP_CipherInit_ex(c, EVP_chacha20_poly1305(), NULL, k, nonce, seal) == 1);
	ref_must(EVP_CipherUpdate(c, NULL, &n_out, ad, (int)ad_len) == 1);
	if (len)
		ref_must(EVP_CipherUpdate(c, out, &n_out, in, (int)len) == 1);
	if (!seal) {
		memcpy(tag, in + len, 16);
		ref_must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1);
	}
	ok = EVP_CipherFinal_ex(c, rest, &n_out) == 1;
	if (seal)
		ref_must(ok &&
			 EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + len) == 1);
	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* --- SymmetricState, section 5.2 --- */

struct ref_symmetric {
	uint8_t ck[32], h[32], k[32];
	bool has_key;
	uint64_t n;
};

static inline void ref_initialize(struct ref_symmetric *s, const char *protocol_name)
{
	/* 37 characters: longer than a hash, so it is hashed */
	memset(s, 0, sizeof(*s));
	ref_hash(s->h, protocol_name, strlen(protocol_name), "", 0);
	memcpy(s->ck, s->h, 32);
}

static inline void ref_mix_hash(struct ref_symmetric *s, const void *data, size_t len)
{
	uint8_t h[32];

	memcpy(h, s->h, 32);
	ref_hash(s->h, h, 32, data, len);
}

static inline void ref_mix_key(struct ref_symmetric *s, const uint8_t ikm[32])
{
	uint8_t out[64];

	ref_hkdf(out, 64, s->ck, ikm, 32);
	memcpy(s->ck, out, 32);
	memcpy(s->k, out + 32, 32);
	s->has_key = true;
	s->n = 0;
}

static inline void ref_mix_key_and_hash(struct ref_symmetric *s, const uint8_t psk[32])
{
	uint8_t out[96];

	ref_hkdf(out, 96, s->ck, psk, 32);
	memcpy(s->ck, out, 32);
	ref_mix_hash(s, out + 32, 32);
	memcpy(s->k, out + 64, 32);
	s->has_key = true;
	s->n = 0;
}

static inline void ref_encrypt_and_hash(struct ref_symmetric *s, const uint8_t *text,
					size_t len, uint8_t *out)
{
	ref_must(s->has_key);
	ref_must(ref_aead(true, s->k, s->n++, s->h, 32, text, len, out));
	ref_mix_hash(s, out, len + 16);
}

static inline bool ref_decrypt_and_hash(struct ref_symmetric *s, const uint8_t *sealed,
					size_t sealed_len, uint8_t *out)
{
	ref_must(s->has_key);
	if (!ref_aead(false, s->k, s->n, s->h, 32, sealed, sealed_len, out))
		return false;
	s->n++;
	ref_mix_hash(s, sealed, sealed_len);
	return true;
}

/* --- HandshakeState for IKpsk2: <- s ... -> e, es, s, ss  <- e, ee, se, psk --- */

struct ref_handshake {
	struct ref_symmetric sym;
	uint8_t s[32], e[32], s_pub[32], e_pub[32], rs[32], re[32], psk[32];
};

/* @rs: the responder's public key; NULL when we are the responder */
static inline void ref_start(struct ref_handshake *hs, const void *prologue,
			     size_t prologue_len, const uint8_t s[32], const uint8_t e[32],
			     const uint8_t *rs, const uint8_t psk[32])
{
	memset(hs, 0, sizeof(*hs));
	ref_initialize(&hs->sym, "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");
	ref_mix_hash(&hs->sym, prologue, prologue_len);
	memcpy(hs->s, s, 32);
	memcpy(hs->e, e, 32);
	memcpy(hs->psk, psk, 32);
	ref_public(hs->s_pub, s);
	ref_public(hs->e_pub, e);
	if (rs)
		memcpy(hs->rs, rs, 32);
	ref_mix_hash(&hs->sym, rs ? hs->rs : hs->s_pub, 32);
}

/* Section 9.2: with a PSK in the pattern, e is mixed into the key as well. */
static inline void ref_token_e(struct ref_handshake *hs, const uint8_t e[32])
{
	ref_mix_hash(&hs->sym, e, 32);
	ref_mix_key(&hs->sym, e);
}

static inline void ref_token_dh(struct ref_handshake *hs, const uint8_t k[32],
				const uint8_t pub[32])
{
	uint8_t shared[32];

	ref_dh(shared, k, pub);
	ref_mix_key(&hs->sym, shared);
}

/* @out: 32 + 48 + @len + 16 octets */
static inline void ref_write_1(struct ref_handshake *hs, const uint8_t *payload, size_t len,
			       uint8_t *out)
{
	memcpy(out, hs->e_pub, 32);
	ref_token_e(hs, hs->e_pub);
	ref_token_dh(hs, hs->e, hs->rs);
	ref_encrypt_and_hash(&hs->sym, hs->s_pub, 32, out + 32);
	ref_token_dh(hs, hs->s, hs->rs);
	ref_encrypt_and_hash(&hs->sym, payload, len, out + 80);
}

static inline bool ref_read_1(struct ref_handshake *hs, const uint8_t *in, size_t len,
			      uint8_t *payload)
{
	memcpy(hs->re, in, 32);
	ref_token_e(hs, hs->re);
	ref_token_dh(hs, hs->s, hs->re);
	if (!ref_decrypt_and_hash(&hs->sym, in + 32, 48, hs->rs))
		return false;
	ref_token_dh(hs, hs->s, hs->rs);
	return ref_decrypt_and_hash(&hs->sym, in + 80, len - 80, payload);
}

/* @out: 32 + @len + 16 octets */
static inline void ref_write_2(struct ref_handshake *hs, const uint8_t *payload, size_t len,
			       uint8_t *out)
{
	memcpy(out, hs->e_pub, 32);
	ref_token_e(hs, hs->e_pub);
	ref_token_dh(hs, hs->e, hs->re);
	ref_token_dh(hs, hs->e, hs->rs);
	ref_mix_key_and_hash(&hs->sym, hs->psk);
	ref_encrypt_and_hash(&hs->sym, payload, len, out + 32);
}

static inline bool ref_read_2(struct ref_handshake *hs, const uint8_t *in, size_t len,
			      uint8_t *payload)
{
	memcpy(hs->re, in, 32);
	ref_token_e(hs, hs->re);
	ref_token_dh(hs, hs->e, hs->re);
	ref_token_dh(hs, hs->s, hs->re);
	ref_mix_key_and_hash(&hs->sym, hs->psk);
	return ref_decrypt_and_hash(&hs->sym, in + 32, len - 32, payload);
}

/* @keys: initiator to responder, then responder to initiator */
static inline void ref_split(const struct ref_handshake *hs, uint8_t keys[64])
{
	ref_hkdf(keys, 64, hs->sym.ck, "", 0);
}
