/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/tcp_board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { FIRST_CAPACITY = 16 };

/* One more entry behind the last. What was dropped in front is used before memory grows. */
static int make_room(struct tcp_board *b)
{
	uint32_t capacity = b->capacity ? b->capacity * 2 : FIRST_CAPACITY;
	struct tcp_sent *entries = NULL;

	if (b->first + b->n < b->capacity)
		return 0;
	if (b->n == TCP_BOARD_MAX)
		return ERR_LIMIT;
	if (b->first && b->first >= b->capacity / 2) {
		memmove(b->entries, b->entries + b->first, b->n * sizeof(*entries));
		b->first = 0;
		return 0;
	}
	entries = malloc(capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	if (b->n)
		memcpy(entries, b->entries + b->first, b->n * sizeof(*entries));
	free(b->entries);
	b->entries = entries;
	b->capacity = capacity;
	b->first = 0;
	return 0;
}

int tcp_board_append(struct tcp_board *b, uint64_t start, uint32_t len, uint64_t now_ns)
{
	int err = make_room(b);

	if (err < 0)
		return err;
	b->n++;
	*tcp_board_at(b, b->n - 1) = (struct tcp_sent){
		.start = start,
		.sent_ns = now_ns,
		.len = len,
		.fate = TCP_FLYING,
	};
	b->octets[TCP_FLYING] += len;
	return 0;
}

uint32_t tcp_board_find(const struct tcp_board *b, uint64_t position)
{
	uint32_t low = 0, high = b->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (tcp_sent_end(tcp_board_at(b, middle)) <= position)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < b->n && tcp_board_at(b, low)->start > position)
		return b->n;
	return low;
}

bool tcp_board_split(struct tcp_board *b, uint32_t i, uint64_t position)
{
	struct tcp_sent *s = tcp_board_at(b, i);
	uint32_t len = (uint32_t)(position - s->start);

	if (len == 0)
		return true;
	if (make_room(b) < 0)
		return false;
	s = tcp_board_at(b, i);
	memmove(s + 2, s + 1, (b->n - i - 1) * sizeof(*s));
	b->n++;
	s[1] = s[0];
	s[1].start = position;
	s[1].len = s[0].len - len;
	s[0].len = len;
	return true;
}

void tcp_board_mark(struct tcp_board *b, uint32_t i, enum tcp_fate fate)
{
	struct tcp_sent *s = tcp_board_at(b, i);

	b->octets[s->fate] -= s->len;
	s->fate = (uint8_t)fate;
	b->octets[fate] += s->len;
}

void tcp_board_drop(struct tcp_board *b, uint32_t len)
{
	struct tcp_sent *s = tcp_board_at(b, 0);

	if (len < s->len) {
		b->octets[s->fate] -= len;
		s->start += len;
		s->len -= len;
		return;
	}
	b->octets[s->fate] -= s->len;
	b->first++;
	b->n--;
	if (b->n == 0)
		b->first = 0;
}

void tcp_board_done(struct tcp_board *b)
{
	free(b->entries);
	*b = (struct tcp_board){ 0 };
}
