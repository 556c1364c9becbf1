/* SPDX-License-Identifier: Apache-2.0 */
#include "forge.h"

#include <stdlib.h>
#include <string.h>

void forger_init(struct forger *f, const struct sim_node *target, const struct secret_key *key)
{
	struct secret_key own;

	*f = (struct forger){ .sim = target->sim, .type = MESSAGE_INITIATION };
	for (size_t i = 0; i < sizeof(own.b); i++)
		own.b[i] = (uint8_t)sim_random(target->sim);
	if (suite_new(SUITE_OPENSSL, &f->suite) != 0)
		abort();
	noise_identity_init(&f->identity, f->suite, key ? key : &own);
	memcpy(f->target.public_key, target->public_key, NOISE_KEY_LEN);
	noise_remote_prepare(&f->target, f->suite, &f->identity);
}

void forger_done(struct forger *f)
{
	noise_remote_done(&f->target);
	noise_identity_done(&f->identity);
	f->suite = suite_free(f->suite);
}

void forge_initiation(struct forger *f, uint32_t sender, uint64_t unix_ns,
		      struct msg_initiation *ret)
{
	struct noise_handshake hs;
	uint8_t random[32], label[NOISE_TIME_LEN];

	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)sim_random(f->sim);
	noise_time(label, unix_ns);
	if (noise_initiation_create(f->suite, &f->identity, &f->target, f->type, sender, random,
				    label, &hs, ret) != 0)
		abort();
	noise_handshake_done(&hs);
	cookie_sign(&f->maker, f->suite, f->target.public_key, f->sim->now_ns, ret,
		    sizeof(*ret));
}

bool forger_take_cookie(struct forger *f, const void *reply)
{
	return cookie_consume(&f->maker, f->suite, f->target.public_key, f->sim->now_ns, reply);
}

void forge_mac1(struct forger *f, const struct sim_node *to, void *message, uint32_t len)
{
	struct cookie_maker maker = { 0 };

	memset((uint8_t *)message + len - 2 * NOISE_MAC_LEN, 0, 2 * NOISE_MAC_LEN);
	cookie_sign(&maker, f->suite, to->public_key, 0, message, len);
}
