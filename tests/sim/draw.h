/* SPDX-License-Identifier: Apache-2.0 */
/**
 * draw.h - Parameters of AmneziaWG from the whole of what is allowed, and beyond
 *
 * Not what a level would draw, but what somebody might write: nothing or everything, narrow or
 * as wide as it goes, zero, one, and the largest there is. Timers are kept short enough to wait
 * for. The rules are stated here once more, by hand.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/generator.h"
#include "frame/parameters.h"

enum { DRAW_LINES = 32 };

/**
 * struct drawn - One set, as numbers
 * @signature:	Text of I1..I5; "": not set
 * @signature_len: Octets when sent; UINT32_MAX: it does not parse
 */
struct drawn {
	uint32_t jc, jmin, jmax;
	uint32_t pad[4];
	struct frame_range header[4];
	char signature[5][120];
	uint32_t signature_len[5];
	bool is_protected;
	uint8_t key[32];
	struct frame_range content_padding;
	struct frame_range rekey_after;
	struct frame_range rekey_timeout;
	struct frame_range reject_after;
	struct frame_range keepalive_timeout;
	struct frame_range max_attempts;
	bool random_trailers;
	bool disable_cookies;
};

/* A set that keeps every rule. */
void draw_valid(struct generator *g, struct drawn *ret);
/* The same on the other end: what must match is, what need not is drawn again; but for
 * RejectAfterTime, since one who ends a key earlier than the other loses what is sent under it. */
void draw_other_end(struct generator *g, const struct drawn *of, struct drawn *ret);
/* Break one rule, and none that is judged before it. */
void draw_break(struct generator *g, struct drawn *d, enum frame_rule rule);

/** draw_broken() - The first rule that @d breaks, or FRAME_RULE_NONE */
enum frame_rule draw_broken(const struct drawn *d);

/**
 * draw_lines() - The set as lines of the UAPI, in any order
 * @lines:	DRAW_LINES of them; free() each
 *
 * Return: how many.
 */
uint32_t draw_lines(struct generator *g, const struct drawn *d, char **lines);
