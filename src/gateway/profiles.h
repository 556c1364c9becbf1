/* SPDX-License-Identifier: Apache-2.0 */
/**
 * profiles.h - How the gateway's interface frames messages: the profiles of its levels
 *
 * Level off is the interface's default and needs no profile. Every other level has one of its
 * name, whose parameters new clients get, and perhaps former ones (extreme.1), which are accepted
 * until their time. A list is a value: what changes it makes another one.
 *
 * Bounds:  STORE_PROFILES_MAX.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/uapi.h"
#include "store/store.h"

/**
 * struct profile - One of them
 * @until_ns:	Wall clock from which it is not accepted any more; 0: for good
 */
struct profile {
	char name[FRAME_NAME_MAX + 1];
	enum frame_level level;
	struct frame_parameters parameters;
	uint64_t created_ns;
	uint64_t until_ns;
};

/** struct profiles - By level, the current one of each first. All zeroes is none */
struct profiles {
	struct profile all[STORE_PROFILES_MAX];
	size_t n;
};

/** profiles_load() - @ret holds nothing before. Return: 0, ERR_CORRUPT, or the store's code */
int profiles_load(struct store *store, struct profiles *ret, struct diag *d);
void profiles_done(struct profiles *p);

/** profiles_current() - What new clients of @level get; NULL: there is none */
const struct profile *profiles_current(const struct profiles *p, enum frame_level level);
const struct profile *profiles_named(const struct profiles *p, const char *name);

/**
 * profiles_complete() - Without those that have ended, and a current one for each level
 * @ret:	Holds nothing before, and on failure
 * @ret_differs: Is it another list than @p?
 *
 * Return: 0, ERR_EXHAUSTED (no room), -ENOMEM.
 */
int profiles_complete(const struct profiles *p, struct generator *g, uint64_t now_ns,
		      struct profiles *ret, bool *ret_differs);

/**
 * profiles_rotate() - New parameters for @level; those it had are accepted until @until_ns
 * @until_ns:	Not after @now_ns: not any more
 * @ret:	Holds nothing before, and on failure. Those that have ended are not in it
 *
 * Return: 0; ERR_RANGE (level off has none); ERR_EXHAUSTED (no room); -ENOMEM.
 */
int profiles_rotate(const struct profiles *p, enum frame_level level, uint64_t until_ns,
		    struct generator *g, uint64_t now_ns, struct profiles *ret);

/**
 * profiles_drop() - Without the former one @name, which is not accepted any more
 * @ret:	Holds nothing before, and on failure. Those that have ended are not in it
 *
 * Return: 0; ERR_UNKNOWN (there is none); ERR_RANGE (new clients get it); -ENOMEM.
 */
int profiles_drop(const struct profiles *p, const char *name, uint64_t now_ns,
		  struct profiles *ret);

/** profiles_room() - How many more there may be; those that have ended take none */
size_t profiles_room(const struct profiles *p, uint64_t now_ns);
/** profiles_former() - How many are accepted until their time */
size_t profiles_former(const struct profiles *p, uint64_t now_ns);

/* --- To the store and to the interface --- */

/** struct profile_rows - A list as the store takes it; the texts are owned */
struct profile_rows {
	struct store_profile rows[STORE_PROFILES_MAX];
	struct text texts[STORE_PROFILES_MAX];
	size_t n;
};

/** profile_rows_make() - @ret is all zeroes before. Return: 0 or -ENOMEM; _done() in any case */
int profile_rows_make(const struct profiles *p, struct profile_rows *ret);
void profile_rows_done(struct profile_rows *r);

/** profile_row_read() - Return: 0; ERR_CORRUPT, why in @d; -ENOMEM. @ret's parameters are owned */
int profile_row_read(const struct store_profile *row, struct uapi_profile *ret, struct diag *d);

/**
 * profiles_prepare() - Before anything is served: what is missing is drawn and stored
 *
 * Return: 0; or why not, in @d. Whoever cannot store them has none, and serves level off.
 */
int profiles_prepare(struct store *store, struct generator *g, uint64_t now_ns, struct diag *d);
