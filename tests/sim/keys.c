/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <stdbool.h>
#include <stdlib.h>

#include "net.h"

/* With a node: its key for receiving, under its own index. */
static const uint32_t HEARS = UINT32_C(1) << 31;
/* In place of a node: somebody's index. */
static const uint32_t ANNOUNCED = UINT32_MAX;

struct key {
	uint32_t node; /* who sends with it; 0: free slot */
	uint32_t index;
	uint64_t born_ns; /* 0: not seen */
	uint64_t life_ns;
	uint64_t next_counter;
};

struct sim_keys {
	struct key *slots;
	size_t mask, used;
};

struct sim_keys *sim_keys_new(void)
{
	struct sim_keys *k = calloc(1, sizeof(*k));

	k->mask = 1023;
	k->slots = calloc(k->mask + 1, sizeof(*k->slots));
	return k;
}

void sim_keys_free(struct sim_keys *k)
{
	free(k->slots);
	free(k);
}

static struct key *slot_for(struct sim_keys *k, uint32_t node, uint32_t index)
{
	size_t i = (index * UINT64_C(0x9e3779b97f4a7c15) + node) >> 20 & k->mask;

	for (;; i = (i + 1) & k->mask) {
		struct key *key = &k->slots[i];

		if (!key->node || (key->node == node && key->index == index))
			return key;
	}
}

static void grow(struct sim_keys *k)
{
	struct sim_keys bigger = { .mask = k->mask * 2 + 1, .used = k->used };

	bigger.slots = calloc(bigger.mask + 1, sizeof(*bigger.slots));
	for (size_t i = 0; i <= k->mask; i++) {
		if (k->slots[i].node)
			*slot_for(&bigger, k->slots[i].node, k->slots[i].index) = k->slots[i];
	}
	free(k->slots);
	*k = bigger;
}

static struct key *find_key(struct sim_keys *k, uint32_t node, uint32_t index)
{
	struct key *key = slot_for(k, node, index);

	if (key->node)
		return key;
	if (++k->used > k->mask / 2) {
		grow(k);
		key = slot_for(k, node, index);
	}
	*key = (struct key){ .node = node, .index = index };
	return key;
}

void sim_keys_announced(struct sim_keys *k, uint32_t index)
{
	(void)find_key(k, ANNOUNCED, index);
}

bool sim_keys_is_announced(struct sim_keys *k, uint32_t index)
{
	return slot_for(k, ANNOUNCED, index)->node != 0;
}

static void be_born(struct key *key, uint64_t now_ns, const struct sim_node *n,
		    const struct sim_datagram *d)
{
	key->born_ns = now_ns;
	key->life_ns = sim_key_life_ns(n, d->profile);
}

/* A response makes two keys: one for each direction, named by the receiver's index. The
 * responder has its own now. */
static void learn(struct sim_keys *k, const struct sim_datagram *d)
{
	const struct msg_response *m = (const void *)d->plain;
	struct key *key = find_key(k, d->from->id, le32_value(m->receiver));

	be_born(key, d->sent_ns, d->from, d);
	key->next_counter = 0; /* some 2^32 keys later an index comes back */
	be_born(find_key(k, d->from->id | HEARS, le32_value(m->sender)), d->sent_ns, d->from,
		d);
	if (!d->to)
		return;
	key = find_key(k, d->to->id, le32_value(m->sender));
	key->born_ns = 0;
	key->next_counter = 0;
	find_key(k, d->to->id | HEARS, le32_value(m->receiver))->born_ns = 0;
}

void sim_keys_arrived(struct sim_keys *k, const struct sim_node *at,
		      const struct sim_datagram *d, uint64_t now_ns)
{
	const struct msg_response *m = (const void *)d->plain;
	struct key *key = NULL;

	if (d->type != MESSAGE_RESPONSE || d->plain_len != sizeof(*m))
		return;
	key = find_key(k, at->id, le32_value(m->sender));
	if (!key->born_ns)
		be_born(key, now_ns + at->keeper_delay_ns, at, d);
	key = find_key(k, at->id | HEARS, le32_value(m->receiver));
	if (!key->born_ns)
		be_born(key, now_ns + at->keeper_delay_ns, at, d);
}

bool sim_keys_may_hear(struct sim_keys *k, const struct sim_node *at,
		       const struct sim_datagram *d, uint64_t now_ns)
{
	const struct msg_data *m = (const void *)d->plain;
	const struct key *key = NULL;

	if (d->type != MESSAGE_DATA || d->plain_len < MESSAGE_DATA_MIN)
		return false;
	key = slot_for(k, at->id | HEARS, le32_value(m->receiver));
	return key->node && key->born_ns &&
	       now_ns < key->born_ns + key->life_ns + at->wobble_ns;
}

const char *sim_keys_sent(struct sim_keys *k, const struct sim_datagram *d,
			  uint64_t *ret_age_ns)
{
	const struct msg_data *m = (const void *)d->plain;
	struct key *key = NULL;
	uint64_t counter = 0, age = 0;

	if (d->type == MESSAGE_RESPONSE && d->plain_len == sizeof(struct msg_response))
		learn(k, d);
	if (d->type != MESSAGE_DATA || d->plain_len < MESSAGE_DATA_MIN)
		return NULL;
	key = find_key(k, d->from->id, le32_value(m->receiver));
	counter = le64_value(m->counter);
	if (key->born_ns && d->sent_ns > key->born_ns)
		age = d->sent_ns - key->born_ns;
	*ret_age_ns = age;
	if (counter < key->next_counter)
		return "a counter was used again, or out of order";
	key->next_counter = counter + 1;
	if (!key->born_ns)
		return "data under a key that nobody made";
	return age > key->life_ns ? "data under a key that is too old" : NULL;
}
