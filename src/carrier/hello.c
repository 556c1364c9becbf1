/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/hello.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "crypto/secret.h"

/* The first octets of a connection are printable: a filter that looks for traffic without any
 * structure lets it pass. */
static const char magic[] = "CULVERT1";

enum { MAGIC_LEN = sizeof(magic) - 1, LABEL_LEN = 24 };

/* Same length, so that no label is the beginning of another message. */
static const char labels[][LABEL_LEN + 1] = {
	[HELLO_CLIENT] = "culvert carrier client 1",
	[HELLO_SERVER] = "culvert carrier server 1",
};
static const char tag_label[LABEL_LEN + 1] = "culvert carrier lookup 1";

static void mac(const uint8_t key[HELLO_KEY_LEN], const void *data, size_t len, uint8_t out[32])
{
	unsigned int n = 32;

	if (!HMAC(EVP_sha256(), key, HELLO_KEY_LEN, data, len, out, &n) || n != 32)
		abort(); /* the library is broken or out of memory */
}

void hello_digest(const char *key, size_t len, uint8_t out[HELLO_KEY_LEN])
{
	if (EVP_Digest(key, len, out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

void hello_tag(const uint8_t digest[HELLO_KEY_LEN], uint8_t out[HELLO_TAG_LEN])
{
	uint8_t whole[32];

	mac(digest, tag_label, LABEL_LEN, whole);
	memcpy(out, whole, HELLO_TAG_LEN);
}

void hello_put(const struct hello *h, uint8_t out[HELLO_LEN])
{
	memcpy(out, magic, MAGIC_LEN);
	memcpy(out + MAGIC_LEN, h->tag, HELLO_TAG_LEN);
	memcpy(out + MAGIC_LEN + HELLO_TAG_LEN, h->client_nonce, HELLO_NONCE_LEN);
}

bool hello_read(struct hello *h, const uint8_t in[HELLO_LEN])
{
	if (memcmp(in, magic, MAGIC_LEN) != 0)
		return false;
	memcpy(h->tag, in + MAGIC_LEN, HELLO_TAG_LEN);
	memcpy(h->client_nonce, in + MAGIC_LEN + HELLO_TAG_LEN, HELLO_NONCE_LEN);
	return true;
}

void hello_prove(const struct hello *h, enum hello_side side,
		 const uint8_t digest[HELLO_KEY_LEN], uint8_t out[HELLO_PROOF_LEN])
{
	uint8_t text[LABEL_LEN + HELLO_TAG_LEN + 2 * HELLO_NONCE_LEN], *to = text;

	memcpy(to, labels[side], LABEL_LEN);
	to += LABEL_LEN;
	memcpy(to, h->tag, HELLO_TAG_LEN);
	to += HELLO_TAG_LEN;
	memcpy(to, h->client_nonce, HELLO_NONCE_LEN);
	memcpy(to + HELLO_NONCE_LEN, h->server_nonce, HELLO_NONCE_LEN);
	mac(digest, text, sizeof(text), out);
}

bool hello_is_proof(const struct hello *h, enum hello_side side,
		    const uint8_t digest[HELLO_KEY_LEN], const uint8_t proof[HELLO_PROOF_LEN])
{
	uint8_t right[HELLO_PROOF_LEN];
	bool is_equal;

	hello_prove(h, side, digest, right);
	is_equal = secret_equal(right, proof, sizeof(right));
	secret_wipe(right, sizeof(right));
	return is_equal;
}
