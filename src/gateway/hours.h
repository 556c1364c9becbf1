/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hours.h - When in a week a peer may be served: "mon-fri 08:00-18:00, sat 09:00-12:00"
 *
 * Ranges of days with a range of hours, or days alone for all day, with commas. Hours are UTC, or
 * with an offset at the end of the whole text: "mon-fri 08:00-18:00 +02:00". A range whose end is
 * not after its beginning goes on into the next day.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** hours_check() - Is that a schedule? With what would be right in @ret_why if not */
bool hours_check(const char *text, const char **ret_why);

/**
 * hours_allow() - Is the wall-clock time @now_ns inside?
 * @ret_change_ns: When to ask again: the next full minute at which that may change
 *
 * A text that is no schedule allows nothing.
 */
bool hours_allow(const char *text, uint64_t now_ns, uint64_t *ret_change_ns);
