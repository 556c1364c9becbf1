/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/range.h"

#include <string.h>

#include "base/codec.h"
#include "base/err.h"

int frame_range_parse(const char *text, size_t len, uint32_t max, struct frame_range *ret)
{
	const char *dash = len ? memchr(text, '-', len) : NULL;
	size_t first = dash ? (size_t)(dash - text) : len;
	uint64_t lo = 0, hi = 0;
	int err_lo = decimal_parse(text, first, max, &lo);
	int err_hi = err_lo;

	if (dash)
		err_hi = decimal_parse(dash + 1, len - first - 1, max, &hi);
	else
		hi = lo;
	if (err_lo == ERR_FORMAT || err_hi == ERR_FORMAT)
		return ERR_FORMAT;
	if (err_lo || err_hi || lo > hi)
		return ERR_RANGE;
	ret->lo = (uint32_t)lo;
	ret->hi = (uint32_t)hi;
	return 0;
}

void frame_range_write(struct text *out, struct frame_range r)
{
	text_put_u64(out, r.lo);
	if (r.hi == r.lo)
		return;
	text_add(out, "-", 1);
	text_put_u64(out, r.hi);
}
