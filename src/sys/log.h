/* SPDX-License-Identifier: Apache-2.0 */
/**
 * log.h - Lines for the operator, on standard error
 *
 * One line per event, written with one write(2): "culvert[device wg0]: text".
 * When standard error is the journal (JOURNAL_STREAM) or --log-json was given the
 * form changes, the calls do not. Control octets in the text are replaced, so a
 * foreign string cannot forge a line. Secrets have their own types and no format.
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_SILENT,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* @name is what stands in the brackets; copied. Call before threads start. */
void log_init(const char *name, enum log_level level, bool json);
void log_set_level(enum log_level level);
/** log_level_find() - false when @name is not one of silent, error, warning, info, debug */
bool log_level_find(const char *name, enum log_level *ret);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format,
						     ...);

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
