/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/keys.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sodium/crypto_hash_sha256.h>

#include "base/err.h"
#include "crypto/secret.h"

enum { BUCKETS = 1 << 15 };

static_assert(KEYS_DIGEST_LEN == (int)crypto_hash_sha256_BYTES, "SHA-256");

struct proxy_keys {
	pthread_rwlock_t lock;
	struct proxy_key *buckets[BUCKETS];
	size_t n;
	uint64_t generation;
	atomic_uint removals;
};

/* The digest is a hash: nobody chooses where it goes. */
static size_t bucket(const uint8_t digest[KEYS_DIGEST_LEN])
{
	return ((size_t)digest[0] << 8 | digest[1]) & (BUCKETS - 1);
}

int proxy_keys_new(struct proxy_keys **ret)
{
	struct proxy_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	pthread_rwlock_init(&k->lock, NULL);
	*ret = k;
	return 0;
}

/* Where a key hangs; the end of its chain when it is not there. */
static struct proxy_key **find(struct proxy_keys *k, const uint8_t digest[KEYS_DIGEST_LEN])
{
	struct proxy_key **at = &k->buckets[bucket(digest)];

	while (*at && !secret_equal((*at)->digest, digest, KEYS_DIGEST_LEN))
		at = &(*at)->next;
	return at;
}

struct proxy_key *proxy_keys_find(struct proxy_keys *k, const void *key, size_t len)
{
	uint8_t digest[KEYS_DIGEST_LEN];
	struct proxy_key *found;

	crypto_hash_sha256(digest, key, len);
	pthread_rwlock_rdlock(&k->lock);
	found = *find(k, digest);
	if (found)
		atomic_fetch_add(&found->references, 1);
	pthread_rwlock_unlock(&k->lock);
	secret_wipe(digest, sizeof(digest));
	return found;
}

void proxy_key_release(struct proxy_key *key)
{
	if (key && atomic_fetch_sub(&key->references, 1) == 1)
		free(key);
}

size_t proxy_keys_count(struct proxy_keys *k)
{
	size_t n;

	pthread_rwlock_rdlock(&k->lock);
	n = k->n;
	pthread_rwlock_unlock(&k->lock);
	return n;
}

unsigned int proxy_keys_removals(const struct proxy_keys *k)
{
	return atomic_load(&k->removals);
}

bool proxy_keys_is_id(const char *id, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = id[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
		    c != '.' && c != '_' && c != '-')
			return false;
	}
	return len > 0 && len <= KEYS_ID_MAX;
}

static struct proxy_key *make(const char *id, const uint8_t digest[KEYS_DIGEST_LEN])
{
	struct proxy_key *key = calloc(1, sizeof(*key));

	if (!key)
		return NULL;
	for (size_t i = 0; i < KEYS_ID_MAX && id[i]; i++)
		key->id[i] = id[i];
	memcpy(key->digest, digest, KEYS_DIGEST_LEN);
	atomic_init(&key->references, 1); /* the table's */
	return key;
}

static int add(struct proxy_keys *k, struct proxy_key **at, const char *id,
	       const uint8_t digest[KEYS_DIGEST_LEN])
{
	struct proxy_key *key;

	if (k->n == KEYS_MAX)
		return ERR_LIMIT;
	key = make(id, digest);
	if (!key)
		return -ENOMEM;
	key->generation = k->generation;
	*at = key;
	k->n++;
	return 0;
}

int proxy_keys_put(struct proxy_keys *k, const char *id, const uint8_t digest[KEYS_DIGEST_LEN])
{
	struct proxy_key **at;
	int err = 0;

	pthread_rwlock_wrlock(&k->lock);
	at = find(k, digest);
	if (*at)
		(*at)->generation = k->generation;
	else
		err = add(k, at, id, digest);
	pthread_rwlock_unlock(&k->lock);
	return err;
}

static void unlink_at(struct proxy_keys *k, struct proxy_key **at)
{
	struct proxy_key *key = *at;

	*at = key->next;
	k->n--;
	atomic_store(&key->is_gone, true);
	atomic_fetch_add(&k->removals, 1);
	proxy_key_release(key);
}

void proxy_keys_remove(struct proxy_keys *k, const uint8_t digest[KEYS_DIGEST_LEN])
{
	struct proxy_key **at;

	pthread_rwlock_wrlock(&k->lock);
	at = find(k, digest);
	if (*at)
		unlink_at(k, at);
	pthread_rwlock_unlock(&k->lock);
}

void proxy_keys_begin(struct proxy_keys *k)
{
	k->generation++;
}

void proxy_keys_commit(struct proxy_keys *k)
{
	pthread_rwlock_wrlock(&k->lock);
	for (size_t i = 0; i < BUCKETS; i++) {
		struct proxy_key **at = &k->buckets[i];

		while (*at) {
			if ((*at)->generation == k->generation)
				at = &(*at)->next;
			else
				unlink_at(k, at);
		}
	}
	pthread_rwlock_unlock(&k->lock);
}

struct proxy_keys *proxy_keys_free(struct proxy_keys *k)
{
	if (!k)
		return NULL;
	proxy_keys_begin(k);
	proxy_keys_commit(k);
	pthread_rwlock_destroy(&k->lock);
	free(k);
	return NULL;
}
