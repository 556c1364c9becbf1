/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: the codecs for keys have no table and no branch that
 * depends on the octets. A character's value is a sum of terms, one per range of
 * the alphabet, each masked by "lies in this range" computed from the sign of a
 * subtraction. A character outside every range leaves a bad bit, which is only
 * looked at once, at the end.
 */
#include "base/codec.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

/* All ones when @low <= @c <= @high, else 0. The values are octets, so the signs are plain. */
static uint32_t in_range(uint32_t c, uint32_t low, uint32_t high)
{
	return ~(uint32_t)((int32_t)((c - low) | (high - c)) >> 31);
}

/* struct alphabet - The two characters in which the alphabets of base64 differ */
struct alphabet {
	uint8_t plus;
	uint8_t slash;
};

static const struct alphabet standard = { '+', '/' };
static const struct alphabet url_safe = { '-', '_' }; /* RFC 4648, section 5 */

/* 0..63; or a value with bit 8 set when @c is not of the alphabet. */
static uint32_t base64_value(char character, struct alphabet a)
{
	uint32_t c = (uint8_t)character;
	uint32_t upper = in_range(c, 'A', 'Z');
	uint32_t lower = in_range(c, 'a', 'z');
	uint32_t digit = in_range(c, '0', '9');
	uint32_t plus = in_range(c, a.plus, a.plus);
	uint32_t slash = in_range(c, a.slash, a.slash);
	uint32_t known = upper | lower | digit | plus | slash;

	return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) |
	       (plus & 62) | (slash & 63) | (~known & 256);
}

static char base64_character(uint32_t v, struct alphabet a)
{
	uint32_t c = 'A' + v;

	c += in_range(v, 26, 51) & ('a' - 26 - 'A');
	c += in_range(v, 52, 61) & (uint32_t)('0' - 52 - 'A');
	c += in_range(v, 62, 62) & (a.plus - 62U - 'A');
	c += in_range(v, 63, 63) & (a.slash - 63U - 'A');
	return (char)c;
}

/* 0..15; or a value with bit 8 set when @c is not a hex digit. */
static uint32_t hex_value(char character)
{
	uint32_t c = (uint8_t)character;
	uint32_t digit = in_range(c, '0', '9');
	uint32_t lower = in_range(c, 'a', 'f');
	uint32_t upper = in_range(c, 'A', 'F');

	return (digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10)) |
	       (~(digit | lower | upper) & 256);
}

static char hex_character(uint32_t v)
{
	return (char)('0' + v + (in_range(v, 10, 15) & ('a' - 10 - '0')));
}

/* Decode @len characters, none of them padding. Return: the gathered bad bits; also
 * set when the bits left over in the last character are not zero (RFC 4648 section 3.5). */
static uint32_t base64_unpack(const char *text, size_t len, struct alphabet a, uint8_t *out)
{
	uint32_t word = 0, bad = 0;
	unsigned int bits = 0;

	for (size_t i = 0; i < len; i++) {
		uint32_t v = base64_value(text[i], a);

		bad |= v & 256;
		word = word << 6 | (v & 63);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*out++ = (uint8_t)(word >> bits);
		}
	}
	return bad | (word & ((UINT32_C(1) << bits) - 1));
}

static uint32_t hex_unpack(const char *text, size_t octets, uint8_t *out)
{
	uint32_t bad = 0;

	for (size_t i = 0; i < octets; i++) {
		uint32_t high = hex_value(text[2 * i]);
		uint32_t low = hex_value(text[2 * i + 1]);

		bad |= (high | low) & 256;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return bad;
}

void key_to_base64(const uint8_t key[32], char out[KEY_BASE64_LEN + 1])
{
	base64_encode(key, 32, out);
}

void key_to_hex(const uint8_t key[32], char out[KEY_HEX_LEN + 1])
{
	hex_encode(key, 32, out);
}

int key_from_base64(const char *text, size_t len, uint8_t out[32])
{
	uint8_t key[33] = { 0 }; /* one spare: 43 characters hold 32 octets and 2 bits */
	int err = ERR_FORMAT;

	if (len != KEY_BASE64_LEN || text[KEY_BASE64_LEN - 1] != '=')
		return ERR_FORMAT;
	if (!base64_unpack(text, KEY_BASE64_LEN - 1, standard, key)) {
		memcpy(out, key, 32);
		err = 0;
	}
	explicit_bzero(key, sizeof(key));
	return err;
}

int key_from_hex(const char *text, size_t len, uint8_t out[32])
{
	uint8_t key[32];
	int err = ERR_FORMAT;

	if (len != KEY_HEX_LEN)
		return ERR_FORMAT;
	if (!hex_unpack(text, sizeof(key), key)) {
		memcpy(out, key, sizeof(key));
		err = 0;
	}
	explicit_bzero(key, sizeof(key));
	return err;
}

/* The length without padding; padding that is there must be complete. */
static long base64_strip(const char *text, size_t len)
{
	size_t padding = 0;

	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	if (padding && len % 4 != 0)
		return ERR_FORMAT;
	len -= padding;
	if (len % 4 == 1)
		return ERR_FORMAT;
	return (long)len;
}

static long decode(const char *text, size_t len, struct alphabet a, void *out, size_t out_max)
{
	long characters = base64_strip(text, len);
	size_t octets;

	if (characters < 0)
		return characters;
	octets = (size_t)characters / 4 * 3 + (size_t)characters % 4 * 6 / 8;
	if (octets > out_max)
		return ERR_LIMIT;
	if (base64_unpack(text, (size_t)characters, a, out))
		return ERR_FORMAT;
	return (long)octets;
}

long base64_decode(const char *text, size_t len, void *out, size_t out_max)
{
	return decode(text, len, standard, out, out_max);
}

long base64url_decode(const char *text, size_t len, void *out, size_t out_max)
{
	return decode(text, len, url_safe, out, out_max);
}

static size_t encode(const void *data, size_t len, struct alphabet a, char *out)
{
	const uint8_t *from = data;
	char *to = out;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t word = (uint32_t)from[i] << 16;

		if (left > 1)
			word |= (uint32_t)from[i + 1] << 8;
		if (left > 2)
			word |= from[i + 2];
		*to++ = base64_character(word >> 18, a);
		*to++ = base64_character(word >> 12 & 63, a);
		*to++ = left > 1 ? base64_character(word >> 6 & 63, a) : '=';
		*to++ = left > 2 ? base64_character(word & 63, a) : '=';
	}
	*to = '\0';
	return (size_t)(to - out);
}

size_t base64_encode(const void *data, size_t len, char *out)
{
	return encode(data, len, standard, out);
}

size_t base64url_encode(const void *data, size_t len, char *out)
{
	size_t n = encode(data, len, url_safe, out);

	while (n && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	return n;
}

long hex_decode(const char *text, size_t len, void *out, size_t out_max)
{
	if (len % 2 != 0)
		return ERR_FORMAT;
	if (len / 2 > out_max)
		return ERR_LIMIT;
	return hex_unpack(text, len / 2, out) ? ERR_FORMAT : (long)(len / 2);
}

void hex_encode(const void *data, size_t len, char *out)
{
	const uint8_t *from = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = hex_character(from[i] >> 4);
		*out++ = hex_character(from[i] & 15);
	}
	*out = '\0';
}

int decimal_parse(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	bool over = false;

	if (len == 0)
		return ERR_FORMAT;
	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(uint8_t)text[i] - '0';

		if (digit > 9)
			return ERR_FORMAT;
		over = over || value > (UINT64_MAX - digit) / 10;
		value = over ? value : value * 10 + digit;
	}
	if (over || value > max)
		return ERR_RANGE;
	*ret = value;
	return 0;
}
