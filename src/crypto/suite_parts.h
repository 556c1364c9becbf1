/* SPDX-License-Identifier: Apache-2.0 */
/**
 * suite_parts.h - What a suite is made of; for the files of crypto/ only
 *
 * Each part has one file that makes, uses and frees it. A part that could not be
 * made completely is still safe to free.
 *
 * A primitive that fails after its part was made (the library ran out of memory,
 * or is broken) ends the process in suite_fatal(): going on would send plaintext
 * or keys derived from garbage.
 */
#pragma once

#include <openssl/evp.h>

#include "crypto/suite.h"

/**
 * struct aead_message - One message with everything the cipher takes
 * @nonce:	12 octets
 * @tag:	Sealing: 16 octets to write. Opening: the 16 octets received
 */
struct aead_message {
	const uint8_t *key;
	const uint8_t *nonce;
	const uint8_t *ad;
	size_t ad_len;
	const uint8_t *src;
	uint8_t *dst;
	size_t len;
};

/**
 * struct aead_backend - One implementation of ChaCha20-Poly1305
 * @new:	0, -ENOMEM or -ENOTSUP
 * @free:	Takes NULL
 * @seal:	Job after job: text and tag written before the next job is read
 * @open:	Likewise, sets @ok
 * @seal_one, @open_one: With additional data; open_one returns whether the tag verified
 */
struct aead_backend {
	enum suite_backend id;
	int (*new)(void **ret);
	void (*free)(void *self);
	void (*seal)(void *self, struct aead_job *jobs, size_t n);
	void (*open)(void *self, struct aead_job *jobs, size_t n);
	void (*seal_one)(void *self, const struct aead_message *m, uint8_t tag[AEAD_TAG_LEN]);
	bool (*open_one)(void *self, const struct aead_message *m,
			 const uint8_t tag[AEAD_TAG_LEN]);
};

#ifdef HAVE_IPSEC_MB
extern const struct aead_backend aead_ipsecmb;
#endif
extern const struct aead_backend aead_openssl;

/* Hash and MAC contexts, made once. */
struct hash_tools {
	EVP_MD *blake2s;
	EVP_MD_CTX *hash;
	EVP_MAC *blake2s_mac;
	EVP_MAC_CTX *mac;
};

int hash_tools_init(struct hash_tools *h);
void hash_tools_done(struct hash_tools *h);

/**
 * struct dh_slot - A private key kept ready for dh()
 * @ctx:	NULL when the slot is free
 */
struct dh_slot {
	struct secret_key key;
	EVP_PKEY_CTX *ctx;
};

/* One for the key of the host, one for the ephemeral key of the handshake at hand. */
enum { DH_SLOTS = 2 };

/**
 * struct dh_tools - X25519 without what OpenSSL would do again for each call
 * @maker:	Makes key objects
 * @peer:	One key object, overwritten with each public key
 * @slots:	Most recently used first
 */
struct dh_tools {
	EVP_PKEY_CTX *maker;
	EVP_PKEY *peer;
	struct dh_slot slots[DH_SLOTS];
};

int dh_tools_init(struct dh_tools *d);
void dh_tools_done(struct dh_tools *d);

struct suite {
	const struct aead_backend *aead;
	void *aead_self;
	struct hash_tools hash;
	struct dh_tools dh;
};

/** suite_nonce() - WireGuard's nonce: four zero octets, then the counter little-endian */
static inline void suite_nonce(uint8_t nonce[12], uint64_t counter)
{
	for (int i = 0; i < 4; i++)
		nonce[i] = 0;
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(counter >> (8 * i));
}

/** suite_tags_equal() - Constant time, without a call: it runs once per packet */
static inline bool suite_tags_equal(const uint8_t a[AEAD_TAG_LEN],
				    const uint8_t b[AEAD_TAG_LEN])
{
	uint64_t x[2], y[2];

	__builtin_memcpy(x, a, sizeof(x));
	__builtin_memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/** suite_fatal() - A primitive failed that cannot fail: stop before anything is sent */
_Noreturn void suite_fatal(void);

/** suite_require() - @result is what OpenSSL calls return: 1 for success */
static inline void suite_require(int result)
{
	if (__builtin_expect(result != 1, 0))
		suite_fatal();
}
