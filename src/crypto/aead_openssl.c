/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "crypto/suite_parts.h"

/* One context per direction: turning a context round would set it up again. */
struct evp {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
};

/* Everything before the tag. @m->len is at most an IP packet, so it fits int. */
static void run(EVP_CIPHER_CTX *ctx, const struct aead_message *m)
{
	int len;

	if (m->len > INT_MAX || m->ad_len > INT_MAX)
		suite_fatal();
	suite_require(EVP_CipherInit_ex2(ctx, NULL, m->key, m->nonce, -1, NULL));
	if (m->ad_len)
		suite_require(EVP_CipherUpdate(ctx, NULL, &len, m->ad, (int)m->ad_len));
	if (m->len)
		suite_require(EVP_CipherUpdate(ctx, m->dst, &len, m->src, (int)m->len));
}

static void seal_one(void *self, const struct aead_message *m, uint8_t tag[AEAD_TAG_LEN])
{
	const struct evp *e = self;
	OSSL_PARAM get_tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag,
						  AEAD_TAG_LEN),
		OSSL_PARAM_END,
	};
	uint8_t nothing[16]; /* the last call writes no text, but wants to be able to */
	int len;

	run(e->seal, m);
	suite_require(EVP_CipherFinal_ex(e->seal, nothing, &len));
	suite_require(EVP_CIPHER_CTX_get_params(e->seal, get_tag));
}

static bool open_one(void *self, const struct aead_message *m, const uint8_t tag[AEAD_TAG_LEN])
{
	const struct evp *e = self;
	uint8_t expected[AEAD_TAG_LEN], nothing[16];
	OSSL_PARAM set_tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, expected,
						  AEAD_TAG_LEN),
		OSSL_PARAM_END,
	};
	int len;

	memcpy(expected, tag, sizeof(expected));
	run(e->open, m);
	suite_require(EVP_CIPHER_CTX_set_params(e->open, set_tag));
	if (EVP_CipherFinal_ex(e->open, nothing, &len) == 1) /* compares in constant time */
		return true;
	ERR_clear_error(); /* a forgery is not an error of this process */
	return false;
}

static void seal(void *self, struct aead_job *jobs, size_t n)
{
	uint8_t nonce[12];

	for (size_t i = 0; i < n; i++) {
		const struct aead_job *j = &jobs[i];

		suite_nonce(nonce, j->counter);
		seal_one(self,
			 &(struct aead_message){ .key = j->key,
						 .nonce = nonce,
						 .src = j->src,
						 .dst = j->dst,
						 .len = j->len },
			 j->dst + j->len);
	}
}

static void open(void *self, struct aead_job *jobs, size_t n)
{
	uint8_t nonce[12];

	for (size_t i = 0; i < n; i++) {
		struct aead_job *j = &jobs[i];

		suite_nonce(nonce, j->counter);
		j->ok = open_one(self,
				 &(struct aead_message){ .key = j->key,
							 .nonce = nonce,
							 .src = j->src,
							 .dst = j->dst,
							 .len = j->len },
				 j->src + j->len);
	}
}

static void release(void *self)
{
	struct evp *e = self;

	if (!e)
		return;
	EVP_CIPHER_CTX_free(e->seal); /* wipes its key */
	EVP_CIPHER_CTX_free(e->open);
	EVP_CIPHER_free(e->cipher);
	free(e);
}

static int new (void **ret)
{
	struct evp *e = calloc(1, sizeof(*e));
	int err = -ENOMEM;

	if (!e)
		return -ENOMEM;
	e->cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	if (!e->cipher) {
		err = -ENOTSUP;
		goto out;
	}
	e->seal = EVP_CIPHER_CTX_new();
	e->open = EVP_CIPHER_CTX_new();
	if (!e->seal || !e->open)
		goto out;
	if (EVP_CipherInit_ex2(e->seal, e->cipher, NULL, NULL, 1, NULL) != 1 ||
	    EVP_CipherInit_ex2(e->open, e->cipher, NULL, NULL, 0, NULL) != 1)
		goto out;
	*ret = e;
	return 0;
out:
	release(e);
	return err;
}

const struct aead_backend aead_openssl = {
	.id = SUITE_OPENSSL,
	.new = new,
	.free = release,
	.seal = seal,
	.open = open,
	.seal_one = seal_one,
	.open_one = open_one,
};
