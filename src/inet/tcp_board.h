/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tcp_board.h - What was sent and is not acknowledged yet: when, and what became of it
 *
 * Theory of operation. One entry per transmission: as long as nothing is lost a super-frame is
 * one entry, however many segments it was cut into. Where a SACK block or a retransmission
 * covers a part, the entry is split. Entries are in order and touch each other, from the
 * first octet that is not acknowledged to the last one sent. Each octet is flying, lost or
 * SACKed; the sums over these are kept. What RFC 6675 calls "pipe" is @flying.
 *
 * Source:  RFC 6675 section 3 (scoreboard), RFC 8985 section 5.2 (per-segment time).
 * Memory:  32 octets per entry, allocated with the first and freed with the last.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TCP_BOARD_MAX = 8192 }; /* entries */

enum tcp_fate {
	TCP_FLYING,
	TCP_LOST,
	TCP_SACKED,
};

struct tcp_sent {
	uint64_t start;
	uint64_t sent_ns; /* last time */
	uint32_t len;
	uint8_t fate;	 /* enum tcp_fate */
	bool was_resent; /* more than once on its way: no sample of the round trip */
};

/* All zeroes is empty. @octets: sum of lengths, by fate. */
struct tcp_board {
	struct tcp_sent *entries;
	uint32_t first;
	uint32_t n;
	uint32_t capacity;
	uint32_t octets[3];
};

static inline struct tcp_sent *tcp_board_at(const struct tcp_board *b, uint32_t i)
{
	return &b->entries[b->first + i];
}

static inline uint64_t tcp_sent_end(const struct tcp_sent *s)
{
	return s->start + s->len;
}

/* tcp_board_append() - [@start, @start + @len) was sent now. Return: 0, -ENOMEM or ERR_LIMIT */
int tcp_board_append(struct tcp_board *b, uint64_t start, uint32_t len, uint64_t now_ns);

/** tcp_board_find() - Number of the entry that has @position; n when it lies outside */
uint32_t tcp_board_find(const struct tcp_board *b, uint64_t position);

/**
 * tcp_board_split() - Let an entry begin at @position, which lies within entry @i
 * Return: true, also when it begins there already; false without room: nothing changed.
 */
bool tcp_board_split(struct tcp_board *b, uint32_t i, uint64_t position);

/** tcp_board_mark() - Entry @i has another fate */
void tcp_board_mark(struct tcp_board *b, uint32_t i, enum tcp_fate fate);

/** tcp_board_drop() - Forget @len octets at the beginning of the first entry, at most all */
void tcp_board_drop(struct tcp_board *b, uint32_t len);

void tcp_board_done(struct tcp_board *b);
