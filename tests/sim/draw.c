/* SPDX-License-Identifier: Apache-2.0 */
#include "draw.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"

enum {
	DATAGRAM = 65507,     /* UDP over IPv4: 65535 - 20 - 8 */
	PRELUDE = 176 * 1024, /* docs of the parameters: I1 to I5 and junk */
	NONCE = 12,
};

static const uint32_t message_len[4] = { 148, 92, 64, 32 };

static uint32_t between(struct generator *g, uint32_t lo, uint32_t hi)
{
	return generator_between(g, lo, hi);
}

/* One time in @n. */
static bool rarely(struct generator *g, uint32_t n)
{
	return between(g, 1, n) == 1;
}

static struct frame_range range(struct generator *g, uint32_t lo, uint32_t hi)
{
	uint32_t a = between(g, lo, hi), b = rarely(g, 3) ? a : between(g, lo, hi);

	return a < b ? (struct frame_range){ a, b } : (struct frame_range){ b, a };
}

/* --- What both ends share --- */

static uint32_t draw_pad(struct generator *g, uint32_t message)
{
	switch (between(g, 0, 5)) {
	case 0:
		return 0;
	case 1:
		return between(g, 1, 40);
	case 2:
		return rarely(g, 4) ? between(g, 60000, DATAGRAM - message_len[message])
				    : between(g, 1200, 3000);
	default:
		return between(g, 0, 1200);
	}
}

static void draw_pads(struct generator *g, struct drawn *d)
{
	bool are_equal = rarely(g, 5);

	for (uint32_t i = 0; i < 4; i++) {
		d->pad[i] = i && are_equal ? d->pad[0] : draw_pad(g, i);
		if (d->is_protected && d->pad[i] < NONCE)
			d->pad[i] = NONCE;
	}
	for (uint32_t i = 0; i < 4; i++) /* equal, but for the longest message */
		if (d->pad[i] > DATAGRAM - message_len[i])
			d->pad[i] = DATAGRAM - message_len[i];
}

static bool overlap(const struct drawn *d)
{
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < i; j++)
			if (d->header[i].lo <= d->header[j].hi &&
			    d->header[j].lo <= d->header[i].hi)
				return true;
	return false;
}

/* All 2^32 values, cut in four. */
static void cut_the_whole(struct generator *g, struct drawn *d)
{
	uint32_t first = between(g, 0, 3), at = 0;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t last = i == 3 ? UINT32_MAX : at + between(g, 0, UINT32_C(1) << 30);

		d->header[(first + i) % 4] = (struct frame_range){ at, last };
		at = last + 1;
	}
}

static void draw_headers(struct generator *g, struct drawn *d)
{
	uint32_t how = between(g, 0, 4);

	for (uint32_t i = 0; i < 4; i++)
		d->header[i] = (struct frame_range){ i + 1, i + 1 };
	if (how == 0)
		cut_the_whole(g, d);
	while (how >= 2) { /* one: the defaults */
		uint32_t limit = how == 2 ? 300 : UINT32_MAX;

		for (uint32_t i = 0; i < 4; i++) {
			uint32_t lo = between(g, 0, limit), width = between(g, 0, limit / 8);

			if (how == 3)
				width = 0;
			d->header[i] = (struct frame_range){ lo, lo > UINT32_MAX - width
									 ? UINT32_MAX
									 : lo + width };
		}
		if (!overlap(d))
			break;
	}
}

/* --- What each has for itself --- */

static void draw_junk(struct generator *g, struct drawn *d)
{
	static const struct {
		uint32_t jc, jmin, jmax;
	} extremes[] = { { 128, 0, 1408 }, { 128, 1408, 1408 }, { 2, 65507, 65507 },
			 { 2, 0, 65507 },  { 0, 5, 50 },	{ 9, 0, 0 },
			 { 128, 0, 1 },	   { 1, 1, 1 },		{ 3, 1280, 1280 } };
	uint32_t i = between(g, 0, sizeof(extremes) / sizeof(extremes[0]) - 1);

	d->jc = d->jmin = d->jmax = 0;
	if (rarely(g, 3))
		return;
	if (rarely(g, 4)) {
		d->jc = extremes[i].jc;
		d->jmin = extremes[i].jmin;
		d->jmax = extremes[i].jmax;
		return;
	}
	d->jc = between(g, 1, 12);
	d->jmax = between(g, 1, 600);
	d->jmin = between(g, 0, d->jmax);
}

static void put_signature(struct drawn *d, uint32_t i, const char *text, uint32_t len)
{
	snprintf(d->signature[i], sizeof(d->signature[i]), "%s", text);
	d->signature_len[i] = len;
}

static void draw_signature(struct generator *g, struct drawn *d, uint32_t i)
{
	uint32_t n = between(g, 0, 400);
	char text[120];

	put_signature(d, i, "", 0);
	if (!rarely(g, 4))
		return;
	switch (between(g, 0, 6)) {
	case 0:
		put_signature(d, i, "no tags, no packet", 0);
		break;
	case 1:
		put_signature(d, i, "<b 0xc0ffee><t><c>", 3 + 4 + 4);
		break;
	case 2:
		put_signature(d, i, "<d><ds><wt 5000><dz 9>", 9);
		break;
	case 3:
		put_signature(d, i, rarely(g, 8) ? "<r 65507>" : "<r 0>", 0);
		d->signature_len[i] = strlen(d->signature[i]) > 5 ? 65507 : 0;
		break;
	default:
		snprintf(text, sizeof(text), "<b 01><r %u> and <rc %u><rd   %u 7>", n, n / 2,
			 n / 3);
		put_signature(d, i, text, 1 + n + n / 2 + n / 3);
		break;
	}
}

static uint64_t prelude(const struct drawn *d)
{
	uint64_t octets = (uint64_t)d->jc * d->jmax;

	for (int i = 0; i < 5; i++)
		octets += d->signature_len[i];
	return octets;
}

static void draw_prelude(struct generator *g, struct drawn *d)
{
	do {
		draw_junk(g, d);
		for (uint32_t i = 0; i < 5; i++)
			draw_signature(g, d, i);
	} while (prelude(d) > PRELUDE);
}

static struct frame_range maybe(struct generator *g, uint32_t lo, uint32_t hi)
{
	return rarely(g, 2) ? range(g, lo, hi) : (struct frame_range){ 0, 0 };
}

static uint32_t upper(struct frame_range r, uint32_t otherwise)
{
	return r.hi ? r.hi : otherwise;
}

static void draw_own(struct generator *g, struct drawn *d)
{
	draw_prelude(g, d);
	d->content_padding = maybe(g, 0, rarely(g, 3) ? 65535 : 200);
	d->rekey_timeout = maybe(g, 0, 12);
	do { /* a key is followed before it ends, or what is sent in its last moment is lost */
		d->rekey_after = maybe(g, 2, 200);
	} while (upper(d->rekey_after, 120) + 10 > upper(d->reject_after, 180));
	d->keepalive_timeout = maybe(g, 0, 30);
	d->max_attempts = maybe(g, 0, 40);
	d->disable_cookies = rarely(g, 4);
}

void draw_valid(struct generator *g, struct drawn *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->is_protected = rarely(g, 3);
	if (ret->is_protected)
		generator_fill(g, ret->key, sizeof(ret->key));
	ret->random_trailers = rarely(g, 3);
	draw_pads(g, ret);
	draw_headers(g, ret);
	ret->reject_after = maybe(g, 30, 250);
	draw_own(g, ret);
}

void draw_other_end(struct generator *g, const struct drawn *of, struct drawn *ret)
{
	*ret = *of;
	draw_own(g, ret);
}

/* --- Breaking rules --- */

/* A value of one range becomes the other's end, or lies within it. */
static void break_headers(struct generator *g, struct drawn *d)
{
	uint32_t i = between(g, 0, 3), j = (i + between(g, 1, 3)) % 4;
	uint32_t value = between(g, d->header[i].lo, d->header[i].hi);

	if (rarely(g, 2) && d->header[j].lo <= value)
		d->header[j].hi = value > d->header[j].hi ? value : d->header[j].hi;
	else
		d->header[j] = (struct frame_range){ value, value };
}

static void break_signature(struct generator *g, struct drawn *d)
{
	static const char *const wrong[] = {
		"<q 5>",
		"<b 0x123>",
		"<b>",
		"<r>",
		"<r -1>",
		"<r 65508>",
		"<r 65507><t>",
		"<b 0xzz>",
		"<rc x>",
		"<r 5",
		"<t><rd 99999999999999999999>",
		"<>",
	};

	put_signature(d, between(g, 0, 4),
		      wrong[between(g, 0, sizeof(wrong) / sizeof(wrong[0]) - 1)], UINT32_MAX);
}

void draw_break(struct generator *g, struct drawn *d, enum frame_rule rule)
{
	uint32_t i = between(g, 0, 3);

	switch (rule) {
	case FRAME_RULE_HEADER_OVERLAP:
		break_headers(g, d);
		break;
	case FRAME_RULE_PROTECTION_PADDING:
		d->is_protected = true;
		d->key[between(g, 0, 31)] |= 1;
		d->pad[i] = between(g, 0, NONCE - 1);
		break;
	case FRAME_RULE_JUNK_ORDER:
		d->jmax = between(g, 0, 1000);
		d->jmin = d->jmax + between(g, 1, 500);
		break;
	case FRAME_RULE_JUNK_SIZE:
		d->jmax = between(g, DATAGRAM + 1, 65535);
		break;
	case FRAME_RULE_JUNK_COUNT:
		d->jc = between(g, 129, 65535);
		break;
	case FRAME_RULE_DATAGRAM_SIZE:
		d->pad[i] = between(g, DATAGRAM - message_len[i] + 1, 65535);
		break;
	case FRAME_RULE_SIGNATURE:
		break_signature(g, d);
		break;
	case FRAME_RULE_PRELUDE:
		d->jc = between(g, 3, 128);
		d->jmax = between(g, PRELUDE / d->jc + 1, 65507);
		d->jmin = between(g, 0, d->jmax);
		break;
	case FRAME_RULE_NONE:
	case FRAME_RULES:
		break;
	}
}

enum frame_rule draw_broken(const struct drawn *d)
{
	if (overlap(d))
		return FRAME_RULE_HEADER_OVERLAP;
	for (int i = 0; i < 4; i++)
		if (d->is_protected && d->pad[i] < 12)
			return FRAME_RULE_PROTECTION_PADDING;
	if (d->jmin > d->jmax)
		return FRAME_RULE_JUNK_ORDER;
	if (d->jmax > 65507)
		return FRAME_RULE_JUNK_SIZE;
	if (d->jc > 128)
		return FRAME_RULE_JUNK_COUNT;
	for (int i = 0; i < 4; i++)
		if (d->pad[i] + message_len[i] >= 65508)
			return FRAME_RULE_DATAGRAM_SIZE;
	for (int i = 0; i < 5; i++)
		if (d->signature_len[i] > 65507)
			return FRAME_RULE_SIGNATURE;
	return prelude(d) > PRELUDE ? FRAME_RULE_PRELUDE : FRAME_RULE_NONE;
}

/* --- As text --- */

__attribute__((format(printf, 3, 4))) static void line(char **lines, uint32_t *n,
						       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(&lines[(*n)++], format, args) < 0)
		abort();
	va_end(args);
}

static void line_range(char **lines, uint32_t *n, const char *name, struct frame_range r)
{
	if (r.lo == r.hi)
		line(lines, n, "%s=%u", name, r.lo);
	else
		line(lines, n, "%s=%u-%u", name, r.lo, r.hi);
}

static void shuffle(struct generator *g, char **lines, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = between(g, 0, i - 1);
		char *other = lines[j];

		lines[j] = lines[i - 1];
		lines[i - 1] = other;
	}
}

uint32_t draw_lines(struct generator *g, const struct drawn *d, char **lines)
{
	static const char zero[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	char hex[KEY_HEX_LEN + 1];
	uint32_t n = 0;

	key_to_hex(d->key, hex);
	line(lines, &n, "jc=%u", d->jc);
	line(lines, &n, "jmin=%u", d->jmin);
	line(lines, &n, "jmax=%u", d->jmax);
	for (uint32_t i = 0; i < 4; i++) {
		char name[] = { 'h', (char)('1' + i), '\0' };

		line(lines, &n, "s%u=%u", i + 1, d->pad[i]);
		line_range(lines, &n, name, d->header[i]);
	}
	for (uint32_t i = 0; i < 5; i++)
		line(lines, &n, "i%u=%s", i + 1, d->signature[i]);
	line(lines, &n, "header_protection_key=%s", d->is_protected ? hex : zero);
	line_range(lines, &n, "content_padding_addition", d->content_padding);
	line_range(lines, &n, "rekey_after_time", d->rekey_after);
	line_range(lines, &n, "rekey_timeout", d->rekey_timeout);
	line_range(lines, &n, "reject_after_time", d->reject_after);
	line_range(lines, &n, "keepalive_timeout", d->keepalive_timeout);
	line_range(lines, &n, "max_handshake_attempts", d->max_attempts);
	line(lines, &n, "random_trailers=%d", d->random_trailers);
	line(lines, &n, "disable_cookies=%d", d->disable_cookies);
	shuffle(g, lines, n);
	return n;
}
