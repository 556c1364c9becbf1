/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. check_value() walks a text by the grammar and knows every rule. The
 * functions that open a slice come after it, so they only have to find where a value ends:
 * strings by their closing quote, the rest by counting brackets outside strings.
 */
#include "base/json_slice.h"

#include <string.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/utf8.h"

/* --- Judging --- */

/* struct cursor - What is left of a text */
struct cursor {
	const char *at;
	const char *end;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && is_space(*c->at))
		c->at++;
}

/* Is @wanted next? Then it is taken. */
static bool take(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
		return false;
	c->at += len;
	return true;
}

static bool take_digits(struct cursor *c)
{
	const char *from = c->at;

	while (c->at < c->end && is_digit(*c->at))
		c->at++;
	return c->at > from;
}

static bool take_number(struct cursor *c)
{
	take(c, '-');
	if (!take(c, '0') && !take_digits(c))
		return false;
	if (take(c, '.') && !take_digits(c))
		return false;
	if (!take(c, 'e') && !take(c, 'E'))
		return true;
	if (!take(c, '+'))
		take(c, '-');
	return take_digits(c);
}

/* The four digits behind "\u". */
static bool take_unit(struct cursor *c, uint32_t *ret)
{
	uint8_t octets[2];

	if (c->end - c->at < 4 || hex_decode(c->at, 4, octets, sizeof(octets)) != 2)
		return false;
	*ret = (uint32_t)octets[0] << 8 | octets[1];
	c->at += 4;
	return true;
}

/* What stands behind "\u": one unit, or two that are a pair. */
static bool take_code(struct cursor *c, uint32_t *ret)
{
	uint32_t high, low;

	if (!take_unit(c, &high))
		return false;
	*ret = high;
	if (high < 0xd800 || high > 0xdfff)
		return true;
	if (high > 0xdbff || !take_word(c, "\\u") || !take_unit(c, &low) || low < 0xdc00 ||
	    low > 0xdfff)
		return false;
	*ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

/* One character of a string, its escape undone. Return: octets in @out, 0: it is wrong. */
static size_t take_character(struct cursor *c, char out[UTF8_MAX])
{
	static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t code;
	size_t n;

	if (!take(c, '\\')) {
		n = (uint8_t)*c->at < ' ' ? 0 : utf8_len(c->at, (size_t)(c->end - c->at));
		memcpy(out, c->at, n);
		c->at += n;
		return n;
	}
	if (take(c, 'u'))
		return take_code(c, &code) ? utf8_write(code, out) : 0;
	found = c->at < c->end && *c->at ? strchr(escapes, *c->at) : NULL;
	if (!found)
		return 0;
	c->at++;
	out[0] = meant[found - escapes];
	return 1;
}

static bool take_string(struct cursor *c)
{
	char character[UTF8_MAX];

	if (!take(c, '"'))
		return false;
	while (c->at < c->end && *c->at != '"') {
		if (take_character(c, character) == 0)
			return false;
	}
	return take(c, '"');
}

static int check_value(struct cursor *c, unsigned int depth);

/* The elements of an array or the members of an object, behind the opening bracket. */
static int check_elements(struct cursor *c, char closing, unsigned int depth)
{
	int err = 0;

	skip_space(c);
	if (take(c, closing))
		return 0;
	do {
		skip_space(c);
		if (closing == '}') {
			if (!take_string(c))
				return ERR_FORMAT;
			skip_space(c);
			if (!take(c, ':'))
				return ERR_FORMAT;
		}
		err = check_value(c, depth + 1);
		skip_space(c);
	} while (!err && take(c, ','));
	return err ? err : take(c, closing) ? 0 : ERR_FORMAT;
}

/* It calls itself, JSON_SLICE_DEPTH times at most. */
static int check_value(struct cursor *c, unsigned int depth)
{
	skip_space(c);
	if (c->at == c->end)
		return ERR_FORMAT;
	if (*c->at == '"')
		return take_string(c) ? 0 : ERR_FORMAT;
	if (*c->at == '-' || is_digit(*c->at))
		return take_number(c) ? 0 : ERR_FORMAT;
	if (*c->at != '{' && *c->at != '[')
		return take_word(c, "true") || take_word(c, "false") || take_word(c, "null")
			       ? 0
			       : ERR_FORMAT;
	if (depth == JSON_SLICE_DEPTH)
		return ERR_LIMIT;
	return check_elements(c, *c->at++ == '{' ? '}' : ']', depth);
}

int json_slice_open(const char *text, size_t len, struct json_slice *ret)
{
	struct cursor c = { text, text + len };
	struct json_slice whole;
	int err;

	skip_space(&c);
	whole.at = c.at;
	err = check_value(&c, 0);
	if (err)
		return err;
	whole.len = (size_t)(c.at - whole.at);
	skip_space(&c);
	if (c.at != c.end)
		return ERR_FORMAT;
	*ret = whole;
	return 0;
}

/* --- Opening what was judged --- */

/* Behind the string whose opening quote is at @at. */
static const char *skip_string(const char *at)
{
	at++;
	while (*at != '"')
		at += *at == '\\' ? 2 : 1;
	return at + 1;
}

/* Cut the value at the cursor off. */
static struct json_slice next_value(struct cursor *c)
{
	const char *from = c->at;
	unsigned int depth = 0;

	while (c->at < c->end) {
		char here = *c->at;

		if (depth == 0 && (here == ',' || here == '}' || here == ']' || is_space(here)))
			break;
		c->at = here == '"' ? skip_string(c->at) : c->at + 1;
		depth += here == '{' || here == '[';
		depth -= here == '}' || here == ']';
	}
	return (struct json_slice){ from, (size_t)(c->at - from) };
}

/* Step over white space and the comma or colon in it. */
static void skip_separator(struct cursor *c)
{
	while (c->at < c->end && (is_space(*c->at) || *c->at == ',' || *c->at == ':'))
		c->at++;
}

/* What stands between the brackets; nothing where there are none. */
static struct cursor inside(struct json_slice s, char opening)
{
	if (!s.len || s.at[0] != opening)
		return (struct cursor){ s.at, s.at };
	return (struct cursor){ s.at + 1, s.at + s.len - 1 };
}

bool json_slice_is(struct json_slice value, const char *word)
{
	size_t len = strlen(word);

	return value.len == len + 2 && value.at[0] == '"' &&
	       memcmp(value.at + 1, word, len) == 0;
}

bool json_slice_member(struct json_slice object, const char *name, struct json_slice *ret)
{
	struct cursor c = inside(object, '{');
	struct json_slice found = { NULL, 0 };
	unsigned int times = 0;

	for (skip_separator(&c); c.at < c.end; skip_separator(&c)) {
		struct json_slice member = { c.at, (size_t)(skip_string(c.at) - c.at) };

		c.at += member.len;
		skip_separator(&c);

		struct json_slice value = next_value(&c);

		if (json_slice_is(member, name)) {
			found = value;
			times++;
		}
	}
	if (times != 1)
		return false;
	*ret = found;
	return true;
}

bool json_slice_next(struct json_slice array, const char **at, struct json_slice *ret)
{
	struct cursor c = inside(array, '[');

	if (*at)
		c.at = *at;
	skip_separator(&c);
	if (c.at >= c.end)
		return false;
	*ret = next_value(&c);
	*at = c.at;
	return true;
}

bool json_slice_string(struct json_slice value, struct text *out)
{
	struct cursor c = inside(value, '"');
	char character[UTF8_MAX];

	if (value.len < 2 || value.at[0] != '"')
		return false;
	while (c.at < c.end) {
		size_t n = take_character(&c, character);

		if (n == 1 && character[0] == '\0')
			return false;
		text_add(out, character, n);
	}
	return true;
}
