/* SPDX-License-Identifier: Apache-2.0 */
/**
 * slab.h - Items of one size, from a few large blocks
 *
 * Reserving many items costs address space, not memory: a block's pages are touched
 * as its items are taken, and items given back are taken first. Blocks go back to the
 * system only with the slab.
 *
 * Threads: everything from one thread at a time, except slab_give(), which any thread
 *          may call at any moment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <stdatomic.h>

struct slab_block;

/* What an item begins with while nobody uses it. */
struct slab_item {
	struct slab_item *next;
};

/**
 * struct slab - All items of one kind
 * @item_size:	Multiple of SLAB_ALIGN
 * @given:	Items given back, by any thread
 * @spare:	Given back earlier, collected; ready to be taken
 * @open:	Block that still has untouched items; @full ones have none
 * @n_ready:	Items that slab_take() can return without a new block, less those in @given
 */
struct slab {
	size_t item_size;
	_Atomic(struct slab_item *) given;
	struct slab_item *spare;
	struct slab_block *open;
	struct slab_block *full;
	size_t n_ready;
	size_t size_bytes;
};

enum { SLAB_ALIGN = 64 };

void slab_init(struct slab *s, size_t item_size);
void slab_done(struct slab *s); /* no item is in use any more, or nobody cares */

/** slab_reserve() - The next @n calls of slab_take() will succeed. 0 or -ENOMEM */
int slab_reserve(struct slab *s, size_t n);

/* Zeroed; SLAB_ALIGN aligned. NULL: no memory. */
void *slab_take(struct slab *s);
void slab_give(struct slab *s, void *item);
