/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * The ladder itself is all that should cost anything. OpenSSL would add, for each
 * private key it takes in, the matching public key (as much again as the ladder),
 * and for each call several small objects. So a private key is imported together
 * with a stand-in for its public key, which the exchange never looks at; two
 * private keys stay imported (the host's, and the ephemeral one of the handshake
 * at hand); and there is one peer object whose public key is overwritten.
 *
 * Public keys are made by libsodium's fixed-base multiplication, which uses a
 * table and takes less than half of a ladder.
 */
#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <sodium/crypto_scalarmult_curve25519.h>

#include "crypto/suite_parts.h"

static const uint8_t base_point[32] = { 9 };

void dh_clamp(struct secret_key *k)
{
	k->b[0] &= 248;
	k->b[31] = (uint8_t)((k->b[31] & 127) | 64);
}

static EVP_PKEY *import(struct dh_tools *d, int selection, const uint8_t *private,
			const uint8_t *public)
{
	OSSL_PARAM params[3];
	EVP_PKEY *key = NULL;
	size_t n = 0;

	params[n++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
							(void *)(uintptr_t) public, 32);
	if (private)
		params[n++] = OSSL_PARAM_construct_octet_string(
			OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t) private, 32);
	params[n] = OSSL_PARAM_construct_end();
	return EVP_PKEY_fromdata(d->maker, &key, selection, params) == 1 ? key : NULL;
}

int dh_tools_init(struct dh_tools *d)
{
	d->maker = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	if (!d->maker || EVP_PKEY_fromdata_init(d->maker) != 1)
		return -ENOTSUP;
	d->peer = import(d, EVP_PKEY_PUBLIC_KEY, NULL, base_point);
	return d->peer ? 0 : -ENOMEM;
}

static void empty(struct dh_slot *slot)
{
	EVP_PKEY_CTX_free(slot->ctx); /* the last reference to the key: wiped */
	secret_wipe(slot, sizeof(*slot));
}

void dh_tools_done(struct dh_tools *d)
{
	for (size_t i = 0; i < DH_SLOTS; i++)
		empty(&d->slots[i]);
	EVP_PKEY_free(d->peer);
	EVP_PKEY_CTX_free(d->maker);
	*d = (struct dh_tools){ 0 };
}

static void fill(struct dh_tools *d, struct dh_slot *slot, const struct secret_key *k)
{
	EVP_PKEY *key = import(d, EVP_PKEY_KEYPAIR, k->b, base_point);

	if (!key)
		suite_fatal();
	slot->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	EVP_PKEY_free(key); /* the context holds it */
	if (!slot->ctx)
		suite_fatal();
	suite_require(EVP_PKEY_derive_init(slot->ctx));
	slot->key = *k;
}

static struct dh_slot *find(struct dh_tools *d, const struct secret_key *k)
{
	for (size_t i = 0; i < DH_SLOTS; i++) {
		if (d->slots[i].ctx && secret_equal(&d->slots[i].key, k, sizeof(*k)))
			return &d->slots[i];
	}
	return NULL;
}

/* The slot of @k, at the front; the one used longest ago gives way to a new key. */
static EVP_PKEY_CTX *ready(struct dh_tools *d, const struct secret_key *k)
{
	struct dh_slot *slot = find(d, k);
	struct dh_slot first;

	if (!slot) {
		slot = &d->slots[DH_SLOTS - 1];
		empty(slot);
		fill(d, slot, k);
	}
	if (slot != d->slots) {
		first = *slot;
		memmove(d->slots + 1, d->slots, (size_t)(slot - d->slots) * sizeof(*slot));
		d->slots[0] = first;
		secret_wipe(&first, sizeof(first));
	}
	return d->slots[0].ctx;
}

void dh_public(struct suite *s, uint8_t out[32], const struct secret_key *k)
{
	(void)s;
	if (secret_is_zero(k, sizeof(*k)))
		memset(out, 0, 32);
	else if (crypto_scalarmult_curve25519_base(out, k->b) != 0)
		suite_fatal();
}

bool dh(struct suite *s, uint8_t out[32], const struct secret_key *k, const uint8_t pub[32])
{
	EVP_PKEY_CTX *ctx = ready(&s->dh, k);
	size_t len = 32;

	suite_require(EVP_PKEY_set1_encoded_public_key(s->dh.peer, pub, 32));
	suite_require(EVP_PKEY_derive_set_peer_ex(ctx, s->dh.peer, 0));
	if (EVP_PKEY_derive(ctx, out, &len) == 1 && !secret_is_zero(out, 32))
		return true;
	ERR_clear_error(); /* a low-order key is the peer's doing, not an error of ours */
	memset(out, 0, 32);
	return false;
}

void dh_forget(struct suite *s, const struct secret_key *k)
{
	struct dh_slot *slot = find(&s->dh, k);

	if (slot)
		empty(slot);
}
