/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "crypto/suite_parts.h"

enum { BLOCK_LEN = 64 }; /* of BLAKE2s; HMAC pads keys to it */

int hash_tools_init(struct hash_tools *h)
{
	size_t mac_len = MAC_LEN;
	const OSSL_PARAM set_len[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &mac_len),
		OSSL_PARAM_END,
	};

	h->blake2s = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	h->blake2s_mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	if (!h->blake2s || !h->blake2s_mac)
		return -ENOTSUP;
	h->hash = EVP_MD_CTX_new();
	h->mac = EVP_MAC_CTX_new(h->blake2s_mac);
	if (!h->hash || !h->mac || EVP_MAC_CTX_set_params(h->mac, set_len) != 1)
		return -ENOMEM;
	return 0;
}

void hash_tools_done(struct hash_tools *h)
{
	EVP_MD_CTX_free(h->hash);
	EVP_MD_free(h->blake2s);
	EVP_MAC_CTX_free(h->mac);
	EVP_MAC_free(h->blake2s_mac);
	*h = (struct hash_tools){ 0 };
}

static void start(struct suite *s)
{
	suite_require(EVP_DigestInit_ex2(s->hash.hash, s->hash.blake2s, NULL));
}

static void add(struct suite *s, const void *data, size_t len)
{
	suite_require(EVP_DigestUpdate(s->hash.hash, data, len));
}

static void finish(struct suite *s, uint8_t out[HASH_LEN])
{
	suite_require(EVP_DigestFinal_ex(s->hash.hash, out, NULL));
}

void hash_parts(struct suite *s, uint8_t out[HASH_LEN], const struct hash_part *parts, size_t n)
{
	start(s);
	for (size_t i = 0; i < n; i++)
		add(s, parts[i].data, parts[i].len);
	finish(s, out);
}

void mac_parts(struct suite *s, uint8_t out[MAC_LEN], const void *key, size_t key_len,
	       const struct hash_part *parts, size_t n)
{
	EVP_MAC_CTX *mac = s->hash.mac;
	size_t len;

	assert(key_len >= 1 && key_len <= 32);
	suite_require(EVP_MAC_init(mac, key, key_len, NULL));
	for (size_t i = 0; i < n; i++)
		suite_require(EVP_MAC_update(mac, parts[i].data, parts[i].len));
	suite_require(EVP_MAC_final(mac, out, &len, MAC_LEN));
}

/* What HMAC puts before the text, and before the inner hash with that hash behind it. */
struct hmac_pads {
	uint8_t inner[BLOCK_LEN];
	uint8_t outer[BLOCK_LEN + HASH_LEN];
};

static void make_pads(struct suite *s, struct hmac_pads *p, const uint8_t *key, size_t key_len)
{
	uint8_t block[BLOCK_LEN] = { 0 };

	if (key_len > BLOCK_LEN)
		hash_parts(s, block, &(struct hash_part){ key, key_len }, 1);
	else
		memcpy(block, key, key_len);
	for (size_t i = 0; i < BLOCK_LEN; i++) {
		p->inner[i] = block[i] ^ 0x36;
		p->outer[i] = block[i] ^ 0x5c;
	}
	secret_wipe(block, sizeof(block));
}

static void hmac(struct suite *s, uint8_t out[HASH_LEN], struct hmac_pads *p,
		 const struct hash_part *parts, size_t n)
{
	start(s);
	add(s, p->inner, BLOCK_LEN);
	for (size_t i = 0; i < n; i++)
		add(s, parts[i].data, parts[i].len);
	finish(s, p->outer + BLOCK_LEN);

	start(s);
	add(s, p->outer, sizeof(p->outer));
	finish(s, out);
}

void hmac_blake2s(struct suite *s, uint8_t out[HASH_LEN], const uint8_t *key, size_t key_len,
		  const struct hash_part *parts, size_t n)
{
	struct hmac_pads pads;

	make_pads(s, &pads, key, key_len);
	hmac(s, out, &pads, parts, n);
	secret_wipe(&pads, sizeof(pads));
}

void kdf(struct suite *s, uint8_t *const out[], size_t n, const uint8_t chain[HASH_LEN],
	 const void *input, size_t input_len)
{
	struct hmac_pads pads;
	uint8_t key[HASH_LEN], block[HASH_LEN + 1]; /* an output and the number of the next */

	assert(n >= 1 && n <= 3);
	hmac_blake2s(s, key, chain, HASH_LEN, &(struct hash_part){ input, input_len }, 1);
	make_pads(s, &pads, key, HASH_LEN);
	for (size_t i = 0; i < n; i++) {
		size_t skip = i == 0 ? HASH_LEN : 0; /* the first has none before it */

		block[HASH_LEN] = (uint8_t)(i + 1);
		hmac(s, block, &pads, &(struct hash_part){ block + skip, sizeof(block) - skip },
		     1);
		memcpy(out[i], block, HASH_LEN);
	}
	secret_wipe(key, sizeof(key));
	secret_wipe(block, sizeof(block));
	secret_wipe(&pads, sizeof(pads));
}
