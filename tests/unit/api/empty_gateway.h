/* SPDX-License-Identifier: Apache-2.0 */
/*
 * empty_gateway.h - A gateway on a store that keeps nothing, for what only asks it
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"

static int empty_apply(struct store *s, struct store_change *first)
{
	(void)s;
	for (; first; first = first->next)
		first->result = 0;
	return 0;
}

static int empty_peers(struct store *s, store_peer_visitor visit, void *context)
{
	(void)s, (void)visit, (void)context;
	return 0;
}

static int empty_resting(struct store *s, store_resting_visitor visit, void *context)
{
	(void)s, (void)visit, (void)context;
	return 0;
}

static struct profile_rows empty_rows; /* what the store has of levels: the test's */
static struct generator empty_generator;

static inline void empty_gateway_seed(void)
{
	static const uint8_t seed[GENERATOR_SEED_LEN] = { 7 };

	generator_init(&empty_generator, seed);
}

static int empty_profiles(struct store *s, store_profile_visitor visit, void *context)
{
	int err = 0;

	(void)s;
	for (size_t i = 0; i < empty_rows.n && err == 0; i++)
		err = visit(context, &empty_rows.rows[i]);
	return err;
}

static int empty_records(struct store *s, store_record_visitor visit, void *context)
{
	(void)s, (void)visit, (void)context;
	return 0;
}

static int empty_answered(struct store *s, store_answered_visitor visit, void *context)
{
	(void)s, (void)visit, (void)context;
	return 0;
}

static int empty_maintain(struct store *s)
{
	(void)s;
	return 0;
}

static void empty_committed(void *context, struct store_change *first)
{
	(void)context, (void)first;
}

static uint64_t empty_idle(void *context)
{
	(void)context;
	return UINT64_C(1000000000);
}

/* Its public key is all 0x4d, its port 51820. */
static struct gateway *empty_gateway(void)
{
	static const struct store_ops ops = { .apply = empty_apply,
					      .load_peers = empty_peers,
					      .load_resting = empty_resting,
					      .load_profiles = empty_profiles,
					      .load_records = empty_records,
					      .load_answered = empty_answered,
					      .maintain = empty_maintain };
	static struct store store = { &ops };
	struct writer_callbacks callbacks = { .committed = empty_committed,
					      .idle = empty_idle };
	struct gateway_config config = { .interface = "wg0",
					 .port = 51820,
					 .generator = &empty_generator };
	struct gateway *g = NULL;
	struct diag d = { .text = "" };

	memset(config.public_key, 0x4d, sizeof(config.public_key));
	if (ip_prefix_parse("10.0.1.0/24", true, &config.subnet4) != 0 ||
	    ip_prefix_parse("fd00::/64", true, &config.subnet6) != 0 ||
	    gateway_new(&config, &store, &callbacks, 5000, &g, &d) != 0)
		abort();
	return g;
}
