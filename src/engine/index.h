/* SPDX-License-Identifier: Apache-2.0 */
/**
 * index.h - From the 32-bit number in a message to our session
 *
 * Open addressing over random keys, read without locks while others write. Numbers
 * are drawn by the caller at random and say nothing about peers (W37). The
 * table grows by being replaced; the old one is retired. A slot holds number and
 * pointer, four to a cache line, so a search rarely needs a second line.
 *
 * Threads: find from any thread that is online in the epoch; insert, remove and replace
 *          from any thread, under the table's own spin lock (short, never held across
 *          anything else; replacing a table of 100 000 takes about a millisecond).
 * Memory:  16 octets per slot, at most half full: 100 000 sessions take 4 MiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdatomic.h>

#include "engine/epoch.h"

/* Embedded in whatever is found by number. Retired through the epoch by its owner.
 * @index does not change while the entry is in the table, nor until the epoch has passed. */
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

/**
 * index_replace() - Put @e where @old is, under the same number
 *
 * One pointer store: a reader finds the one or the other, never nothing. A pending
 * handshake becomes a keypair this way.
 *
 * Return: true; false if @old is not in the table (removed meanwhile): nothing changed.
 */
bool index_replace(struct index_table *t, struct index_entry *old, struct index_entry *e);

/** index_find() - The entry under @index, or NULL. It stays valid until the next quiet point */
struct index_entry *index_find(const struct index_table *t, uint32_t index);
size_t index_count(const struct index_table *t);
