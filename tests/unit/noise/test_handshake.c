/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake from both ends, and what each end does when the other lies. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "noise/handshake.h"

/* Two hosts that know each other. */
struct pair {
	struct suite *suite;
	struct noise_identity i, r;
	struct noise_remote i_sees_r, r_sees_i;
};

static struct suite *suite;
static uint64_t seed = 1;

static void fill_random(void *out, size_t len)
{
	uint8_t *b = out;

	for (size_t n = 0; n < len; n++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		b[n] = (uint8_t)(seed >> 56);
	}
}

static void meet(struct pair *p, bool with_psk)
{
	struct secret_key k;

	memset(p, 0, sizeof(*p));
	p->suite = suite;
	fill_random(&k, sizeof(k));
	noise_identity_init(&p->i, suite, &k);
	fill_random(&k, sizeof(k));
	noise_identity_init(&p->r, suite, &k);
	memcpy(p->i_sees_r.public_key, p->r.public_key, NOISE_KEY_LEN);
	memcpy(p->r_sees_i.public_key, p->i.public_key, NOISE_KEY_LEN);
	if (with_psk)
		fill_random(&p->i_sees_r.preshared_key, sizeof(struct secret_key));
	p->r_sees_i.preshared_key = p->i_sees_r.preshared_key;
}

static int initiate(struct pair *p, struct noise_handshake *hs, struct msg_initiation *m)
{
	uint8_t random[32], time[NOISE_TIME_LEN];

	fill_random(random, sizeof(random));
	noise_time(time, UINT64_C(1700000000123456789));
	return noise_initiation_create(suite, &p->i, &p->i_sees_r, MESSAGE_INITIATION, 11,
				       random, time, hs, m);
}

static int answer(struct pair *p, const struct msg_initiation *m, struct msg_response *out,
		  struct noise_keys *keys)
{
	struct noise_handshake hs;
	uint8_t random[32], time[NOISE_TIME_LEN];
	int err = noise_initiation_open(suite, &p->r, m, &hs);

	if (err == 0 && memcmp(hs.remote_static, p->r_sees_i.public_key, NOISE_KEY_LEN) != 0)
		err = ERR_UNKNOWN;
	if (err == 0)
		err = noise_initiation_finish(suite, &p->r, &p->r_sees_i, m, &hs, time);
	if (err != 0)
		return err;
	fill_random(random, sizeof(random));
	return noise_response_create(suite, &hs, &p->r_sees_i, MESSAGE_RESPONSE, 22,
				     le32_value(m->sender), random, out, keys);
}

static void both_ends_derive_the_same_keys(void)
{
	for (int with_psk = 0; with_psk < 2; with_psk++) {
		struct pair p;
		struct noise_handshake hs;
		struct msg_initiation m1;
		struct msg_response m2;
		struct noise_keys ik, rk;

		meet(&p, with_psk);
		CHECK(initiate(&p, &hs, &m1) == 0);
		CHECK(answer(&p, &m1, &m2, &rk) == 0);
		CHECK(noise_response_accept(suite, &p.i, &p.i_sees_r, &hs, &m2, &ik) == 0);
		CHECK(secret_equal(&ik.send, &rk.receive, sizeof(ik.send)));
		CHECK(secret_equal(&ik.receive, &rk.send, sizeof(ik.send)));
		CHECK(!secret_equal(&ik.receive, &ik.send, sizeof(ik.send)));
		CHECK(le32_value(m2.receiver) == 11 && le32_value(m2.sender) == 22);
	}
}

int main(void)
{
	if (suite_new(SUITE_BEST, &suite) != 0)
		return 1;
	RUN(both_ends_derive_the_same_keys);
	suite_free(suite);
	return DONE();
}
