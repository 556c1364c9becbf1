/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/tcp_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tcp_ring_slices(const struct tcp_ring *r, uint64_t from, uint32_t len, struct iovec out[2])
{
	uint32_t at = (uint32_t)from & (r->capacity - 1), first = r->capacity - at;

	if (len == 0)
		return 0;
	if (first > len)
		first = len;
	out[0] = (struct iovec){ r->data + at, first };
	if (first == len)
		return 1;
	out[1] = (struct iovec){ r->data, len - first };
	return 2;
}

void tcp_ring_write(struct tcp_ring *r, uint64_t at, const uint8_t *data, uint32_t len)
{
	struct iovec to[2];
	int n = tcp_ring_slices(r, at, len, to);

	for (int i = 0; i < n; i++) {
		memcpy(to[i].iov_base, data, to[i].iov_len);
		data += to[i].iov_len;
	}
}

void tcp_ring_read(const struct tcp_ring *r, uint64_t at, uint8_t *out, uint32_t len)
{
	struct iovec from[2];
	int n = tcp_ring_slices(r, at, len, from);

	for (int i = 0; i < n; i++) {
		memcpy(out, from[i].iov_base, from[i].iov_len);
		out += from[i].iov_len;
	}
}

/* All that the old one can hold from @from on, whether or not it has arrived. */
static void move(const struct tcp_ring *old, struct tcp_ring *to, uint64_t from)
{
	struct iovec slices[2];
	int n = old->data ? tcp_ring_slices(old, from, old->capacity, slices) : 0;

	for (int i = 0; i < n; i++) {
		tcp_ring_write(to, from, slices[i].iov_base, (uint32_t)slices[i].iov_len);
		from += slices[i].iov_len;
	}
}

int tcp_ring_reserve(struct tcp_ring *r, struct tcp_budget *budget, uint64_t from, uint32_t len)
{
	struct tcp_ring larger = { .capacity = r->capacity ? r->capacity : TCP_RING_MIN };

	if (r->data && len <= r->capacity)
		return 0;
	if (len > TCP_RING_MAX)
		return -ENOMEM;
	while (larger.capacity < len)
		larger.capacity *= 2;
	if (larger.capacity == TCP_RING_MIN ||
	    budget->used + larger.capacity - r->capacity <= budget->limit)
		larger.data = malloc(larger.capacity);
	if (!larger.data) {
		budget->refused++;
		return -ENOMEM;
	}
	move(r, &larger, from);
	budget->used += larger.capacity - r->capacity;
	free(r->data);
	*r = larger;
	return 0;
}

void tcp_ring_done(struct tcp_ring *r, struct tcp_budget *budget)
{
	budget->used -= r->capacity;
	free(r->data);
	*r = (struct tcp_ring){ 0 };
}
