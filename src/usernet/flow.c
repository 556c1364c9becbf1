/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "crypto/short_hash.h"

enum { VICTIMS_LOOKED_AT = 256 };

static uint32_t bucket_of(const struct flows *f, enum flow_kind kind,
			  const struct inet_pair *pair)
{
	uint8_t input[38] = { 0 };

	input[0] = (uint8_t)kind;
	input[1] = pair->remote.family;
	put_be16(input + 2, pair->local_port);
	put_be16(input + 4, pair->remote_port);
	memcpy(input + 6, pair->local.b, 16);
	memcpy(input + 22, pair->remote.b, 16);
	return (uint32_t)short_hash(f->key, input, sizeof(input)) & f->mask;
}

static uint32_t source_of(const struct flows *f, const struct inet_pair *pair)
{
	return (uint32_t)short_hash(f->key, pair->remote.b, sizeof(pair->remote.b)) %
	       FLOW_SOURCES;
}

int flows_init(struct flows *f, uint32_t max, const uint8_t key[16])
{
	uint32_t size = 64;

	memset(f, 0, sizeof(*f));
	while (size < max)
		size *= 2;
	f->buckets = calloc(size, sizeof(*f->buckets));
	if (!f->buckets)
		return -ENOMEM;
	f->mask = size - 1;
	f->max = max;
	memcpy(f->key, key, sizeof(f->key));
	return 0;
}

void flows_done(struct flows *f)
{
	free(f->buckets);
	f->buckets = NULL;
}

static bool is_same(const struct inet_pair *a, const struct inet_pair *b)
{
	return a->local_port == b->local_port && a->remote_port == b->remote_port &&
	       ip_addr_equal(&a->remote, &b->remote) && ip_addr_equal(&a->local, &b->local);
}

struct flow *flow_find(const struct flows *f, enum flow_kind kind, const struct inet_pair *pair)
{
	struct flow *at = f->buckets[bucket_of(f, kind, pair)];

	while (at && (at->kind != kind || !is_same(&at->pair, pair)))
		at = at->chain;
	return at;
}

static void put_newest(struct flows *f, struct flow *flow)
{
	flow->older = f->newest;
	flow->newer = NULL;
	if (f->newest)
		f->newest->newer = flow;
	else
		f->oldest = flow;
	f->newest = flow;
}

static void unlink_age(struct flows *f, struct flow *flow)
{
	if (flow->newer)
		flow->newer->older = flow->older;
	else
		f->newest = flow->older;
	if (flow->older)
		flow->older->newer = flow->newer;
	else
		f->oldest = flow->newer;
}

void flow_add(struct flows *f, struct flow *flow)
{
	struct flow **bucket = &f->buckets[bucket_of(f, flow->kind, &flow->pair)];

	flow->chain = *bucket;
	*bucket = flow;
	flow->source = source_of(f, &flow->pair);
	f->per_source[flow->source]++;
	f->n++;
	f->half_open += flow->is_half_open;
	f->half_open_per_source[flow->source] += flow->is_half_open;
	put_newest(f, flow);
}

uint32_t flow_half_open(const struct flows *f, const struct inet_pair *pair)
{
	return f->half_open_per_source[source_of(f, pair)];
}

void flow_opened(struct flows *f, struct flow *flow)
{
	f->half_open -= flow->is_half_open;
	f->half_open_per_source[flow->source] -= flow->is_half_open;
	flow->is_half_open = false;
}

void flow_unmark(struct flows *f, struct flow *flow)
{
	struct flow **at = &f->first_dirty, *last = NULL;

	if (!flow->is_dirty)
		return;
	while (*at && *at != flow) {
		last = *at;
		at = &(*at)->next_dirty;
	}
	if (!*at)
		return;
	*at = flow->next_dirty;
	if (f->last_dirty == flow)
		f->last_dirty = last;
	flow->is_dirty = false;
}

void flow_remove(struct flows *f, struct flow *flow)
{
	struct flow **at = &f->buckets[bucket_of(f, flow->kind, &flow->pair)];

	while (*at != flow)
		at = &(*at)->chain;
	*at = flow->chain;
	f->per_source[flow->source]--;
	f->n--;
	flow_opened(f, flow);
	unlink_age(f, flow);
	schedule_remove(&f->schedule, &flow->timer);
	flow_unmark(f, flow);
}

bool flow_victim(struct flows *f, const struct inet_pair *pair, struct flow **ret)
{
	uint32_t source = source_of(f, pair), looked_at = 0;
	struct flow *at = f->oldest;

	*ret = NULL;
	if (f->per_source[source] >= f->max - f->max / 4) { /* one of its own must go */
		while (at && at->source != source && ++looked_at < VICTIMS_LOOKED_AT)
			at = at->newer;
		if (!at || at->source != source)
			return false;
		*ret = at;
		return true;
	}
	if (f->n >= f->max)
		*ret = f->oldest;
	return true;
}

void flow_touch(struct flows *f, struct flow *flow)
{
	if (f->newest == flow)
		return;
	unlink_age(f, flow);
	put_newest(f, flow);
}

void flow_retire(struct flows *f, struct flow *flow)
{
	if (f->oldest == flow)
		return;
	unlink_age(f, flow);
	flow->newer = f->oldest;
	flow->older = NULL;
	f->oldest->older = flow; /* there is another, or it would be the oldest */
	f->oldest = flow;
}

void flow_mark(struct flows *f, struct flow *flow)
{
	if (flow->is_dirty)
		return;
	flow->is_dirty = true;
	flow->next_dirty = NULL;
	if (f->last_dirty)
		f->last_dirty->next_dirty = flow;
	else
		f->first_dirty = flow;
	f->last_dirty = flow;
}

struct flow *flow_take_marked(struct flows *f)
{
	struct flow *flow = f->first_dirty;

	if (!flow)
		return NULL;
	f->first_dirty = flow->next_dirty;
	if (!f->first_dirty)
		f->last_dirty = NULL;
	flow->is_dirty = false;
	return flow;
}

void flow_wake_at(struct flows *f, struct flow *flow, uint64_t at_ns)
{
	if (at_ns == UINT64_MAX || (flow->timer.is_in && flow->timer.at_ns <= at_ns))
		return;
	schedule_put(&f->schedule, &flow->timer, at_ns);
}
