/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A recipe is a row of ranges; a set is drawn by drawing each value
 * uniformly, and what rules join is drawn again until they hold: sizes by themselves, header
 * words by themselves, so each group stays uniform among what is allowed.
 *
 * A signature packet has one of three shapes. The shape belongs to a deployment, its literal
 * octets to each client, so a drawn packet must be known again by its text.
 */
#include "frame/level.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "noise/messages.h"

enum {
	HEADER_MAX = INT32_MAX, /* what is advised for header words */
	OCTET_MIN = 5,		/* above the type words of WireGuard */
	OCTET_MAX = 255,
	WORD_MIN = 1 << 24, /* all four octets are in use */
	WIDTH_MIN = 1 << 24,
	WIDTH_MAX = 1 << 27,
	KEEPALIVE_S = 25, /* what NAT mappings are customarily kept alive with */
};

/* --- Names --- */

static const struct {
	const char *name;
	const char *deployed;
} names[] = {
	[FRAME_OFF] = { "off", "off" },
	[FRAME_LOW] = { "low", "basic" },
	[FRAME_MEDIUM] = { "medium", "high" },
	[FRAME_HIGH] = { "high", "high" },
	[FRAME_EXTREME] = { "extreme", "stealth" },
};
static_assert(sizeof(names) / sizeof(names[0]) == FRAME_LEVELS, "one row per level");

static bool is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

enum frame_level frame_level_find(const char *word, size_t len)
{
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++)
		if (is(word, len, names[level].name))
			return level;
	/* "high" was found above: of the deployed names only these two are different words. */
	if (is(word, len, names[FRAME_LOW].deployed))
		return FRAME_LOW;
	if (is(word, len, names[FRAME_EXTREME].deployed))
		return FRAME_EXTREME;
	return FRAME_LEVELS;
}

const char *frame_level_name(enum frame_level level)
{
	return names[level].name;
}

const char *frame_level_deployed_name(enum frame_level level)
{
	return names[level].deployed;
}

/* --- Recipes --- */

/**
 * struct recipe - From where the values of a level are drawn
 * @has_equal_pads:	S1 is drawn, S2 to S4 are the same
 * @header:		Where H1..H4 lie; all at zero: the defaults stay
 * @width:		Values in each of H1..H4
 * @is_masked:		Header protection and all else that version 3.1 brings
 */
struct recipe {
	struct frame_range jc;
	struct frame_range jmin;
	struct frame_range jmax;
	struct frame_range pad[FRAME_MESSAGES];
	bool has_equal_pads;
	struct frame_range header;
	struct frame_range width;
	bool has_signature;
	bool is_masked;
};

static const struct recipe recipes[] = {
	[FRAME_OFF] = { .jc = { 0, 0 } },
	[FRAME_LOW] = {
		.jc = { 4, 6 },
		.jmin = { 8, 16 },
		.jmax = { 40, 80 },
		.pad = { { 15, 40 }, { 15, 40 } },
		.header = { OCTET_MIN, OCTET_MAX },
		.width = { 1, 1 },
	},
	[FRAME_MEDIUM] = {
		.jc = { 4, 10 },
		.jmin = { 16, 64 },
		.jmax = { 80, 250 },
		.pad = { { 15, 150 }, { 15, 150 } },
		.header = { WORD_MIN, HEADER_MAX },
		.width = { 1, 1 },
	},
	[FRAME_HIGH] = {
		.jc = { 4, 10 },
		.jmin = { 16, 64 },
		.jmax = { 80, 250 },
		.pad = { { 15, 150 }, { 15, 150 }, { 8, 64 }, { 4, 20 } },
		.header = { WORD_MIN, HEADER_MAX },
		.width = { WIDTH_MIN, WIDTH_MAX },
		.has_signature = true,
	},
	[FRAME_EXTREME] = {
		.jc = { 6, 10 },
		.jmin = { 10, 64 },
		.jmax = { 80, 250 },
		.pad = { { 12, 24 } },
		.has_equal_pads = true,
		.header = { WORD_MIN, HEADER_MAX },
		.width = { 1, 1 },
		.has_signature = true,
		.is_masked = true,
	},
};
static_assert(sizeof(recipes) / sizeof(recipes[0]) == FRAME_LEVELS, "one row per level");

/* Ranges that each end draws for itself at extreme: from where each bound comes. No timer is
 * longer than WireGuard's own. */
static const struct spread {
	size_t at;
	struct frame_range lo;
	struct frame_range hi;
} spreads[] = {
	{ offsetof(struct frame_parameters, content_padding), { 5, 20 }, { 80, 128 } },
	{ offsetof(struct frame_parameters, rekey_after), { 90, 105 }, { 110, 120 } },
	{ offsetof(struct frame_parameters, rekey_timeout), { 3, 4 }, { 5, 7 } },
	{ offsetof(struct frame_parameters, reject_after), { 150, 165 }, { 170, 180 } },
	{ offsetof(struct frame_parameters, keepalive_timeout), { 5, 8 }, { 12, 15 } },
	{ offsetof(struct frame_parameters, max_attempts), { 15, 16 }, { 18, 20 } },
};

static uint32_t draw(struct generator *g, struct frame_range r)
{
	return generator_between(g, r.lo, r.hi);
}

/* --- What both ends share --- */

static bool do_headers_overlap(const struct frame_parameters *p)
{
	for (size_t i = 0; i < FRAME_MESSAGES; i++)
		for (size_t j = i + 1; j < FRAME_MESSAGES; j++)
			if (frame_range_overlaps(p->header[i], p->header[j]))
				return true;
	return false;
}

static void draw_headers(const struct recipe *recipe, struct generator *g,
			 struct frame_parameters *p)
{
	do {
		for (size_t i = 0; i < FRAME_MESSAGES; i++) {
			uint32_t width = draw(g, recipe->width);
			uint32_t lo = generator_between(g, recipe->header.lo,
							recipe->header.hi - width + 1);

			p->header[i] = (struct frame_range){ .lo = lo, .hi = lo + width - 1 };
		}
	} while (do_headers_overlap(p));
}

/*
 * No two messages have one size, no reply is longer than its request, and all fit a path of
 * 1280 octets. Where header words are ranges, no data packet (a multiple of 16 and what goes
 * around it) has the size of a handshake message: other implementations tell the two apart by
 * size first, and would throw data away whenever its random octets look like a handshake.
 */
static bool are_sizes_good(const struct recipe *recipe, const struct frame_parameters *p)
{
	const uint32_t sizes[FRAME_MESSAGES] = {
		p->pad[0] + (uint32_t)sizeof(struct msg_initiation),
		p->pad[1] + (uint32_t)sizeof(struct msg_response),
		p->pad[2] + (uint32_t)sizeof(struct msg_cookie),
		p->pad[3] + MESSAGE_DATA_MIN,
	};
	bool has_ranges = recipe->width.hi > 1;

	for (size_t i = 0; i < FRAME_MESSAGES; i++) {
		if (sizes[i] > sizes[0] || sizes[i] > FRAME_PATH_PAYLOAD)
			return false;
		for (size_t j = i + 1; j < FRAME_MESSAGES; j++)
			if (sizes[i] == sizes[j])
				return false;
		if (has_ranges && i < FRAME_MESSAGES - 1 && (sizes[i] - sizes[3]) % 16 == 0)
			return false;
	}
	return true;
}

static void draw_pads(const struct recipe *recipe, struct generator *g,
		      struct frame_parameters *p)
{
	do {
		for (size_t i = 0; i < FRAME_MESSAGES; i++)
			p->pad[i] = i && recipe->has_equal_pads ? p->pad[0]
								: draw(g, recipe->pad[i]);
	} while (!are_sizes_good(recipe, p));
}

static void draw_shared(const struct recipe *recipe, struct generator *g,
			struct frame_parameters *p)
{
	draw_pads(recipe, g, p);
	draw_headers(recipe, g, p);
	if (!recipe->is_masked)
		return;
	generator_fill(g, p->protection_key.b, sizeof(p->protection_key.b));
	p->random_trailers = true;
}

/* --- What each end has for itself --- */

static void draw_own(const struct recipe *recipe, struct generator *g,
		     struct frame_parameters *p)
{
	p->jc = draw(g, recipe->jc);
	p->jmin = draw(g, recipe->jmin);
	p->jmax = draw(g, recipe->jmax);
	if (!recipe->is_masked)
		return;
	for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
		struct frame_range r = { .lo = draw(g, spreads[i].lo),
					 .hi = draw(g, spreads[i].hi) };

		memcpy((uint8_t *)p + spreads[i].at, &r, sizeof(r));
	}
}

/* --- Signature packets --- */

enum shape {
	SHAPE_QUIC,
	SHAPE_DNS,
	SHAPE_STUN,
	SHAPES,
};

enum {
	QUIC_LOW_BITS = 16, /* values of the bits that a QUIC client masks */
	LABEL_MIN = 10,	    /* letters of the first label of a DNS name */
	LABEL_MAX = 20,
};

/* The rest of a DNS name, each label behind its length: com, net, org, info. */
static const char *const suffixes[] = { "03636f6d", "036e6574", "036f7267", "04696e666f" };
/* A, AAAA, HTTPS */
static const char *const record_types[] = { "0001", "001c", "0041" };

enum {
	SUFFIXES = sizeof(suffixes) / sizeof(suffixes[0]),
	RECORD_TYPES = sizeof(record_types) / sizeof(record_types[0]),
	/* Every text of a shape has a number below its count. */
	DNS_COUNT = (LABEL_MAX - LABEL_MIN + 1) * SUFFIXES * RECORD_TYPES,
};

static const uint32_t shape_counts[SHAPES] = { QUIC_LOW_BITS, DNS_COUNT, 1 };

/* An Initial packet of 1200 octets: flags, version 1, 8 octets of connection number, no token,
 * 1182 octets that only the holder of the connection number can read. */
static void write_quic(struct text *out, uint32_t number)
{
	text_printf(out, "<b 0xc%x0000000108><r 8><b 0x0000449e><r 1000><r 182>", number);
}

/* A recursive query for one name. */
static void write_dns(struct text *out, uint32_t number)
{
	uint32_t label = LABEL_MIN + number / (SUFFIXES * RECORD_TYPES);
	const char *suffix = suffixes[number / RECORD_TYPES % SUFFIXES];
	const char *type = record_types[number % RECORD_TYPES];

	text_printf(out, "<r 2><b 0x01000001000000000000%02x><rc %u><b 0x%s00%s0001>", label,
		    label, suffix, type);
}

static void write_shape(struct text *out, enum shape shape, uint32_t number)
{
	switch (shape) {
	case SHAPE_QUIC:
		write_quic(out, number);
		break;
	case SHAPE_DNS:
		write_dns(out, number);
		break;
	case SHAPE_STUN:
		/* A binding request without attributes: type, length, magic, transaction. */
		text_puts(out, "<b 0x000100002112a442><r 12>");
		break;
	case SHAPES:
		break;
	}
}

/* The shape that @text was drawn from; SHAPES: somebody wrote it. */
static enum shape find_shape(const char *text)
{
	struct text candidate = { 0 };
	enum shape shape;
	bool found = false;

	for (shape = 0; shape < SHAPES; shape++) {
		for (uint32_t i = 0; i < shape_counts[shape] && !found; i++) {
			text_clear(&candidate);
			write_shape(&candidate, shape, i);
			found = !candidate.err && strcmp(candidate.data, text) == 0;
		}
		if (found)
			break;
	}
	text_done(&candidate);
	return shape;
}

static int draw_signature(enum shape shape, struct generator *g, char **ret)
{
	struct text out = { 0 };

	write_shape(&out, shape, generator_between(g, 0, shape_counts[shape] - 1));
	if (out.err) {
		text_done(&out);
		return -ENOMEM;
	}
	*ret = out.data; /* the caller owns it now */
	return 0;
}

/* What an operator wrote is kept as it is. */
static int draw_signatures_again(const struct frame_parameters *server, struct generator *g,
				 struct frame_parameters *p)
{
	int err = 0;

	for (enum frame_key key = FRAME_I1; key <= FRAME_I5 && !err; key++) {
		const char *text = server->signature[key - FRAME_I1];
		enum shape shape = text ? find_shape(text) : SHAPES;

		err = shape == SHAPES ? frame_parameters_take(p, server, key)
				      : draw_signature(shape, g, &p->signature[key - FRAME_I1]);
	}
	return err;
}

/* --- Whole sets --- */

int frame_level_draw(enum frame_level level, struct generator *g, struct frame_parameters *ret)
{
	const struct recipe *recipe = &recipes[level];
	char *signature = NULL;

	if (recipe->has_signature &&
	    draw_signature(generator_between(g, 0, SHAPES - 1), g, &signature))
		return -ENOMEM;
	frame_parameters_done(ret);
	if (level == FRAME_OFF)
		return 0;
	draw_shared(recipe, g, ret);
	draw_own(recipe, g, ret);
	ret->signature[0] = signature;
	return 0;
}

int frame_level_draw_client(enum frame_level level, const struct frame_parameters *server,
			    struct generator *g, struct frame_parameters *ret)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	if (draw_signatures_again(server, g, &p)) {
		frame_parameters_done(&p);
		return -ENOMEM;
	}
	for (enum frame_key key = 0; key < FRAME_KEYS; key++)
		if (frame_key_must_match(key))
			(void)frame_parameters_take(&p, server, key);
	draw_own(&recipes[level], g, &p);
	frame_parameters_done(ret);
	*ret = p;
	secret_key_done(&p.protection_key);
	return 0;
}

static bool has_ranges(const struct frame_parameters *p)
{
	for (size_t i = 0; i < FRAME_MESSAGES; i++)
		if (p->header[i].lo != p->header[i].hi)
			return true;
	return false;
}

/* Padding or words of the four types that low has, too. */
static bool is_like_low(const struct frame_parameters *p)
{
	for (size_t i = 0; i < FRAME_MESSAGES; i++)
		if (p->header[i].hi > OCTET_MAX || p->pad[i] > recipes[FRAME_LOW].pad[i].hi)
			return false;
	return true;
}

enum frame_level frame_level_of(const struct frame_parameters *p)
{
	if (frame_parameters_are_plain(p))
		return FRAME_OFF;
	if (p->random_trailers || !frame_key_is_default(p, FRAME_HEADER_PROTECTION_KEY))
		return FRAME_EXTREME;
	if (p->pad[2] || p->pad[3] || has_ranges(p))
		return FRAME_HIGH;
	return is_like_low(p) ? FRAME_LOW : FRAME_MEDIUM;
}

struct frame_range frame_level_keepalive(enum frame_level level, struct generator *g)
{
	if (!recipes[level].is_masked)
		return (struct frame_range){ .lo = KEEPALIVE_S, .hi = KEEPALIVE_S };
	return (struct frame_range){ .lo = generator_between(g, 15, 18),
				     .hi = generator_between(g, 22, 25) };
}
