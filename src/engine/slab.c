/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An item that nobody owns is out of bounds, and a sanitizer should say so. */
#if defined(__has_feature)
#	if __has_feature(address_sanitizer)
#		define SLAB_POISONS 1
#	endif
#elif defined(__SANITIZE_ADDRESS__)
#	define SLAB_POISONS 1
#endif
#ifdef SLAB_POISONS
#	include <sanitizer/asan_interface.h>
#else
#	define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#	define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum {
	BLOCK_ITEMS_MIN = 64,
	BLOCK_BYTES_MAX = 1 << 20, /* for blocks made without a reservation */
};

struct slab_block {
	_Alignas(SLAB_ALIGN) struct slab_block *next;
	size_t left;
	uint8_t *fresh; /* the first of @left items never used */
};

void slab_init(struct slab *s, size_t item_size)
{
	assert(item_size % SLAB_ALIGN == 0);
	*s = (struct slab){ .item_size = item_size };
	atomic_init(&s->given, NULL);
}

static void free_blocks(struct slab_block *b)
{
	while (b) {
		struct slab_block *next = b->next;

		free(b);
		b = next;
	}
}

void slab_done(struct slab *s)
{
	free_blocks(s->open);
	free_blocks(s->full);
	slab_init(s, s->item_size);
}

static int add_block(struct slab *s, size_t items)
{
	struct slab_block *b;
	size_t size;

	if (items > (SIZE_MAX - sizeof(*b)) / s->item_size)
		return -ENOMEM;
	size = sizeof(*b) + items * s->item_size;
	b = aligned_alloc(SLAB_ALIGN, size);
	if (!b)
		return -ENOMEM;
	*b = (struct slab_block){ .next = s->open, .left = items, .fresh = (uint8_t *)(b + 1) };
	ASAN_POISON_MEMORY_REGION(b->fresh, items * s->item_size);
	s->open = b;
	s->n_ready += items;
	s->size_bytes += size;
	return 0;
}

/* As many again as there are, within reason: few blocks, little waste. */
static int grow(struct slab *s)
{
	size_t items = s->size_bytes / s->item_size;

	if (items > BLOCK_BYTES_MAX / s->item_size)
		items = BLOCK_BYTES_MAX / s->item_size;
	if (items < BLOCK_ITEMS_MIN)
		items = BLOCK_ITEMS_MIN;
	return add_block(s, items);
}

static void collect(struct slab *s)
{
	struct slab_item *i = atomic_exchange_explicit(&s->given, NULL, memory_order_acquire);

	while (i) {
		struct slab_item *next = i->next;

		i->next = s->spare;
		s->spare = i;
		ASAN_POISON_MEMORY_REGION(i, sizeof(*i));
		s->n_ready++;
		i = next;
	}
}

int slab_reserve(struct slab *s, size_t n)
{
	if (n > s->n_ready)
		collect(s);
	return n > s->n_ready ? add_block(s, n - s->n_ready) : 0;
}

static void *take_spare(struct slab *s)
{
	struct slab_item *i = s->spare;

	ASAN_UNPOISON_MEMORY_REGION(i, s->item_size);
	s->spare = i->next;
	return i;
}

static void *take_fresh(struct slab *s)
{
	struct slab_block *b = s->open;
	void *item = b->fresh;

	b->fresh += s->item_size;
	if (--b->left == 0) {
		s->open = b->next;
		b->next = s->full;
		s->full = b;
	}
	ASAN_UNPOISON_MEMORY_REGION(item, s->item_size);
	return item;
}

void *slab_take(struct slab *s)
{
	void *item;

	if (s->n_ready == 0)
		collect(s);
	if (s->n_ready == 0 && grow(s) != 0)
		return NULL;
	s->n_ready--;
	item = s->spare ? take_spare(s) : take_fresh(s);
	return memset(item, 0, s->item_size);
}

void slab_give(struct slab *s, void *item)
{
	struct slab_item *i = item;
	struct slab_item *head = atomic_load_explicit(&s->given, memory_order_relaxed);

	ASAN_POISON_MEMORY_REGION(i + 1, s->item_size - sizeof(*i));
	do {
		i->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->given, &head, i, memory_order_release, memory_order_relaxed));
}
