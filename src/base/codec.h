/* SPDX-License-Identifier: Apache-2.0 */
/**
 * codec.h - Hex, base64 and decimal numbers, strictly
 *
 * Decoders take the whole input or refuse it: no white space, no trailing text,
 * no signs, no overflow. The two for keys run in time that does not depend on
 * the octets (Source: RFC 4648).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	KEY_BASE64_LEN = 44, /* 32 octets with padding, without NUL */
	KEY_HEX_LEN = 64,
};

void key_to_base64(const uint8_t key[32], char out[KEY_BASE64_LEN + 1]);
void key_to_hex(const uint8_t key[32], char out[KEY_HEX_LEN + 1]);
/* 44 characters with padding. 0 or ERR_FORMAT. Constant time in the content. */
int key_from_base64(const char *text, size_t len, uint8_t out[32]);
/* 64 digits of either case. 0 or ERR_FORMAT. Constant time in the content. */
int key_from_hex(const char *text, size_t len, uint8_t out[32]);

/* Any length; standard alphabet; padding may be missing. @out_max bounds the output.
 * Return: octets written, or ERR_FORMAT, ERR_LIMIT. */
long base64_decode(const char *text, size_t len, void *out, size_t out_max);
/* @out needs ((len + 2) / 3) * 4 + 1 octets. Return: its length without NUL. */
size_t base64_encode(const void *data, size_t len, char *out);
/* The same with '-' and '_' instead of '+' and '/'; what is written has no padding. */
long base64url_decode(const char *text, size_t len, void *out, size_t out_max);
size_t base64url_encode(const void *data, size_t len, char *out);
/* Return: octets written, or ERR_FORMAT, ERR_LIMIT. Either case. */
long hex_decode(const char *text, size_t len, void *out, size_t out_max);
void hex_encode(const void *data, size_t len, char *out); /* NUL-terminated, lower case */

/** decimal_parse() - 1*DIGIT, at most @max. 0, ERR_FORMAT or ERR_RANGE */
int decimal_parse(const char *text, size_t len, uint64_t max, uint64_t *ret);
