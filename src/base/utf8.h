/* SPDX-License-Identifier: Apache-2.0 */
/**
 * utf8.h - UTF-8, character by character
 *
 * Source:  RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { UTF8_MAX = 4 }; /* octets of one character */

/** utf8_len() - Octets of the character at @s; 0: there is none. @len is not 0 */
size_t utf8_len(const char *s, size_t len);

/** utf8_write() - @code is no surrogate and at most 0x10ffff. Return: octets written */
size_t utf8_write(uint32_t code, char out[UTF8_MAX]);
