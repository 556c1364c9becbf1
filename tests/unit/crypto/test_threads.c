/* SPDX-License-Identifier: Apache-2.0 */
/* One suite per thread, all at work at once: nothing is shared, so nothing is mixed up. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <pthread.h>

#include "../test.h"
#include "crypto/suite.h"

enum { THREADS = 4, ROUNDS = 100, TEXT_LEN = 300 };

/* @digest: of everything the thread computed; the same inputs must give the same one */
struct worker {
	enum suite_backend backend;
	uint8_t digest[HASH_LEN];
	bool ok;
};

static bool work(struct suite *s, uint8_t digest[HASH_LEN])
{
	uint8_t pub[32], shared[32], mac[MAC_LEN], text[TEXT_LEN + AEAD_TAG_LEN] = { 1 };
	struct secret_key k = { { 7 } };

	for (uint8_t i = 0; i < ROUNDS; i++) {
		struct aead_job j = {
			.key = shared, .counter = i, .src = text, .dst = text, .len = TEXT_LEN
		};

		k.b[1] = i;
		dh_public(s, pub, &k);
		if (!dh(s, shared, &k, pub))
			return false;
		kdf(s, (uint8_t *[]){ shared }, 1, digest, shared, sizeof(shared));
		aead_seal(s, &j, 1);
		mac_parts(s, mac, shared, 32, &(struct hash_part){ text, sizeof(text) }, 1);
		hash_parts(s, digest,
			   (struct hash_part[]){ { digest, HASH_LEN }, { mac, MAC_LEN } }, 2);
		aead_open(s, &j, 1);
		if (!j.ok)
			return false;
		dh_forget(s, &k);
	}
	return true;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct suite *s = NULL;

	if (suite_new(w->backend, &s) == 0)
		w->ok = work(s, w->digest);
	suite_free(s);
	return NULL;
}

static void suites_of_several_threads_do_not_disturb_each_other(void)
{
	struct worker workers[THREADS] = { 0 };
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		workers[i].backend = i % 2 ? SUITE_OPENSSL : SUITE_BEST;
		CHECK(pthread_create(&threads[i], NULL, run, &workers[i]) == 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		CHECK(workers[i].ok);
		CHECK(memcmp(workers[i].digest, workers[0].digest, HASH_LEN) == 0);
	}
	CHECK(!secret_is_zero(workers[0].digest, HASH_LEN));
}

int main(void)
{
	RUN(suites_of_several_threads_do_not_disturb_each_other);
	return DONE();
}
