/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, judged by jansson: the same texts are taken, and strings say the same. */
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/json_slice.h"
#include "fuzz.h"

/* What jansson refuses and the grammar has: numbers that do not fit, members twice, U+0000 in
 * names. */
static bool is_its_own_bound(const json_error_t *e)
{
	enum json_error_code code = json_error_code(e);

	return code == json_error_numeric_overflow || code == json_error_duplicate_key ||
	       code == json_error_null_byte_in_key;
}

static void check_text(struct json_slice value, const json_t *theirs)
{
	struct text out = { 0 };
	const char *text = json_string_value(theirs);
	size_t len = json_string_length(theirs);
	bool has_nul = text && memchr(text, '\0', len);
	bool is_text = json_slice_string(value, &out);

	HOLDS(is_text == (text && !has_nul));
	HOLDS(!is_text || (out.len == len && (!len || memcmp(out.data, text, len) == 0)));
	text_done(&out);
}

static void check_members(struct json_slice s, json_t *theirs)
{
	const char *name;
	json_t *value;

	json_object_foreach(theirs, name, value)
	{
		struct json_slice member;

		/* A name with a backslash is not one that anybody asks for. */
		if (!strchr(name, '\\') && json_slice_member(s, name, &member))
			check_text(member, value);
	}
}

static void check_elements(struct json_slice s, const json_t *theirs)
{
	struct json_slice element;
	const char *at = NULL;
	size_t n = 0;

	while (json_slice_next(s, &at, &element))
		check_text(element, json_array_get(theirs, n++));
	HOLDS(n == json_array_size(theirs));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_error_t error;
	json_t *theirs =
		json_loadb((const char *)data, size,
			   JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
	struct json_slice s = { NULL, 0 };
	int err = json_slice_open((const char *)data, size, &s);

	HOLDS(err == 0 || err == ERR_FORMAT || err == ERR_LIMIT);
	if (memchr(data, '\0', size)) /* which jansson takes for the end of the text */
		HOLDS(err != 0);
	else if (theirs)
		HOLDS(err != ERR_FORMAT);
	else
		HOLDS(err != 0 || is_its_own_bound(&error));
	if (theirs && err == 0) {
		check_text(s, theirs);
		check_members(s, theirs);
		check_elements(s, theirs);
	}
	json_decref(theirs);
	return 0;
}
