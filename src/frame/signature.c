/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A text is walked tag by tag by one function, which parsing and writing
 * share. Memory is taken once, before: there are no more tags than '<', and no more octets in
 * <b> than half of the characters.
 */
#include "frame/signature.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/wire.h"
#include "frame/parameters.h"

enum {
	SHOWN_MAX = 32, /* characters of a tag that a reason repeats */
	SHORT_LEN = 4,	/* octets of a time or a counter */
};

enum piece_kind {
	PIECE_OCTETS,
	PIECE_TIME,
	PIECE_COUNTER,
	PIECE_RANDOM,
	PIECE_LETTERS,
	PIECE_DIGITS,
	PIECE_ZEROS,
	PIECE_NOTHING,
};

/**
 * struct frame_signature_piece - One tag
 * @len:	Octets that it makes
 * @at:		PIECE_OCTETS: where in the signature's @octets
 */
struct frame_signature_piece {
	enum piece_kind kind;
	uint32_t len;
	uint32_t at;
};

/* What stands behind a name. */
enum tag_value {
	VALUE_NONE,
	VALUE_HEX,
	VALUE_LENGTH,
	VALUE_IGNORED_NUMBER,
};

static const struct tag_row {
	const char *name;
	enum piece_kind kind;
	enum tag_value value;
} tags[] = {
	{ "b", PIECE_OCTETS, VALUE_HEX },      { "t", PIECE_TIME, VALUE_NONE },
	{ "c", PIECE_COUNTER, VALUE_NONE },    { "r", PIECE_RANDOM, VALUE_LENGTH },
	{ "rc", PIECE_LETTERS, VALUE_LENGTH }, { "rd", PIECE_DIGITS, VALUE_LENGTH },
	{ "d", PIECE_NOTHING, VALUE_NONE },    { "ds", PIECE_NOTHING, VALUE_NONE },
	{ "dz", PIECE_ZEROS, VALUE_LENGTH },   { "wt", PIECE_NOTHING, VALUE_IGNORED_NUMBER },
};

/* --- Finding tags --- */

struct span {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span after(struct span s, size_t n)
{
	return (struct span){ .at = s.at + n, .len = s.len - n };
}

/* Cut what stands between '<' and '>' off @rest. ERR_FORMAT: '>' is missing, and @ret is what
 * is there. Return: 1, or 0 when there is no further tag. */
static int next_tag(struct span *rest, struct span *ret)
{
	const char *open = rest->len ? memchr(rest->at, '<', rest->len) : NULL;
	const char *close;

	if (!open)
		return 0;
	*ret = after(*rest, (size_t)(open - rest->at) + 1);
	close = ret->len ? memchr(ret->at, '>', ret->len) : NULL;
	if (!close)
		return ERR_FORMAT;
	ret->len = (size_t)(close - ret->at);
	*rest = after(*rest, (size_t)(close - rest->at) + 1);
	return 1;
}

/* Cut a word off @rest; empty when there is none. */
static struct span next_word(struct span *rest)
{
	struct span word;

	while (rest->len && is_blank(rest->at[0]))
		*rest = after(*rest, 1);
	word = *rest;
	while (rest->len && !is_blank(rest->at[0]))
		*rest = after(*rest, 1);
	word.len -= rest->len;
	return word;
}

static const struct tag_row *find_row(struct span name)
{
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strlen(tags[i].name) == name.len &&
		    memcmp(tags[i].name, name.at, name.len) == 0)
			return &tags[i];
	return NULL;
}

/* --- Reading --- */

/* "<tag> WHY", the tag printable and short. */
static int refuse(struct diag *d, int err, struct span tag, const char *why)
{
	char shown[SHOWN_MAX + 1];
	size_t len = tag.len < SHOWN_MAX ? tag.len : SHOWN_MAX;

	for (size_t i = 0; i < len; i++)
		shown[i] = (char)(tag.at[i] >= ' ' && tag.at[i] <= '~' ? tag.at[i] : '?');
	shown[len] = '\0';
	return diag_set(d, err, 0, "<%s%s> %s", shown, tag.len > len ? "..." : "", why);
}

static int read_hex(struct span tag, struct span value, struct frame_signature *s,
		    struct frame_signature_piece *piece, uint32_t *octets, struct diag *d)
{
	long len;

	if (value.len >= 2 && value.at[0] == '0' && (value.at[1] == 'x' || value.at[1] == 'X'))
		value = after(value, 2);
	len = hex_decode(value.at, value.len, s->octets + *octets, value.len / 2);
	if (len <= 0)
		return refuse(d, ERR_FORMAT, tag,
			      "needs hex digits, two for each octet, as in <b 0x16fe>");
	piece->at = *octets;
	piece->len = (uint32_t)len;
	*octets += piece->len;
	return 0;
}

static int read_length(struct span tag, struct span value, uint32_t *ret, struct diag *d)
{
	uint64_t n;

	if (decimal_parse(value.at, value.len, FRAME_DATAGRAM_MAX, &n))
		return refuse(d, ERR_FORMAT, tag,
			      "needs a number from 0 to 65507, as in <r 16>");
	*ret = (uint32_t)n;
	return 0;
}

/* @octets: how many of @s->octets are in use. */
static int read_tag(struct span tag, struct frame_signature *s, uint32_t *octets,
		    struct diag *d)
{
	struct frame_signature_piece *piece = &s->pieces[s->n_pieces];
	struct span rest = tag;
	struct span name = next_word(&rest), value = next_word(&rest);
	const struct tag_row *row = find_row(name);
	uint32_t ignored;
	int err = 0;

	if (!row)
		return refuse(d, ERR_FORMAT, tag,
			      "is no tag: known are b, t, c, r, rc, rd, d, ds, dz and wt");
	*piece = (struct frame_signature_piece){ .kind = row->kind };
	switch (row->value) {
	case VALUE_NONE:
		break;
	case VALUE_HEX:
		err = read_hex(tag, value, s, piece, octets, d);
		break;
	case VALUE_LENGTH:
		err = read_length(tag, value, &piece->len, d);
		break;
	case VALUE_IGNORED_NUMBER:
		err = read_length(tag, value, &ignored, d);
		break;
	}
	if (row->kind == PIECE_TIME || row->kind == PIECE_COUNTER)
		piece->len = SHORT_LEN;
	s->n_pieces++;
	return err;
}

static int read_tags(struct span rest, struct frame_signature *s, struct diag *d)
{
	uint32_t octets = 0;
	struct span tag;
	int more;

	while ((more = next_tag(&rest, &tag)) > 0) {
		int err = read_tag(tag, s, &octets, d);

		if (err)
			return err;
		s->len += s->pieces[s->n_pieces - 1].len;
		if (s->len > FRAME_DATAGRAM_MAX)
			return diag_set(d, ERR_LIMIT, 0,
					"the packet is longer than a datagram (%d octets)",
					FRAME_DATAGRAM_MAX);
	}
	if (more < 0)
		return diag_set(d, ERR_FORMAT, 0, "a tag that begins with '<' has no '>'");
	return 0;
}

int frame_signature_parse(const char *text, size_t len, struct frame_signature *ret,
			  struct diag *d)
{
	struct frame_signature s = { 0 };
	size_t opened = 0;
	int err;

	if (len > FRAME_SIGNATURE_TEXT_MAX)
		return diag_set(d, ERR_LIMIT, 0, "longer than %d characters",
				FRAME_SIGNATURE_TEXT_MAX);
	for (size_t i = 0; i < len; i++)
		opened += text[i] == '<';
	if (opened > FRAME_SIGNATURE_PIECES_MAX)
		return diag_set(d, ERR_LIMIT, 0, "more than %d tags",
				FRAME_SIGNATURE_PIECES_MAX);
	if (!opened) {
		*ret = s;
		return 0;
	}
	s.pieces = calloc(opened, sizeof(*s.pieces));
	s.octets = malloc(len / 2 + 1);
	err = s.pieces && s.octets ? read_tags((struct span){ .at = text, .len = len }, &s, d)
				   : -ENOMEM;
	if (err) {
		frame_signature_done(&s);
		return err;
	}
	*ret = s;
	return 0;
}

void frame_signature_done(struct frame_signature *s)
{
	free(s->pieces);
	free(s->octets);
	*s = (struct frame_signature){ 0 };
}

/* --- Sending --- */

static void draw_from(const char *alphabet, uint32_t n_letters, struct generator *g,
		      uint8_t *out, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		out[i] = (uint8_t)alphabet[generator_between(g, 0, n_letters - 1)];
}

void frame_signature_render(const struct frame_signature *s, struct generator *g,
			    uint32_t unix_s, uint32_t counter, uint8_t *out)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char digits[] = "0123456789";

	for (uint32_t i = 0; i < s->n_pieces; i++) {
		const struct frame_signature_piece *piece = &s->pieces[i];

		switch (piece->kind) {
		case PIECE_OCTETS:
			memcpy(out, s->octets + piece->at, piece->len);
			break;
		case PIECE_TIME:
			put_be32(out, unix_s);
			break;
		case PIECE_COUNTER:
			put_be32(out, counter);
			break;
		case PIECE_RANDOM:
			generator_fill(g, out, piece->len);
			break;
		case PIECE_LETTERS:
			draw_from(letters, sizeof(letters) - 1, g, out, piece->len);
			break;
		case PIECE_DIGITS:
			draw_from(digits, sizeof(digits) - 1, g, out, piece->len);
			break;
		case PIECE_ZEROS:
			memset(out, 0, piece->len);
			break;
		case PIECE_NOTHING:
			break;
		}
		out += piece->len;
	}
}

/* --- Writing --- */

void frame_signature_put(struct text *out, const char *text, size_t len)
{
	struct span rest = { .at = text, .len = len }, tag;

	while (next_tag(&rest, &tag) > 0) {
		struct span words = tag;
		struct span name = next_word(&words), value = next_word(&words);
		const struct tag_row *row = find_row(name);

		text_puts(out, "<");
		text_add(out, name.at, name.len);
		if (value.len && (!row || row->value != VALUE_NONE)) {
			text_puts(out, " ");
			text_add(out, value.at, value.len);
		}
		text_puts(out, ">");
	}
}
