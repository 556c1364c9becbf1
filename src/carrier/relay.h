/* SPDX-License-Identifier: Apache-2.0 */
/**
 * relay.h - An authenticated stream on one side, WireGuard's datagrams on the other
 *
 * What the stream brings goes out as datagrams at once. What WireGuard brings goes to the
 * stream as long as that takes it, and then to a backlog that drops its oldest.
 *
 * Memory:  RELAY_READ_OCTETS and RELAY_BACKLOG_OCTETS per relay, touched as they are needed.
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "carrier/backlog.h"
#include "carrier/datagrams.h"
#include "carrier/framing.h"
#include "carrier/stream.h"

enum {
	RELAY_READ_OCTETS = 128 << 10,
	RELAY_WRITE_OCTETS = 64 << 10,
	RELAY_BACKLOG_OCTETS = 1 << 20,
};

#define RELAY_BACKLOG_NS (UINT64_C(250) * 1000000)

/* struct relay_counts - Payloads since the beginning */
struct relay_counts {
	uint64_t in_datagrams; /* out of the stream */
	uint64_t in_octets;
	uint64_t
		out_datagrams; /* taken for the stream; what was dropped of them is the backlog's */
	uint64_t out_octets;
};

struct relay;

/**
 * relay_new() - Put the two together
 * @stream, @udp: Borrowed as long as the relay lives
 * @early, @early_len: Octets of the stream that were read already
 *
 * Return: 0; -ENOMEM; ERR_LIMIT: more early octets than there is room for.
 */
int relay_new(struct stream *stream, struct datagrams *udp, enum framing_kind kind,
	      const void *early, size_t early_len, struct relay **ret);
struct relay *relay_free(struct relay *r); /* takes NULL, returns NULL */

/* Each does a bounded piece of work. Return: 0; -EPIPE: the other side has finished; ERR_FORMAT:
 * what came is no framing; -errno. After anything but 0 the relay is over. */
int relay_from_stream(struct relay *r);
int relay_from_udp(struct relay *r, uint64_t now_ns);
int relay_flush(struct relay *r, uint64_t now_ns);

/** relay_offer() - Datagrams of @segment octets, the last may be shorter, for relay_flush() to send */
void relay_offer(struct relay *r, uint64_t now_ns, const uint8_t *block, size_t len,
		 size_t segment);

/** relay_say() - Put a frame of no octets in front of what is sent next */
void relay_say(struct relay *r, uint64_t now_ns);

/** relay_hold() - Whether what the stream brings is dropped instead of handed out */
void relay_hold(struct relay *r, bool is_held);

/** relay_wants_write() - Is there something that the stream did not take? */
bool relay_wants_write(const struct relay *r);
const struct relay_counts *relay_counts(const struct relay *r);
uint64_t relay_dropped(
	const struct relay *r); /* by the backlog, and datagrams UDP did not take */
