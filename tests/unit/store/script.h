/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.h - A script of changes, drawn from a seed, and the state of a store as one number
 *
 * For tests that end something in the middle of it.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "store/store.h"

enum {
	PEERS = 24, /* keys in use */
	GROUP = 4,  /* changes at once, at most */
};

static const struct secret_key master = { { 7, 7, 7 } };

/* Ids are drawn from a sequence, and what was undone leaves a gap in it. */
static bool script_ids_have_gaps;

static uint64_t draw_state;

static unsigned int draw(unsigned int below)
{
	draw_state = draw_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned int)((draw_state >> 33) % below);
}

/* --- The state of a store as one number --- */

static uint64_t mixed(uint64_t h, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * UINT64_C(1099511628211);
	return (h ^ len) * UINT64_C(1099511628211);
}

static uint64_t mixed_text(uint64_t h, const char *text)
{
	return text ? mixed(h, text, strlen(text)) : mixed(h, "", 0) + 1;
}

static uint64_t mixed_number(uint64_t h, uint64_t n)
{
	return mixed(h, &n, sizeof(n));
}

static uint64_t mixed_id(uint64_t h, int64_t id)
{
	return script_ids_have_gaps ? h : mixed_number(h, (uint64_t)id);
}

static int mix_peer(void *context, const struct store_peer *p)
{
	uint64_t *h = context, a = mixed_id(*h, p->id);

	a = mixed(a, p->public_key, 32);
	a = mixed_text(a, p->name);
	a = mixed(a, p->v4.b, 4);
	a = mixed(a, p->v6.b, 16);
	a = mixed_number(a, (uint64_t)p->status << 8 | p->blocked);
	a = mixed_number(a, (uint64_t)p->account_id);
	a = mixed(a, p->preshared_key.b, 32);
	a = mixed_number(a, p->quota_bytes);
	a = mixed_text(a, p->note);
	*h = mixed_number(a, p->changed_ns);
	return 0;
}

static int mix_resting(void *context, const struct store_resting *r)
{
	uint64_t *h = context;

	*h = mixed_number(mixed(*h, r->ip.b, r->ip.family == ADDR_V4 ? 4 : 16), r->until_ns);
	return 0;
}

static int mix_signature(void *context, const struct store_signature *s)
{
	uint64_t *h = context;

	*h = mixed_number(mixed(*h, s->digest, STORE_DIGEST_LEN), s->signed_s);
	return 0;
}

static int mix_profile(void *context, const struct store_profile *p)
{
	uint64_t *h = context;

	*h = mixed_number(mixed_text(mixed_text(*h, p->name), p->parameters), p->until_ns);
	return 0;
}

static int mix_record(void *context, const struct store_record *r)
{
	uint64_t *h = context;

	*h = mixed_text(mixed_text(mixed_id(*h, r->id), r->name), r->body);
	return 0;
}

static int mix_usage(void *context, const struct store_usage *u)
{
	uint64_t *h = context;

	*h = mixed(mixed_id(*h, u->peer_id), u->data, u->len);
	return 0;
}

static int mix_answered(void *context, const struct store_answered *a)
{
	uint64_t *h = context;

	*h = mixed_id(mixed(*h, a->digest, STORE_DIGEST_LEN), a->subject);
	return 0;
}

static uint8_t last_hash[SEAL_CHAIN_LEN];

static int mix_audit(void *context, const struct store_audit *a)
{
	uint64_t *h = context;
	const char *name;

	CHECK(a->is_chained && memcmp(a->prev, last_hash, SEAL_CHAIN_LEN) == 0);
	memcpy(last_hash, a->hash, SEAL_CHAIN_LEN);

	*h = mixed_text(mixed_number(*h, (uint64_t)a->row.id), a->row.action);
	if (script_ids_have_gaps) { /* "peer 7 peer3": without the id, and what it makes of the hash */
		name = strchr(a->row.subject, ' ');
		*h = mixed_text(*h, name ? strchr(name + 1, ' ') : NULL);
		return 0;
	}
	*h = mixed_text(*h, a->row.subject);
	*h = mixed(mixed(*h, a->prev, SEAL_CHAIN_LEN), a->hash, SEAL_CHAIN_LEN);
	return 0;
}

static uint64_t state_of(struct store *s)
{
	uint64_t h = UINT64_C(14695981039346656037), floor_s = 0;

	CHECK(store_load_peers(s, mix_peer, &h) == 0);
	CHECK(store_load_resting(s, mix_resting, &h) == 0);
	CHECK(store_load_signatures(s, mix_signature, &h, &floor_s) == 0);
	CHECK(store_load_profiles(s, mix_profile, &h) == 0);
	CHECK(store_load_records(s, mix_record, &h) == 0);
	CHECK(store_load_usage(s, mix_usage, &h) == 0);
	CHECK(store_load_answered(s, mix_answered, &h) == 0);
	memset(last_hash, 0, sizeof(last_hash));
	CHECK(store_read_audit(s, 0, 100000, mix_audit, &h) == 0);
	return mixed_number(h, floor_s);
}

/* --- The script --- */

/* What it knows of the store, so that most of its changes are possible. */
struct script {
	uint64_t seed;
	int64_t peers[PEERS]; /* ids; 0: not there */
	int64_t records[PEERS];
	struct store_usage usage;
	struct store_profile profile;
	char texts[GROUP][64];
};

static void describe_peer(struct store_change *c, unsigned int k)
{
	c->peer.public_key[0] = (uint8_t)(k + 1);
	c->peer.v4 = (struct ip_addr){ ADDR_V4, { 10, 0, (uint8_t)draw(4), (uint8_t)(k + 2) } };
	c->peer.v6 =
		(struct ip_addr){ ADDR_V6,
				  { 0xfd, [14] = c->peer.v4.b[2], [15] = (uint8_t)(k + 2) } };
	snprintf(c->peer.name, sizeof(c->peer.name), "peer%u", k);
	c->peer.status = draw(2) ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED;
	c->peer.families = STORE_IPV4 | STORE_IPV6;
	c->peer.quota_bytes = draw(1000);
	c->peer.preshared_key.b[0] = (uint8_t)draw(256);
	c->sets_preshared_key = true;
}

static void draw_peer(struct script *script, struct store_change *c, unsigned int k)
{
	c->peer.id = script->peers[k];
	if (!c->peer.id) {
		c->kind = STORE_ADD_PEER;
		snprintf(c->action, sizeof(c->action), "peer.create");
		describe_peer(c, k);
	} else if (draw(3)) {
		c->kind = STORE_CHANGE_PEER;
		snprintf(c->action, sizeof(c->action), "peer.update");
		describe_peer(c, k);
		c->peer.changed_ns = c->now_ns;
		c->is_moved = true;
		c->rest_until_ns = c->now_ns + draw(5);
	} else {
		c->kind = STORE_REMOVE_PEER;
		snprintf(c->action, sizeof(c->action), "peer.delete");
		c->rest_until_ns = draw(2) ? c->now_ns + 5 : 0;
	}
}

static void draw_record(struct script *script, struct store_change *c, unsigned int k,
			char text[64])
{
	c->record.id = script->records[k];
	c->record.kind = draw(2) ? STORE_SETTING : STORE_WEBHOOK;
	c->kind = c->record.id && draw(3) == 0 ? STORE_DROP_RECORD : STORE_PUT_RECORD;
	snprintf(c->record.name, sizeof(c->record.name), "record%u", k);
	snprintf(text, 64, "{\"n\":%u}", draw(1000000));
	c->record.body = text;
}

static void draw_other(struct script *script, struct store_change *c, unsigned int k,
		       char text[64])
{
	snprintf(text, 64, "jc=%u", draw(10));
	if (draw(2)) {
		script->profile = (struct store_profile){
			.name = "low", .level = FRAME_LOW, .parameters = text, .created_ns = 1
		};
		c->kind = STORE_SET_PROFILES;
		c->profiles = &script->profile;
		c->n_profiles = 1;
		return;
	}
	script->usage = (struct store_usage){ script->peers[k], text, strlen(text) };
	c->kind = STORE_SET_USAGE;
	c->usage = &script->usage;
	c->n_usage = script->peers[k] != 0;
}

static void draw_change(struct script *script, struct store_change *c, unsigned int step,
			unsigned int i)
{
	unsigned int k = draw(PEERS), kind = draw(8);

	*c = (struct store_change){ .now_ns = 1000 + step, .who = "script" };
	if (kind < 5)
		draw_peer(script, c, k);
	else if (kind < 7)
		draw_record(script, c, k, script->texts[i]);
	else
		draw_other(script, c, k, script->texts[i]);
	c->is_joined = i > 0 && draw(3) == 0;
	c->has_signature = draw(4) == 0;
	c->digest[0] = (uint8_t)draw(256);
	c->signed_s = step;
	c->has_answered = c->kind == STORE_ADD_PEER && draw(2);
	c->answered_digest[0] = (uint8_t)draw(256);
}

static void learn(struct script *script, const struct store_change *c)
{
	if (c->result != 0)
		return;
	if (c->kind == STORE_ADD_PEER || c->kind == STORE_REMOVE_PEER)
		for (unsigned int k = 0; k < PEERS; k++)
			if (c->kind == STORE_ADD_PEER ? c->peer.public_key[0] == k + 1
						      : script->peers[k] == c->peer.id)
				script->peers[k] = c->kind == STORE_ADD_PEER ? c->peer.id : 0;
	if (c->kind == STORE_PUT_RECORD || c->kind == STORE_DROP_RECORD)
		script->records[strtoul(c->record.name + 6, NULL, 10)] =
			c->kind == STORE_PUT_RECORD ? c->record.id : 0;
}

/* One step: a group, or the log's way into the file. Return: what the store said. */
static int take_step(struct script *script, struct store *s, unsigned int step)
{
	struct store_change group[GROUP];
	unsigned int n = 1 + draw(GROUP);
	int err;

	if (draw(8) == 0)
		return store_maintain(s);
	for (unsigned int i = 0; i < n; i++) {
		draw_change(script, &group[i], step, i);
		if (i > 0)
			group[i - 1].next = &group[i];
	}
	err = store_apply(s, group);
	for (unsigned int i = 0; i < n && err == 0; i++)
		learn(script, &group[i]);
	return err;
}
