/* SPDX-License-Identifier: Apache-2.0 */
/**
 * pace.h - How far ahead of the clock somebody is: what every limit per somebody is made of
 *
 * Each somebody (a source, a key) has a clock. Whatever counts puts it further ahead, and time
 * catches up with it: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371).
 *
 * Memory:  fixed, 512 KiB when all of it is in use. Those who hash to one place share it; nobody can
 *	    choose where they hash to.
 * Threads: none here; time comes in.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pace;

int pace_new(struct pace **ret);	/* 0 or -ENOMEM */
struct pace *pace_free(struct pace *p); /* takes NULL, returns NULL */

/** pace_ahead_ns() - How far @who is ahead of @now_ns; 0: not at all */
uint64_t pace_ahead_ns(const struct pace *p, const void *who, size_t len, uint64_t now_ns);

/** pace_push() - Put @who @by_ns further ahead, but not more than @most_ns ahead of @now_ns */
void pace_push(struct pace *p, const void *who, size_t len, uint64_t now_ns, uint64_t by_ns,
	       uint64_t most_ns);
