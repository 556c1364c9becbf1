/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "http/json.h"

static json_t *parse(const char *text)
{
	struct diag d = { .line = 0 };
	json_t *value = NULL;

	if (json_parse(text, strlen(text), &value, &d) != 0) {
		printf("# %s\n", d.text);
		abort();
	}
	return value;
}

static int refusal(const char *text)
{
	struct diag d = { .line = 0 };
	json_t *value = NULL;
	int err = json_parse(text, strlen(text), &value, &d);

	CHECK(err == 0 || d.text[0]);
	json_decref(value);
	return err;
}

static void refuses_what_is_not_strict_json(void)
{
	static const char *const texts[] = {
		"",
		"{",
		"{\"a\":1,}",
		"{'a':1}",
		"{\"a\":1}x",
		"{\"a\":01}",
		"{\"a\":+1}",
		"{\"a\":.5}",
		"{\"a\":NaN}",
		"[1 2]",
		"\"\\x\"",
		"\"\t\"",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\\ud800\"}",
		"\xff",
		"\"\xc0\x80\"",
		"{\"a\":99999999999999999999}",
		"/**/{}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CHECK(refusal(texts[i]) == ERR_FORMAT);
}

static void refuses_a_member_that_comes_twice(void)
{
	CHECK(refusal("{\"a\":1,\"a\":1}") == ERR_FORMAT);
	CHECK(refusal("{\"b\":{\"a\":1,\"\\u0061\":2}}") == ERR_FORMAT);
	CHECK(refusal("{\"a\":1,\"A\":1}") == 0);
}

static void depth_has_a_bound(void)
{
	char text[64];

	for (int depth = 15; depth <= 18; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		text[2 * depth] = '\0';
		CHECK(refusal(text) == (depth <= JSON_DEPTH_MAX ? 0 : ERR_LIMIT));
	}
	CHECK(refusal("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[[[[[[[\"}") == 0);
}

/* The errors of a reader as text. */
static const char *errors(struct json_reader *r)
{
	static char text[2048];
	struct text out = { .data = NULL };

	CHECK(json_write(r->errors, &out) == 0);
	snprintf(text, sizeof(text), "%s", out.data);
	text_done(&out);
	return text;
}

static void takes_members_of_the_right_type_and_range(void)
{
	static const char *const words[] = { "d1", "d2", "d3" };
	json_t *object = parse("{\"t\":\"text\",\"n\":40001,\"b\":true,\"w\":\"d2\",\"l\":[],"
			       "\"o\":{},\"null\":null,\"other\":[1,2]}");
	struct json_reader r;
	const char *text = "default", *absent = "default";
	const json_t *list = NULL, *inner = NULL;
	int64_t number = 0;
	size_t word = 0;
	bool flag = false;

	CHECK(json_reader_init(&r, object) == 0);
	json_take_text(&r, "t", true, 4, &text);
	json_take_text(&r, "null", false, 4, &absent);
	json_take_number(&r, "n", 0, 65535, &number);
	json_take_number(&r, "missing", 0, 65535, &number);
	json_take_bool(&r, "b", true, &flag);
	json_take_word(&r, "w", words, 3, &word);
	json_take_list(&r, "l", &list);
	json_take_object(&r, "o", &inner);
	CHECK(json_reader_is_well(&r));
	CHECK(strcmp(text, "text") == 0 && strcmp(absent, "default") == 0);
	CHECK(number == 40001 && flag && word == 1 && list && inner);
	json_reader_done(&r);
	json_decref(object);
}

static void names_every_member_that_is_wrong(void)
{
	static const char *const words[] = { "d1", "d2", "d3" };
	json_t *object = parse("{\"n\":70000,\"low\":-1,\"s\":5,\"w\":\"d9\",\"b\":1}");
	struct json_reader r;
	const char *text = NULL;
	int64_t number = 7;
	size_t word = 9;
	bool flag = false;

	CHECK(json_reader_init(&r, object) == 0);
	json_take_text(&r, "public_key", true, 44, &text);
	json_take_number(&r, "n", 0, 65535, &number);
	json_take_number(&r, "low", 0, 65535, &number);
	json_take_text(&r, "s", false, 44, &text);
	json_take_word(&r, "w", words, 3, &word);
	json_take_bool(&r, "b", false, &flag);
	CHECK(!json_reader_is_well(&r));
	CHECK(!text && number == 7 && word == 9 && !flag); /* outputs are untouched */
	CHECK(strcmp(errors(&r),
		     "[{\"type\":\"missing\",\"loc\":[\"body\",\"public_key\"],"
		     "\"msg\":\"Field required\",\"input\":{}},"
		     "{\"type\":\"less_than_equal\",\"loc\":[\"body\",\"n\"],"
		     "\"msg\":\"Input should be less than or equal to 65535\",\"input\":70000},"
		     "{\"type\":\"greater_than_equal\",\"loc\":[\"body\",\"low\"],"
		     "\"msg\":\"Input should be greater than or equal to 0\",\"input\":-1},"
		     "{\"type\":\"string_type\",\"loc\":[\"body\",\"s\"],"
		     "\"msg\":\"Input should be a valid string\",\"input\":5},"
		     "{\"type\":\"literal_error\",\"loc\":[\"body\",\"w\"],"
		     "\"msg\":\"Input should be 'd1', 'd2' or 'd3'\",\"input\":\"d9\"},"
		     "{\"type\":\"bool_type\",\"loc\":[\"body\",\"b\"],"
		     "\"msg\":\"Input should be a valid boolean\",\"input\":1}]") == 0);
	json_reader_done(&r);
	json_decref(object);
}

static void does_not_send_large_inputs_back(void)
{
	char text[600];
	struct json_reader r;
	const char *got = NULL;
	json_t *object;

	snprintf(text, sizeof(text), "{\"s\":\"%0500d\"}", 0);
	object = parse(text);
	CHECK(json_reader_init(&r, object) == 0);
	json_take_text(&r, "s", true, 44, &got);
	CHECK(strcmp(errors(&r),
		     "[{\"type\":\"string_too_long\",\"loc\":[\"body\",\"s\"],"
		     "\"msg\":\"String should have at most 44 octets\",\"input\":null}]") == 0);
	json_reader_done(&r);
	json_decref(object);
}

static void writes_a_number_with_as_few_digits_as_it_has(void)
{
	json_t *list = json_pack("[f,f,f,f]", 41.3, 0.1, 0.12, 99.9);
	struct text out = { 0 };

	CHECK(json_write(list, &out) == 0 && strcmp(out.data, "[41.3,0.1,0.12,99.9]") == 0);
	text_done(&out);
	json_decref(list);
}

static void refuses_members_that_nobody_knows(void)
{
	static const char *const known[] = { "quota", "note", NULL };
	json_t *object = parse("{\"note\":1,\"qouta\":2,\"x\":null}");
	struct json_reader r;

	CHECK(json_reader_init(&r, object) == 0);
	json_refuse_unknown(&r, known);
	CHECK(strcmp(errors(&r),
		     "[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"qouta\"],"
		     "\"msg\":\"Nothing here has this name; 'quota' was meant?\",\"input\":2},"
		     "{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"x\"],"
		     "\"msg\":\"Nothing here has this name\",\"input\":null}]") == 0);
	json_reader_done(&r);
	json_decref(object);
}

int main(void)
{
	RUN(refuses_what_is_not_strict_json);
	RUN(refuses_a_member_that_comes_twice);
	RUN(depth_has_a_bound);
	RUN(takes_members_of_the_right_type_and_range);
	RUN(names_every_member_that_is_wrong);
	RUN(refuses_members_that_nobody_knows);
	RUN(does_not_send_large_inputs_back);
	RUN(writes_a_number_with_as_few_digits_as_it_has);
	return DONE();
}
