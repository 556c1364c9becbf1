/* SPDX-License-Identifier: Apache-2.0 */
#include "http/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

enum {
	INPUT_MAX = 256, /* octets of a refused value that are sent back */
	MSG_MAX = 256,
	UNKNOWN_MAX = 16,   /* members nobody knows that are told of */
	NAME_MAX_TOLD = 64, /* octets of the name of one */
	/* As many as a double keeps: with more, 41.3 is written 41.299999999999997. */
	REAL_DIGITS = 15,
};

/* --- Parsing --- */

/* Depth is counted before the parser sees the text: its own limit is 2048 levels. */
static bool too_deep(const char *text, size_t len)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return true;
		} else if (text[i] == '}' || text[i] == ']') {
			depth--;
		}
	}
	return false;
}

int json_parse(const char *text, size_t len, json_t **ret, struct diag *d)
{
	json_error_t error;
	json_t *value;

	if (too_deep(text, len))
		return diag_set(d, ERR_LIMIT, 0, "more than %d levels", JSON_DEPTH_MAX);
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!value)
		return diag_set(d, ERR_FORMAT, (unsigned int)error.line, "%s", error.text);
	*ret = value;
	return 0;
}

/* --- The reader --- */

int json_reader_init(struct json_reader *r, const json_t *object)
{
	r->object = object;
	r->errors = json_array();
	return r->errors ? 0 : -ENOMEM;
}

void json_reader_done(struct json_reader *r)
{
	json_decref(r->errors);
	r->errors = NULL;
}

bool json_reader_is_well(const struct json_reader *r)
{
	return json_array_size(r->errors) == 0;
}

json_t *json_reader_take_errors(struct json_reader *r)
{
	json_t *errors = r->errors;

	r->errors = NULL;
	return errors;
}

static json_t *member(const struct json_reader *r, const char *name)
{
	json_t *value = json_object_get(r->object, name);

	return json_is_null(value) ? NULL : value;
}

/* What was sent, if it is short enough to send back. */
static json_t *input_of(const struct json_reader *r, const char *name)
{
	json_t *value = json_object_get(r->object, name);

	if (!value || json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > INPUT_MAX)
		return json_null();
	return json_deep_copy(value);
}

static void complain(struct json_reader *r, const char *name, const char *type, const char *msg,
		     json_t *input)
{
	json_t *entry = json_pack("{s:s, s:[s, s], s:s, s:o}", "type", type, "loc", "body",
				  name, "msg", msg, "input", input);

	/* Without memory for the entry the list must still not be empty. */
	if (json_array_append_new(r->errors, entry ? entry : json_null()) != 0)
		json_array_append_new(r->errors, json_null());
}

void json_refuse(struct json_reader *r, const char *name, const char *type, const char *msg)
{
	complain(r, name, type, msg, input_of(r, name));
}

static bool is_one_of(const char *name, const char *const known[])
{
	for (size_t i = 0; known[i]; i++)
		if (strcmp(known[i], name) == 0)
			return true;
	return false;
}

void json_refuse_unknown(struct json_reader *r, const char *const known[])
{
	/* The API of the library takes objects that it may change; this does not. */
	json_t *object = (json_t *)(uintptr_t)r->object;
	size_t told = 0;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		struct nearest meant = { .name = NULL };
		char msg[MSG_MAX];

		if (is_one_of(name, known) || told++ >= UNKNOWN_MAX)
			continue;
		for (size_t i = 0; known[i]; i++)
			nearest_offer(&meant, name, strlen(name), known[i]);
		snprintf(msg, sizeof(msg), "Nothing here has this name%s%s%s",
			 meant.name ? "; '" : "", meant.name ? meant.name : "",
			 meant.name ? "' was meant?" : "");
		json_refuse(r, strlen(name) > NAME_MAX_TOLD ? "(a long name)" : name,
			    "extra_forbidden", msg);
	}
}

/* The member, or NULL when there is nothing to read; a missing one is reported. */
static const json_t *take(struct json_reader *r, const char *name, bool required)
{
	const json_t *value = member(r, name);

	if (!value && required)
		complain(r, name, "missing", "Field required", json_object());
	return value;
}

void json_take_text(struct json_reader *r, const char *name, bool required, size_t max,
		    const char **ret)
{
	const json_t *value = take(r, name, required);
	char msg[MSG_MAX];

	if (!value)
		return;
	if (!json_is_string(value)) {
		json_refuse(r, name, "string_type", "Input should be a valid string");
	} else if (json_string_length(value) > max) {
		snprintf(msg, sizeof(msg), "String should have at most %zu octets", max);
		json_refuse(r, name, "string_too_long", msg);
	} else {
		*ret = json_string_value(value);
	}
}

void json_take_number(struct json_reader *r, const char *name, int64_t min, int64_t max,
		      int64_t *ret)
{
	const json_t *value = take(r, name, false);
	char msg[MSG_MAX];

	if (!value)
		return;
	if (!json_is_integer(value)) {
		json_refuse(r, name, "int_type", "Input should be a valid integer");
	} else if (json_integer_value(value) < min) {
		snprintf(msg, sizeof(msg), "Input should be greater than or equal to %lld",
			 (long long)min);
		json_refuse(r, name, "greater_than_equal", msg);
	} else if (json_integer_value(value) > max) {
		snprintf(msg, sizeof(msg), "Input should be less than or equal to %lld",
			 (long long)max);
		json_refuse(r, name, "less_than_equal", msg);
	} else {
		*ret = json_integer_value(value);
	}
}

void json_take_bool(struct json_reader *r, const char *name, bool required, bool *ret)
{
	const json_t *value = take(r, name, required);

	if (!value)
		return;
	if (!json_is_boolean(value))
		json_refuse(r, name, "bool_type", "Input should be a valid boolean");
	else
		*ret = json_is_true(value);
}

/* "Input should be 'd1', 'd2' or 'd3'" */
static void refuse_word(struct json_reader *r, const char *name, const char *const words[],
			size_t n)
{
	struct text msg = { .max = MSG_MAX };

	text_puts(&msg, "Input should be ");
	for (size_t i = 0; i < n; i++)
		text_printf(&msg, "%s'%s'", i == 0 ? "" : i + 1 < n ? ", " : " or ", words[i]);
	json_refuse(r, name, "literal_error", msg.err ? "Input is not a known word" : msg.data);
	text_done(&msg);
}

void json_take_word(struct json_reader *r, const char *name, const char *const words[],
		    size_t n, size_t *ret)
{
	const json_t *value = take(r, name, false);

	if (!value)
		return;
	for (size_t i = 0; i < n && json_is_string(value); i++) {
		if (strcmp(json_string_value(value), words[i]) == 0) {
			*ret = i;
			return;
		}
	}
	refuse_word(r, name, words, n);
}

void json_take_list(struct json_reader *r, const char *name, const json_t **ret)
{
	const json_t *value = take(r, name, false);

	if (value && !json_is_array(value))
		json_refuse(r, name, "list_type", "Input should be a valid list");
	else
		*ret = value;
}

void json_take_object(struct json_reader *r, const char *name, const json_t **ret)
{
	const json_t *value = take(r, name, false);

	if (value && !json_is_object(value))
		json_refuse(r, name, "dict_type", "Input should be a valid dictionary");
	else
		*ret = value;
}

/* --- Writing --- */

static int append(const char *data, size_t len, void *context)
{
	struct text *out = context;

	text_add(out, data, len);
	return out->err ? -1 : 0;
}

int json_write(const json_t *value, struct text *out)
{
	return json_dump_callback(value, append, out,
				  JSON_COMPACT | JSON_ENCODE_ANY |
					  JSON_REAL_PRECISION(REAL_DIGITS)) == 0
		       ? 0
		       : -ENOMEM;
}
