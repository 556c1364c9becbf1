/* SPDX-License-Identifier: Apache-2.0 */
/**
 * signature.h - Packets before an initiation that look like another protocol's
 *
 * A signature packet (I1..I5) is written as tags in angle brackets; text between them has no
 * meaning. Fixed octets stay as written, everything else is drawn anew for each transmission.
 *
 *	<b 0xHEX>	these octets; "0x" may be missing
 *	<t>		Unix seconds, 4 octets big-endian
 *	<c>		a counter, 4 octets big-endian, one more for each packet sent
 *	<r N>		N random octets
 *	<rc N>		N random letters a-z A-Z
 *	<rd N>		N random digits
 *	<d> <ds>	nothing (the payload of a wrapped packet; there is none)
 *	<dz N>		N zero octets (the length of that payload)
 *	<wt N>		nothing (a pause of version 1.5)
 *
 * Any run of blanks may stand between name and value; further words in a tag are ignored. N is
 * decimal, at most 65507. A text without tags is no packet at all.
 *
 * Source:  AmneziaWG 1.5 to 3.1; the union of what its implementations take.
 * Bounds:  FRAME_DATAGRAM_MAX octets rendered, FRAME_SIGNATURE_PIECES_MAX tags.
 * Threads: read-only once parsed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "crypto/generator.h"

enum { FRAME_SIGNATURE_PIECES_MAX = 1024 };

struct frame_signature_piece;

/** struct frame_signature - Parsed. All zeroes is "no packet"; @len: octets when sent */
struct frame_signature {
	struct frame_signature_piece *pieces;
	uint32_t n_pieces;
	uint32_t len;
	uint8_t *octets; /* of all <b> tags, one behind the other */
};

/**
 * frame_signature_parse() - Read the tags
 * @ret:	On success owned by the caller; @ret->len is 0 when there is nothing to send
 *
 * Return: 0; ERR_FORMAT (tag, and what would be right, in @d), ERR_LIMIT, -ENOMEM.
 */
int frame_signature_parse(const char *text, size_t len, struct frame_signature *ret,
			  struct diag *d);
void frame_signature_done(struct frame_signature *s);

/**
 * frame_signature_render() - Write one packet
 * @out:	@s->len octets
 * @unix_s:	For <t>
 * @counter:	For <c>
 */
void frame_signature_render(const struct frame_signature *s, struct generator *g,
			    uint32_t unix_s, uint32_t counter, uint8_t *out);

/** frame_signature_put() - The same text without what stands between tags */
void frame_signature_put(struct text *out, const char *text, size_t len);
