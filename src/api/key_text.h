/* SPDX-License-Identifier: Apache-2.0 */
/**
 * key_text.h - Public keys and names as they stand in paths and bodies
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"

/** key_text_read() - Standard base64 of 32 octets, padding optional. Return: 0 or ERR_FORMAT */
int key_text_read(const char *text, size_t len, uint8_t ret[32]);

/**
 * key_text_from_path() - A key as part of a path
 *
 * URL-safe base64 ("_" for "/", "-" for "+"), standard base64 raw or percent-encoded, a
 * doubly encoded "%3D" at the end, with or without "="; and a key whose leading "/" got
 * lost on the way.
 *
 * Return: 0 or ERR_FORMAT.
 */
int key_text_from_path(const char *part, size_t len, uint8_t ret[32]);

/**
 * key_text_unescape() - Undo percent-encoding
 *
 * Return: the length, or ERR_FORMAT (a NUL, a malformed escape), ERR_LIMIT. @out gets a NUL.
 */
long key_text_unescape(const char *part, size_t len, char *out, size_t size);

/** key_text_is_name() - May a peer have this name? With the reason in @ret_why if not
 *
 * 1 to 64 octets of UTF-8 (checked by whoever parsed it) without control characters,
 * marks that reorder text, "/", blanks at either end; and nothing that reads as a key.
 */
bool key_text_is_name(const char *name, const char **ret_why);
