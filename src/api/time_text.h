/* SPDX-License-Identifier: Apache-2.0 */
/**
 * time_text.h - Points in time as the contracts write them
 *
 * Threads: any.
 */
#pragma once

#include <stdint.h>

enum { TIME_TEXT_MAX = 40 };

/* Local time without a zone, microseconds: 2026-01-14T10:30:00.123456. Return: @out */
char *time_text_local(uint64_t wall_ns, char out[TIME_TEXT_MAX]);

/* RFC 3339 in UTC, whole seconds: 2026-01-14T10:30:00Z. Return: @out */
char *time_text_utc(uint64_t wall_ns, char out[TIME_TEXT_MAX]);

/**
 * time_text_parse() - RFC 3339 with a zone: "Z", "+00:00", up to nine digits of a fraction
 *
 * Return: 0; ERR_FORMAT: anything else, or a year before 1970 or after 2200.
 */
int time_text_parse(const char *text, uint64_t *ret_wall_ns);
