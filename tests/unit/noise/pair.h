/* SPDX-License-Identifier: Apache-2.0 */
/* Two hosts that know each other, and the steps of a handshake between them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../crypto/seeded.h"
#include "base/err.h"
#include "noise/handshake.h"

enum { I_INDEX = 0x11223344, R_INDEX = 0x55667788 };

/* @i, @r: initiator and responder, with what each knows of the other */
struct pair {
	struct suite *suite;
	struct secret_key i_key, r_key;
	struct noise_identity i, r;
	struct noise_remote i_sees_r, r_sees_i;
};

static inline void pair_meet(struct pair *p, struct suite *suite, bool with_psk)
{
	memset(p, 0, sizeof(*p));
	p->suite = suite;
	seeded_fill(&p->i_key, sizeof(p->i_key));
	seeded_fill(&p->r_key, sizeof(p->r_key));
	noise_identity_init(&p->i, suite, &p->i_key);
	noise_identity_init(&p->r, suite, &p->r_key);
	memcpy(p->i_sees_r.public_key, p->r.public_key, NOISE_KEY_LEN);
	memcpy(p->r_sees_i.public_key, p->i.public_key, NOISE_KEY_LEN);
	if (with_psk)
		seeded_fill(&p->i_sees_r.preshared_key, sizeof(struct secret_key));
	p->r_sees_i.preshared_key = p->i_sees_r.preshared_key;
}

static inline int pair_initiate(struct pair *p, const uint8_t random[32],
				const uint8_t time[12], struct noise_handshake *hs,
				struct msg_initiation *m)
{
	return noise_initiation_create(p->suite, &p->i, &p->i_sees_r, MESSAGE_INITIATION,
				       I_INDEX, random, time, hs, m);
}

/* Everything a responder does; @time is the label it read. */
static inline int pair_answer(struct pair *p, const struct msg_initiation *m,
			      const uint8_t random[32], uint8_t time[12],
			      struct msg_response *out, struct noise_keys *keys)
{
	struct noise_handshake hs;
	int err = noise_initiation_open(p->suite, &p->r, m, &hs);

	if (err == 0 && memcmp(hs.remote_static, p->r_sees_i.public_key, NOISE_KEY_LEN) != 0)
		err = ERR_UNKNOWN;
	if (err == 0)
		err = noise_initiation_finish(p->suite, &p->r, &p->r_sees_i, m, &hs, time);
	if (err != 0)
		return err;
	return noise_response_create(p->suite, &hs, &p->r_sees_i, MESSAGE_RESPONSE, R_INDEX,
				     le32_value(m->sender), random, out, keys);
}

static inline int pair_accept(struct pair *p, const struct noise_handshake *hs,
			      const struct msg_response *m, struct noise_keys *keys)
{
	return noise_response_accept(p->suite, &p->i, &p->i_sees_r, hs, m, keys);
}
