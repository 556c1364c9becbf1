/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json.h - JSON from strangers: parsed strictly, read member by member, refused with place
 *
 * A reader takes members out of one object, checks type and range, and collects what is
 * wrong instead of stopping at the first. A member that was refused leaves its output
 * unchanged, so outputs are set to their defaults before. Null counts as absent. Members
 * nobody asks for are ignored, unless json_refuse_unknown() is called.
 *
 * The collected entries have the shape {"type","loc":["body",…],"msg","input"}. An input
 * that is large is not sent back.
 *
 * Bounds:  the text that HTTP_BODY_MAX allows, JSON_DEPTH_MAX levels.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"

enum { JSON_DEPTH_MAX = 16 };

/**
 * json_parse() - Parse one JSON text: UTF-8, no member twice, nothing behind it
 *
 * Return: 0 with an owned value; ERR_FORMAT, ERR_LIMIT (depth), with the reason in @d.
 */
int json_parse(const char *text, size_t len, json_t **ret, struct diag *d);

/**
 * struct json_reader - Reads one object and collects what is wrong with it
 * @object:	Borrowed
 * @errors:	A list, owned; empty while all is well
 */
struct json_reader {
	const json_t *object;
	json_t *errors;
};

/** json_reader_init() - -ENOMEM is the only failure */
int json_reader_init(struct json_reader *r, const json_t *object);
void json_reader_done(struct json_reader *r);
bool json_reader_is_well(const struct json_reader *r);
/** json_reader_take_errors() - The list of entries; the caller owns it */
json_t *json_reader_take_errors(struct json_reader *r);

/* --- Members. @required: absent is an error. Outputs point into the object. --- */

/* Of at most @max octets. */
void json_take_text(struct json_reader *r, const char *name, bool required, size_t max,
		    const char **ret);
void json_take_number(struct json_reader *r, const char *name, int64_t min, int64_t max,
		      int64_t *ret);
void json_take_bool(struct json_reader *r, const char *name, bool required, bool *ret);
/* One of the @n @words; @ret gets its place in them. */
void json_take_word(struct json_reader *r, const char *name, const char *const words[],
		    size_t n, size_t *ret);
/* A list or an object, or NULL when absent. */
void json_take_list(struct json_reader *r, const char *name, const json_t **ret);
void json_take_object(struct json_reader *r, const char *name, const json_t **ret);

/** json_refuse() - A rule of the caller's that @name breaks. @type is a word, @msg a sentence */
void json_refuse(struct json_reader *r, const char *name, const char *type, const char *msg);

/**
 * json_refuse_unknown() - Refuse each member that is none of @known, with the nearest of them
 * @known:	NULL behind the last
 *
 * For bodies of which we say ourselves what they have; those of contracts are read leniently.
 */
void json_refuse_unknown(struct json_reader *r, const char *const known[]);

/** json_write() - Compact text, appended. Return: 0 or -ENOMEM */
int json_write(const json_t *value, struct text *out);
