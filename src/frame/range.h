/* SPDX-License-Identifier: Apache-2.0 */
/**
 * range.h - Two numbers between which a third is drawn
 *
 * Written "a" or "a-b", decimal, a <= b; both ends belong to it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct frame_range {
	uint32_t lo;
	uint32_t hi;
};

/** frame_range_parse() - Return: 0, ERR_FORMAT or ERR_RANGE (over @max, or a > b) */
int frame_range_parse(const char *text, size_t len, uint32_t max, struct frame_range *ret);
void frame_range_write(struct text *out, struct frame_range r); /* "a" where both are equal */

static inline bool frame_range_has(struct frame_range r, uint32_t v)
{
	return v - r.lo <= r.hi - r.lo;
}

static inline bool frame_range_is_zero(struct frame_range r)
{
	return r.lo == 0 && r.hi == 0;
}

static inline bool frame_range_overlaps(struct frame_range a, struct frame_range b)
{
	return a.lo <= b.hi && b.lo <= a.hi;
}
