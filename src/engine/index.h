/* SPDX-License-Identifier: Apache-2.0 */
/**
 * index.h - From the 32-bit number in a message to our session
 *
 * Open addressing over random keys, read without locks while others write. Numbers
 * are drawn by the caller at random and say nothing about peers (W37). The
 * table grows by being replaced; the old one is retired.
 *
 * Threads: find from any thread that is online in the epoch; insert and remove under
 *          the table's own spin lock (short, never held across anything else).
 * Memory:  16 octets per slot, at most half full: 100 000 sessions take 4 MiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

#include "engine/epoch.h"

/* Embedded in whatever is found by number. Retired through the epoch by its owner. */
struct index_entry {
	uint32_t index;
};

struct index_table;

int index_table_new(struct epoch *epoch, struct index_table **ret);
struct index_table *index_table_free(struct index_table *t); /* entries are not ours */

/**
 * index_insert() - Enter @e under @e->index
 * Return: 0; ERR_EXISTS (draw another number); ERR_LIMIT over 2^24 entries; -ENOMEM.
 */
int index_insert(struct index_table *t, struct index_entry *e);

/** index_remove() - Take @e out; nothing happens if it is not there.
 * Readers may hold @e until the epoch has passed. */
void index_remove(struct index_table *t, struct index_entry *e);

struct index_entry *index_find(const struct index_table *t, uint32_t index);
size_t index_count(const struct index_table *t);
