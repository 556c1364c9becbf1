/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/e2e.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"

/* Fails only when the library is broken or out of memory: better no process than a wrong key. */
static void must(bool done)
{
	if (!done)
		abort();
}

/* RFC 5869 with one block of output and no salt. */
static void hkdf(const uint8_t secret[32], const char *info, uint8_t out[32])
{
	static const uint8_t no_salt[32];
	uint8_t prk[32], text[32];
	size_t len;

	for (len = 0; info[len]; len++)
		text[len] = (uint8_t)info[len];
	text[len] = 1;
	must(HMAC(EVP_sha256(), no_salt, sizeof(no_salt), secret, 32, prk, NULL) != NULL);
	must(HMAC(EVP_sha256(), prk, sizeof(prk), text, len + 1, out, NULL) != NULL);
	secret_wipe(prk, sizeof(prk));
}

int e2e_init(struct suite *s, const struct secret_key *own, const uint8_t eph_pub[32],
	     struct e2e *ret)
{
	uint8_t shared[32];

	if (!dh(s, shared, own, eph_pub))
		return ERR_KEY;
	hkdf(shared, "e2e-req", ret->request.b);
	hkdf(shared, "e2e-resp", ret->reply.b);
	secret_wipe(shared, sizeof(shared));
	return 0;
}

void e2e_done(struct e2e *e)
{
	secret_wipe(e, sizeof(*e));
}

int e2e_open(const struct secret_key *key, const uint8_t *in, size_t len, uint8_t *out)
{
	const uint8_t *text = in + E2E_NONCE_LEN;
	uint8_t tag[E2E_TAG_LEN];
	EVP_CIPHER_CTX *c;
	int n, end;
	bool good;

	if (len < E2E_OVERHEAD || len > INT_MAX)
		return ERR_AUTH;
	n = (int)(len - E2E_OVERHEAD);
	memcpy(tag, text + n, sizeof(tag));
	c = EVP_CIPHER_CTX_new();
	must(c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->b, in) == 1);
	good = EVP_DecryptUpdate(c, out, &n, text, n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, sizeof(tag), tag) == 1 &&
	       EVP_DecryptFinal_ex(c, out + n, &end) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!good)
		secret_wipe(out, len - E2E_OVERHEAD);
	return good ? 0 : ERR_AUTH;
}

void e2e_close(const struct secret_key *key, const uint8_t nonce[E2E_NONCE_LEN],
	       const uint8_t *in, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n, end;

	must(c && len <= INT_MAX - E2E_OVERHEAD);
	memcpy(out, nonce, E2E_NONCE_LEN);
	out += E2E_NONCE_LEN;
	must(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->b, nonce) == 1 &&
	     EVP_EncryptUpdate(c, out, &n, in, (int)len) == 1 &&
	     EVP_EncryptFinal_ex(c, out + n, &end) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, E2E_TAG_LEN, out + len) == 1);
	EVP_CIPHER_CTX_free(c);
}
