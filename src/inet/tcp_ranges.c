/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/tcp_ranges.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

static bool make_room(struct tcp_ranges *r)
{
	uint32_t capacity = r->capacity ? 2 * r->capacity : FIRST_CAPACITY;
	struct tcp_range *at = NULL;

	if (r->n < r->capacity)
		return true;
	if (r->n == TCP_RANGES_MAX)
		return false;
	at = realloc(r->at, capacity * sizeof(*at));
	if (!at)
		return false;
	r->at = at;
	r->capacity = capacity;
	return true;
}

void tcp_ranges_done(struct tcp_ranges *r)
{
	free(r->at);
	*r = (struct tcp_ranges){ 0 };
}

/* Leave out @n ranges from @i on. */
static void cut(struct tcp_ranges *r, uint32_t i, uint32_t n)
{
	memmove(&r->at[i], &r->at[i + n], (r->n - i - n) * sizeof(r->at[0]));
	r->n -= n;
}

bool tcp_ranges_add(struct tcp_ranges *r, uint64_t start, uint64_t end)
{
	uint32_t i = 0, last = 0;

	while (i < r->n && r->at[i].end < start)
		i++;
	for (last = i; last < r->n && r->at[last].start <= end; last++)
		;
	if (last == i) { /* touches none */
		if (!make_room(r))
			return false;
		memmove(&r->at[i + 1], &r->at[i], (r->n - i) * sizeof(r->at[0]));
		r->at[i] = (struct tcp_range){ start, end, 0 };
		r->n++;
	} else {
		if (r->at[i].start < start)
			start = r->at[i].start;
		if (r->at[last - 1].end > end)
			end = r->at[last - 1].end;
		r->at[i].start = start;
		r->at[i].end = end;
		cut(r, i + 1, last - i - 1);
	}
	r->at[i].grew = ++r->clock;
	return true;
}

uint64_t tcp_ranges_take(struct tcp_ranges *r, uint64_t next)
{
	uint32_t i = 0;

	while (i < r->n && r->at[i].start <= next) {
		if (r->at[i].end > next)
			next = r->at[i].end;
		i++;
	}
	if (i)
		cut(r, 0, i);
	if (r->n == 0)
		tcp_ranges_done(r);
	return next;
}

bool tcp_ranges_contain(const struct tcp_ranges *r, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->at[i].start <= start && end <= r->at[i].end)
			return true;
	return false;
}

uint32_t tcp_ranges_recent(const struct tcp_ranges *r, struct tcp_range *out, uint32_t max)
{
	uint32_t n = 0, below = UINT32_MAX;

	for (; n < max && n < r->n; n++) {
		uint32_t best = 0, grew = 0;

		for (uint32_t i = 0; i < r->n; i++)
			if (r->at[i].grew < below && r->at[i].grew >= grew) {
				best = i;
				grew = r->at[i].grew;
			}
		out[n] = r->at[best];
		below = grew;
	}
	return n;
}
