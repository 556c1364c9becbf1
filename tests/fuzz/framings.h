/* SPDX-License-Identifier: Apache-2.0 */
/**
 * framings.h - Sets of profiles by number, for the fuzzers of datagrams
 *
 * 0 is plain WireGuard; then one profile of each generation of AmneziaWG, headers so wide and
 * trailers so free that nearly every octet may be a message's, and several profiles at once.
 */
#pragma once

#include <string.h>

#include "frame/frame.h"
#include "fuzz.h"

enum {
	FRAMINGS = 8,
	FRAMING_PROFILES = 4,
	FRAMING_PAD_MAX = 108,
};

static char framing_signature[] = "<b 0xc0ff><r 8><t><c>";

#define FRAMING_KEY(octet)                          \
	{                                           \
		.b = { octet, 2, 3, 4, 5, 6, 7, 8 } \
	}

static const struct frame_parameters parameters_plain = {
	.header = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 } }
};

static const struct frame_parameters parameters_one = {
	.jc = 4,
	.jmin = 8,
	.jmax = 80,
	.pad = { 30, 25 },
	.header = { { 7, 7 }, { 8, 8 }, { 9, 9 }, { 10, 10 } },
};

static const struct frame_parameters parameters_two = {
	.jc = 2,
	.jmin = 1,
	.jmax = 40,
	.pad = { 30, 60, 9, 5 },
	.header = { { 100000000, 200000000 },
		    { 300000000, 400000000 },
		    { 500000000, 600000000 },
		    { 700000000, 800000000 } },
	.signature = { framing_signature },
};

static const struct frame_parameters parameters_three = {
	.pad = { 42, FRAMING_PAD_MAX, 13, 12 },
	.header = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 } },
	.protection_key = FRAMING_KEY(1),
	.content_padding = { 10, 100 },
};

static const struct frame_parameters parameters_three_one = {
	.jc = 3,
	.jmin = 10,
	.jmax = 50,
	.pad = { 16, 16, 16, 16 },
	.header = { { 1000, 1000 }, { 2000, 2000 }, { 3000, 3000 }, { 4000, 4000 } },
	.signature = { framing_signature },
	.protection_key = FRAMING_KEY(9),
	.content_padding = { 5, 128 },
	.rekey_after = { 90, 120 },
	.rekey_timeout = { 3, 7 },
	.reject_after = { 150, 180 },
	.keepalive_timeout = { 5, 15 },
	.max_attempts = { 15, 20 },
	.random_trailers = true,
};

static const struct frame_parameters parameters_wide = {
	.pad = { 20, 0, 7, 4 },
	.header = { { 0, 1000000000 },
		    { 1000000001, 2000000000 },
		    { 2000000001, 3000000000 },
		    { 3000000001, UINT32_MAX } },
	.random_trailers = true,
};

/* The last of @n profiles is accepted until a date only, if @ends. */
static const struct framing {
	const struct frame_parameters *profiles[FRAMING_PROFILES];
	uint32_t n;
	bool ends;
} framings[FRAMINGS] = {
	{ { &parameters_plain }, 1, false },
	{ { &parameters_one }, 1, false },
	{ { &parameters_two }, 1, false },
	{ { &parameters_three }, 1, false },
	{ { &parameters_three_one }, 1, false },
	{ { &parameters_wide, &parameters_three_one }, 2, false },
	{ { &parameters_plain, &parameters_one, &parameters_two, &parameters_three_one },
	  4,
	  true },
	{ { &parameters_three_one, &parameters_plain, &parameters_three, &parameters_wide },
	  4,
	  true },
};

/** framing_sources() - What the set of that number is made from; returns how many profiles
 * @until_s:	Unix time until which the last one is accepted, where it ends
 * @ret:	FRAMING_PROFILES
 */
static inline uint32_t framing_sources(uint32_t number, uint64_t until_s,
				       struct frame_profile_source *ret)
{
	static const char *const names[FRAMING_PROFILES] = { "", "a", "b", "c" };
	const struct framing *f = &framings[number % FRAMINGS];

	for (uint32_t i = 0; i < f->n; i++)
		ret[i] = (struct frame_profile_source){
			.name = names[i],
			.parameters = f->profiles[i],
			.until_s = f->ends && i == f->n - 1 ? until_s : 0,
		};
	return f->n;
}

/** framing_dress() - @message, its type word in place, as a datagram of @p; returns its length
 * @out:	@len, @trailer and FRAMING_PAD_MAX octets
 */
static inline uint32_t framing_dress(const struct frame_profile *p, enum message_type type,
				     const void *message, uint32_t len, uint32_t trailer,
				     struct generator *g, uint8_t *out)
{
	struct frame_message m = { .data = out, .len = p->pad[type] + len + trailer };

	HOLDS(p->pad[type] <= FRAMING_PAD_MAX);
	memcpy(out + p->pad[type], message, len);
	frame_wrap(p, type, &m, 1, g);
	return m.len;
}
