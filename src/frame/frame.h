/* SPDX-License-Identifier: Apache-2.0 */
/**
 * frame.h - What a message looks like on the wire
 *
 * The engine speaks plain WireGuard messages; this layer decides how they look to
 * an observer. It is asked three times:
 *
 *   frame_type()      before noise computes MACs: MAC1 covers the type word as sent
 *   frame_wrap()      after sealing: padding, masks, trailers, for a batch at once
 *   frame_classify()  on arrival: which message is this, and where does it begin?
 *
 * struct frame_profile names one way of framing. The only profile here is plain
 * WireGuard, for which all three are the identity: no octet is added or changed.
 *
 * Threads: profiles are read-only once published; calls may run in parallel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "noise/messages.h"

enum {
	FRAME_OVERHEAD_MAX = 0
}; /* most octets any profile adds in front of or behind a message */

/**
 * struct frame_profile - One way of framing
 * @data_overhead: Octets added to each data message: part of all MTU arithmetic
 */
struct frame_profile {
	uint32_t types[5]; /* by enum message_type */
	uint32_t data_overhead;
};

extern const struct frame_profile frame_plain;

/* struct frame_message - One message in its buffer; @room octets are free behind it */
struct frame_message {
	uint8_t *data;
	uint32_t len;
	uint32_t room;
};

/** frame_type() - The type word to write into a message of kind @type */
static inline uint32_t frame_type(const struct frame_profile *p, enum message_type type)
{
	return p->types[type];
}

/** frame_data_overhead() - What a data message grows by on the wire */
static inline uint32_t frame_data_overhead(const struct frame_profile *p)
{
	return p->data_overhead;
}

/**
 * frame_wrap() - Dress @n finished messages of kind @type
 *
 * Return: 0, or ERR_LIMIT if one has too little room; none is then changed.
 */
int frame_wrap(const struct frame_profile *p, enum message_type type,
	       struct frame_message *messages, uint32_t n);

/**
 * struct frame_lookup - How a guess is confirmed
 * @has_index:	Is there a session with this number?
 * @has_mac1:	Does the message carry a MAC1 under our key?
 *
 * Plain framing needs neither. Either may be NULL.
 */
struct frame_lookup {
	bool (*has_index)(void *context, uint32_t index);
	bool (*has_mac1)(void *context, const void *message, uint32_t len);
	void *context;
};

/** struct frame_view - A message found in a datagram; @type 0: none */
struct frame_view {
	enum message_type type;
	uint8_t *message;
	uint32_t len;
	const struct frame_profile *profile;
};

/**
 * frame_classify() - Undo the framing of one datagram, in place
 *
 * Return: true and the message, whose length fits its kind; false: not for us.
 */
bool frame_classify(const struct frame_profile *const profiles[], uint32_t n, uint8_t *datagram,
		    uint32_t len, const struct frame_lookup *lookup, struct frame_view *ret);
