/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/parameters.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <strings.h>

#include "base/codec.h"
#include "frame/signature.h"

enum {
	SHOWN_MAX = 40,	   /* characters of a value that a reason repeats */
	COMPACT_MAX = 128, /* of a number, range or word in a file, blanks removed */
};

/* --- The table --- */

enum value_type {
	VALUE_NUMBER,  /* uint32_t */
	VALUE_HEADER,  /* struct frame_range that is always in force */
	VALUE_RANGE,   /* struct frame_range; zero is off */
	VALUE_BOOLEAN, /* bool */
	VALUE_KEY,     /* struct secret_key */
	VALUE_TEXT,    /* char *, a signature packet */
};

/**
 * struct row - One parameter
 * @normal:	Its default; for ranges both ends
 * @max:	Of a number, or of both ends
 * @at:		Where it is in struct frame_parameters
 */
struct row {
	const char *conf;
	const char *uapi;
	enum value_type type;
	bool must_match;
	uint32_t normal;
	uint32_t max;
	size_t at;
};

#define AT(member)		 offsetof(struct frame_parameters, member)
#define NUMBER(match_, member_)	 VALUE_NUMBER, match_, 0, UINT16_MAX, AT(member_)
#define HEADER(normal_, member_) VALUE_HEADER, true, normal_, UINT32_MAX, AT(member_)
#define TEXT(member_)		 VALUE_TEXT, false, 0, 0, AT(member_)
#define KEY(member_)		 VALUE_KEY, true, 0, 0, AT(member_)
#define RANGE(member_)		 VALUE_RANGE, false, 0, UINT16_MAX, AT(member_)
#define BOOLEAN(match_, member_) VALUE_BOOLEAN, match_, 0, 1, AT(member_)

static const struct row rows[] = {
	[FRAME_JC] = { "Jc", "jc", NUMBER(false, jc) },
	[FRAME_JMIN] = { "Jmin", "jmin", NUMBER(false, jmin) },
	[FRAME_JMAX] = { "Jmax", "jmax", NUMBER(false, jmax) },
	[FRAME_S1] = { "S1", "s1", NUMBER(true, pad[0]) },
	[FRAME_S2] = { "S2", "s2", NUMBER(true, pad[1]) },
	[FRAME_S3] = { "S3", "s3", NUMBER(true, pad[2]) },
	[FRAME_S4] = { "S4", "s4", NUMBER(true, pad[3]) },
	[FRAME_H1] = { "H1", "h1", HEADER(1, header[0]) },
	[FRAME_H2] = { "H2", "h2", HEADER(2, header[1]) },
	[FRAME_H3] = { "H3", "h3", HEADER(3, header[2]) },
	[FRAME_H4] = { "H4", "h4", HEADER(4, header[3]) },
	[FRAME_I1] = { "I1", "i1", TEXT(signature[0]) },
	[FRAME_I2] = { "I2", "i2", TEXT(signature[1]) },
	[FRAME_I3] = { "I3", "i3", TEXT(signature[2]) },
	[FRAME_I4] = { "I4", "i4", TEXT(signature[3]) },
	[FRAME_I5] = { "I5", "i5", TEXT(signature[4]) },
	[FRAME_HEADER_PROTECTION_KEY] = { "HeaderProtectionKey", "header_protection_key",
					  KEY(protection_key) },
	[FRAME_CONTENT_PADDING_ADDITION] = { "ContentPaddingAddition",
					     "content_padding_addition",
					     RANGE(content_padding) },
	[FRAME_REKEY_AFTER_TIME] = { "RekeyAfterTime", "rekey_after_time", RANGE(rekey_after) },
	[FRAME_REKEY_TIMEOUT] = { "RekeyTimeout", "rekey_timeout", RANGE(rekey_timeout) },
	[FRAME_REJECT_AFTER_TIME] = { "RejectAfterTime", "reject_after_time",
				      RANGE(reject_after) },
	[FRAME_KEEPALIVE_TIMEOUT] = { "KeepaliveTimeout", "keepalive_timeout",
				      RANGE(keepalive_timeout) },
	[FRAME_MAX_HANDSHAKE_ATTEMPTS] = { "MaxHandshakeAttempts", "max_handshake_attempts",
					   RANGE(max_attempts) },
	[FRAME_RANDOM_TRAILERS] = { "RandomTrailers", "random_trailers",
				    BOOLEAN(true, random_trailers) },
	[FRAME_DISABLE_COOKIES] = { "DisableCookies", "disable_cookies",
				    BOOLEAN(false, disable_cookies) },
};
static_assert(sizeof(rows) / sizeof(rows[0]) == FRAME_KEYS, "one row per key");

/* Where a row's value is. One of each type, so that no cast is needed elsewhere. */
union place {
	void *any;
	uint32_t *number;
	struct frame_range *range;
	bool *boolean;
	struct secret_key *key;
	char **text;
};

union const_place {
	const void *any;
	const uint32_t *number;
	const struct frame_range *range;
	const bool *boolean;
	const struct secret_key *key;
	char *const *text;
};

static union place place_of(struct frame_parameters *p, enum frame_key key)
{
	return (union place){ .any = (uint8_t *)p + rows[key].at };
}

static union const_place value_of(const struct frame_parameters *p, enum frame_key key)
{
	return (union const_place){ .any = (const uint8_t *)p + rows[key].at };
}

enum frame_key frame_key_find(enum frame_dialect dialect, const char *name, size_t len)
{
	for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
		const char *row = frame_key_name(dialect, key);

		if (strlen(row) != len)
			continue;
		if (dialect == FRAME_CONF ? strncasecmp(row, name, len) == 0
					  : memcmp(row, name, len) == 0)
			return key;
	}
	return FRAME_KEYS;
}

const char *frame_key_name(enum frame_dialect dialect, enum frame_key key)
{
	return dialect == FRAME_CONF ? rows[key].conf : rows[key].uapi;
}

bool frame_key_must_match(enum frame_key key)
{
	return rows[key].must_match;
}

bool frame_key_is_default(const struct frame_parameters *p, enum frame_key key)
{
	union const_place v = value_of(p, key);
	uint32_t normal = rows[key].normal;

	switch (rows[key].type) {
	case VALUE_NUMBER:
		return *v.number == normal;
	case VALUE_HEADER:
	case VALUE_RANGE:
		return v.range->lo == normal && v.range->hi == normal;
	case VALUE_BOOLEAN:
		return !*v.boolean;
	case VALUE_KEY:
		return secret_is_zero(v.key, sizeof(*v.key));
	case VALUE_TEXT:
		return !*v.text;
	}
	return false;
}

/* --- A whole set --- */

void frame_parameters_init(struct frame_parameters *p)
{
	memset(p, 0, sizeof(*p));
	for (enum frame_key key = 0; key < FRAME_KEYS; key++) {
		uint32_t normal = rows[key].normal;

		if (rows[key].type == VALUE_HEADER)
			*place_of(p, key).range =
				(struct frame_range){ .lo = normal, .hi = normal };
	}
}

void frame_parameters_done(struct frame_parameters *p)
{
	for (size_t i = 0; i < FRAME_SIGNATURES; i++)
		free(p->signature[i]);
	secret_wipe(p, sizeof(*p));
	frame_parameters_init(p);
}

int frame_parameters_copy(struct frame_parameters *to, const struct frame_parameters *from)
{
	struct frame_parameters copy;

	frame_parameters_init(&copy);
	for (enum frame_key key = 0; key < FRAME_KEYS; key++)
		if (frame_parameters_take(&copy, from, key)) {
			frame_parameters_done(&copy);
			return -ENOMEM;
		}
	*to = copy;
	secret_key_done(&copy.protection_key);
	return 0;
}

bool frame_parameters_are_plain(const struct frame_parameters *p)
{
	for (enum frame_key key = 0; key < FRAME_KEYS; key++)
		if (!frame_key_is_default(p, key))
			return false;
	return true;
}

/* Of all types but texts, of which none must match. */
static bool are_equal(union const_place a, union const_place b, enum value_type type)
{
	switch (type) {
	case VALUE_NUMBER:
		return *a.number == *b.number;
	case VALUE_HEADER:
	case VALUE_RANGE:
		return a.range->lo == b.range->lo && a.range->hi == b.range->hi;
	case VALUE_BOOLEAN:
		return *a.boolean == *b.boolean;
	case VALUE_KEY:
		return secret_equal(a.key, b.key, sizeof(*a.key));
	case VALUE_TEXT:
		break;
	}
	return false;
}

static bool match_but_for(const struct frame_parameters *a, const struct frame_parameters *b,
			  enum frame_key spared)
{
	for (enum frame_key key = 0; key < FRAME_KEYS; key++)
		if (key != spared && rows[key].must_match &&
		    !are_equal(value_of(a, key), value_of(b, key), rows[key].type))
			return false;
	return true;
}

bool frame_parameters_match(const struct frame_parameters *a, const struct frame_parameters *b)
{
	return match_but_for(a, b, FRAME_KEYS);
}

/* May one initiation be meant under either? */
static bool are_initiations_alike(const struct frame_parameters *a,
				  const struct frame_parameters *b)
{
	return a->pad[0] == b->pad[0] && frame_range_overlaps(a->header[0], b->header[0]) &&
	       secret_equal(&a->protection_key, &b->protection_key, sizeof(a->protection_key));
}

bool frame_parameters_clash(const struct frame_parameters *a, const struct frame_parameters *b)
{
	return are_initiations_alike(a, b) && !match_but_for(a, b, FRAME_RANDOM_TRAILERS);
}

int frame_parameters_take(struct frame_parameters *p, const struct frame_parameters *from,
			  enum frame_key key)
{
	union place to = place_of(p, key);
	union const_place v = value_of(from, key);
	char *text = NULL;

	switch (rows[key].type) {
	case VALUE_NUMBER:
		*to.number = *v.number;
		break;
	case VALUE_HEADER:
	case VALUE_RANGE:
		*to.range = *v.range;
		break;
	case VALUE_BOOLEAN:
		*to.boolean = *v.boolean;
		break;
	case VALUE_KEY:
		*to.key = *v.key;
		break;
	case VALUE_TEXT:
		text = *v.text ? strdup(*v.text) : NULL;
		if (*v.text && !text)
			return -ENOMEM;
		free(*to.text);
		*to.text = text;
		break;
	}
	return 0;
}

/* --- Reading one value --- */

/**
 * struct reading - A value on its way in
 * @name:	Of the key, as the dialect spells it
 */
struct reading {
	enum frame_dialect dialect;
	const struct row *row;
	const char *name;
	const char *text;
	size_t len;
	struct diag *d;
};

/* "KEY: 'value' WHY", for values that are no secret; without control characters. */
static int refuse(const struct reading *r, int err, const char *why)
{
	char shown[SHOWN_MAX + 1];
	size_t len = r->len < SHOWN_MAX ? r->len : SHOWN_MAX;

	for (size_t i = 0; i < len; i++)
		shown[i] = (char)(r->text[i] >= ' ' && r->text[i] <= '~' ? r->text[i] : '?');
	shown[len] = '\0';
	return diag_set(r->d, err, 0, "%s: '%s' %s", r->name, shown, why);
}

static bool is(const struct reading *r, const char *word)
{
	return strlen(word) == r->len && strncasecmp(word, r->text, r->len) == 0;
}

static int read_number(const struct reading *r, uint32_t *ret)
{
	struct frame_range range;
	uint64_t value;
	int err = decimal_parse(r->text, r->len, r->row->max, &value);

	if (!err) {
		*ret = (uint32_t)value;
		return 0;
	}
	if (frame_range_parse(r->text, r->len, UINT32_MAX, &range) == 0 && err == ERR_FORMAT)
		return refuse(r, err,
			      "is a range, and this takes one number: only H1 to H4, "
			      "ContentPaddingAddition and the timers take ranges");
	return refuse(r, err, "is not a number from 0 to 65535");
}

static int read_range(const struct reading *r, struct frame_range *ret)
{
	int err;

	if (r->dialect == FRAME_CONF && r->row->type == VALUE_RANGE && is(r, "off")) {
		*ret = (struct frame_range){ 0 };
		return 0;
	}
	err = frame_range_parse(r->text, r->len, r->row->max, ret);
	if (!err)
		return 0;
	if (r->row->type == VALUE_HEADER)
		return refuse(r, err,
			      "is not a number from 0 to 4294967295, or two of them as in "
			      "100-200, the smaller first");
	return refuse(r, err,
		      "is not a number from 0 to 65535, or two of them as in 10-20, the "
		      "smaller first");
}

/* Files: as the tools take it, and the words that people write. UAPI: 0 or 1. */
static int read_boolean(const struct reading *r, bool *ret)
{
	bool in_file = r->dialect == FRAME_CONF;
	uint64_t value;

	if (decimal_parse(r->text, r->len, in_file ? UINT64_MAX : 1, &value) == 0) {
		*ret = value != 0;
		return 0;
	}
	if (!in_file)
		return refuse(r, ERR_FORMAT, "is neither 0 nor 1");
	if (is(r, "on") || is(r, "true") || is(r, "yes"))
		*ret = true;
	else if (is(r, "off") || is(r, "false") || is(r, "no"))
		*ret = false;
	else
		return refuse(r, ERR_FORMAT, "is neither on nor off");
	return 0;
}

static int read_key(const struct reading *r, struct secret_key *ret)
{
	if (r->dialect == FRAME_UAPI) {
		if (key_from_hex(r->text, r->len, ret->b) == 0)
			return 0;
		return diag_set(r->d, ERR_FORMAT, 0,
				"%s: the value is not a key of 64 hex digits", r->name);
	}
	if (key_from_base64(r->text, r->len, ret->b) == 0)
		return 0;
	return diag_set(
		r->d, ERR_FORMAT, 0,
		"%s: the value is not a key: 44 base64 characters, ending with =", r->name);
}

/* Control characters would end a line of the UAPI, or a column of a listing. */
static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] < ' ' || text[i] == 0x7f)
			return true;
	return false;
}

static int read_text(const struct reading *r, char **ret)
{
	struct frame_signature parsed = { 0 };
	struct diag why = { 0 };
	char *copy = NULL;
	bool has_tags;
	int err;

	if (r->len > FRAME_SIGNATURE_TEXT_MAX)
		return diag_set(r->d, ERR_LIMIT, 0, "%s: longer than %d characters", r->name,
				FRAME_SIGNATURE_TEXT_MAX);
	if (has_control(r->text, r->len))
		return diag_set(r->d, ERR_FORMAT, 0, "%s: a control character in the value",
				r->name);
	err = frame_signature_parse(r->text, r->len, &parsed, &why);
	if (err == -ENOMEM)
		return err;
	if (err)
		return diag_set(r->d, err, 0, "%s: %s", r->name, why.text);
	has_tags = parsed.n_pieces > 0;
	frame_signature_done(&parsed);
	if (has_tags) {
		copy = malloc(r->len + 1);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, r->text, r->len);
		copy[r->len] = '\0';
	}
	free(*ret);
	*ret = copy;
	return 0;
}

/* Read into the value's place; written on success only. */
static int read_value(const struct reading *r, union place to)
{
	switch (r->row->type) {
	case VALUE_NUMBER:
		return read_number(r, to.number);
	case VALUE_HEADER:
	case VALUE_RANGE:
		return read_range(r, to.range);
	case VALUE_BOOLEAN:
		return read_boolean(r, to.boolean);
	case VALUE_KEY:
		return read_key(r, to.key);
	case VALUE_TEXT:
		return read_text(r, to.text);
	}
	return ERR_FORMAT;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Without blanks at the ends and around the dash of a range; others are left for the reader to
 * refuse. Return: the length, or SIZE_MAX when the rest does not fit. */
static size_t remove_blanks(const char *text, size_t len, char out[COMPACT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		size_t word = i;

		while (word < len && is_blank(text[word]))
			word++;
		if (word == len)
			break;
		if (n == 0 || out[n - 1] == '-' || text[word] == '-')
			i = word;
		if (n == COMPACT_MAX)
			return SIZE_MAX;
		out[n++] = text[i];
	}
	return n;
}

int frame_parameters_set(struct frame_parameters *p, enum frame_dialect dialect,
			 enum frame_key key, const char *text, size_t len, struct diag *d)
{
	struct reading r = { .dialect = dialect,
			     .row = &rows[key],
			     .name = frame_key_name(dialect, key),
			     .text = text,
			     .len = len,
			     .d = d };
	enum value_type type = rows[key].type;
	char compact[COMPACT_MAX];

	/* The tools drop blanks in files, so "H1 = 5 - 10" is a range. */
	if (dialect == FRAME_CONF && type != VALUE_TEXT && type != VALUE_KEY) {
		r.len = remove_blanks(text, len, compact);
		r.text = compact;
		if (r.len == SIZE_MAX)
			return diag_set(d, ERR_FORMAT, 0, "%s: the value is too long", r.name);
	}
	return read_value(&r, place_of(p, key));
}

/* --- Writing one value --- */

static void put_key(struct text *out, enum frame_dialect dialect, const struct secret_key *key)
{
	char base64[KEY_BASE64_LEN + 1];

	if (dialect == FRAME_UAPI) {
		text_put_hex(out, key->b, sizeof(key->b));
		return;
	}
	key_to_base64(key->b, base64);
	text_puts(out, base64);
	secret_wipe(base64, sizeof(base64));
}

static void put_text(struct text *out, enum frame_dialect dialect, const char *text)
{
	if (!text)
		return;
	/* In a file the rest of the line would be a comment. */
	if (dialect == FRAME_CONF && strchr(text, '#'))
		frame_signature_put(out, text, strlen(text));
	else
		text_puts(out, text);
}

static void put_boolean(struct text *out, enum frame_dialect dialect, bool value)
{
	if (dialect == FRAME_UAPI)
		text_puts(out, value ? "1" : "0");
	else
		text_puts(out, value ? "on" : "off");
}

void frame_parameters_put(struct text *out, enum frame_dialect dialect,
			  const struct frame_parameters *p, enum frame_key key)
{
	union const_place v = value_of(p, key);

	switch (rows[key].type) {
	case VALUE_NUMBER:
		text_put_u64(out, *v.number);
		break;
	case VALUE_HEADER:
	case VALUE_RANGE:
		frame_range_write(out, *v.range);
		break;
	case VALUE_BOOLEAN:
		put_boolean(out, dialect, *v.boolean);
		break;
	case VALUE_KEY:
		put_key(out, dialect, v.key);
		break;
	case VALUE_TEXT:
		put_text(out, dialect, *v.text);
		break;
	}
}
