/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_write.h - Writing small JSON objects
 *
 * A writer only: names and structure come from our code, strings from anywhere. What is
 * not UTF-8 becomes U+FFFD, so the output always is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* A string with its quotes, escaped as RFC 8259 asks. */
void json_put_string(struct text *out, const char *s, size_t len);

/* "name": as it is, so one that needs no escapes; with a comma before it unless the text ends with '{' or '['. */
void json_put_name(struct text *out, const char *name);

/* A comma unless the text ends with '{' or '[': before the next element of an array. */
void json_put_next(struct text *out);

/* Whole members of an object. */
void json_put_text(struct text *out, const char *name, const char *value);
void json_put_number(struct text *out, const char *name, uint64_t value);
void json_put_bool(struct text *out, const char *name, bool value);
void json_put_null(struct text *out, const char *name);
