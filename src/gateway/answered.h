/* SPDX-License-Identifier: Apache-2.0 */
/**
 * answered.h - Requests with an Idempotency-Key that made something, for a day
 *
 * Bounds:  ANSWERED_MAX; when it is full the oldest goes: its key may then make something anew.
 * Threads: none here.
 */
#pragma once

#include "store/store.h"

enum { ANSWERED_MAX = 1 << 17 };

struct answered;

int answered_new(struct answered **ret);
struct answered *answered_free(struct answered *a); /* takes NULL, returns NULL */

/** answered_add() - Remember one; times never go back. Return: 0 or -ENOMEM */
int answered_add(struct answered *a, const struct store_answered *one);

/** answered_find() - NULL: not known, or too long ago */
const struct store_answered *answered_find(const struct answered *a,
					   const uint8_t digest[STORE_DIGEST_LEN],
					   uint64_t now_ns);
