/* SPDX-License-Identifier: Apache-2.0 */
/* JSON opened slice by slice: the grammar of RFC 8259, and what a walk finds. */
#include <stdbool.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "base/json_slice.h"
#include "base/json_write.h"

static int open_text(const char *text, struct json_slice *ret)
{
	return json_slice_open(text, strlen(text), ret);
}

static void takes_every_kind_of_value(void)
{
	static const char *const texts[] = {
		"null",
		"true",
		" false ",
		"0",
		"-0.5e+10",
		"12.75E-3",
		"\"\"",
		"[]",
		"{}",
		"[1,\"a\",[null]]",
		"\n{\t}\r ",
		"\"\\u00e9\"",
		"1e5",
		"\"\x7f\"",
		"\"\xc3\xa9\"",
		"{\"a\":{\"b\":[]},\"c\":1}",
		"[ 1 , 2 ]",
		"\"\\ud83d\\ude00\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_slice s;

		CHECK(open_text(texts[i], &s) == 0);
		CHECK(s.len && s.at[0] > ' ' && s.at[s.len - 1] > ' ');
	}
}

static void refuses_what_the_grammar_does_not_have(void)
{
	static const char *const texts[] = {
		"",
		" ",
		"nul",
		"truee",
		"1 2",
		"01",
		"-",
		"1.",
		".5",
		"1e",
		"+1",
		"'a'",
		"\"",
		"\"\\\"",
		"\"\\x41\"",
		"\"\\u12\"",
		"\"\n\"",
		"\"\xff\"",
		"\"\xc0\x80\"",
		"\"\\ud800\"",
		"\"\\ud800\\u0041\"",
		"\"\\udc00\"",
		"[1,]",
		"[1 2]",
		"[",
		"[1",
		"]",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"{1:1}",
		"{\"a\":1",
		"{\"a\" 1}",
		"[1}",
		"{\"a\":1]",
		"nan",
		"/**/1",
		"\xef\xbb\xbf{}",
		"\"\\",
		"\"\\u",
		"[,1]",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_slice s = { NULL, 7 };

		CHECK(open_text(texts[i], &s) == ERR_FORMAT);
		CHECK(s.at == NULL && s.len == 7);
	}
}

static void refuses_what_is_too_deep(void)
{
	char text[2 * JSON_SLICE_DEPTH + 2 + 1] = "";
	struct json_slice s;

	memset(text, '[', JSON_SLICE_DEPTH);
	memset(text + JSON_SLICE_DEPTH, ']', JSON_SLICE_DEPTH);
	CHECK(open_text(text, &s) == 0);
	memset(text, '[', JSON_SLICE_DEPTH + 1);
	memset(text + JSON_SLICE_DEPTH + 1, ']', JSON_SLICE_DEPTH + 1);
	CHECK(open_text(text, &s) == ERR_LIMIT);
}

static bool slice_equal(struct json_slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static void finds_members_and_only_those_of_the_object_itself(void)
{
	struct json_slice s, found;

	CHECK(open_text(
		      "{ \"a\" : [1,{\"x\":\"},\\\"\"}] , \"b\":{\"x\":2},\"c\": -1.5 ,\"d\":\"x\"}",
		      &s) == 0);
	CHECK(json_slice_member(s, "a", &found) &&
	      slice_equal(found, "[1,{\"x\":\"},\\\"\"}]"));
	CHECK(json_slice_member(s, "b", &found) && slice_equal(found, "{\"x\":2}"));
	CHECK(json_slice_member(found, "x", &found) && slice_equal(found, "2"));
	CHECK(json_slice_member(s, "c", &found) && slice_equal(found, "-1.5"));
	CHECK(json_slice_member(s, "d", &found) && json_slice_is(found, "x"));
	CHECK(!json_slice_is(found, "xy") && !json_slice_is(found, ""));
	CHECK(!json_slice_member(s, "x", &found) && !json_slice_member(s, "", &found));
}

static void refuses_a_member_that_is_there_twice(void)
{
	struct json_slice s, found;

	CHECK(open_text("{\"a\":1,\"b\":2,\"a\":1}", &s) == 0);
	CHECK(!json_slice_member(s, "a", &found) && json_slice_member(s, "b", &found));
}

static void finds_nothing_in_what_is_no_object(void)
{
	static const char *const texts[] = { "1", "\"a\"", "[\"a\",1]", "null", "{}", "[]" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_slice s, found;

		CHECK(open_text(texts[i], &s) == 0 && !json_slice_member(s, "a", &found));
	}
}

static void walks_an_array(void)
{
	static const char *const wanted[] = { "1", "[2,3]", "\"]\"", "{\"a\":[]}" };
	struct json_slice s, element;
	const char *at = NULL;
	size_t n = 0;

	CHECK(open_text(" [1 ,[2,3], \"]\",{\"a\":[]} ] ", &s) == 0);
	while (n < 4 && json_slice_next(s, &at, &element)) {
		CHECK(slice_equal(element, wanted[n]));
		n++;
	}
	CHECK(n == 4 && !json_slice_next(s, &at, &element));
	at = NULL;
	CHECK(open_text("{\"a\":1}", &s) == 0 && !json_slice_next(s, &at, &element));
}

static bool says(const char *text, const char *wanted, size_t len)
{
	struct json_slice s;
	struct text out = { 0 };
	bool same = open_text(text, &s) == 0 && json_slice_string(s, &out) && out.len == len &&
		    (len == 0 || memcmp(out.data, wanted, len) == 0);

	text_done(&out);
	return same;
}

static void undoes_escapes(void)
{
	struct json_slice s;
	struct text out = { 0 };

	CHECK(says("\"\"", "", 0));
	CHECK(says("\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "a\n\t\"\\/\b\f\r", 9));
	CHECK(says("\"\\u0041\\u00E9\\u20ac\\ud83d\\ude00\"",
		   "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
	CHECK(open_text("\"a\\u0000\"", &s) == 0 && !json_slice_string(s, &out));
	CHECK(open_text("1", &s) == 0 && !json_slice_string(s, &out));
	CHECK(open_text("[\"a\"]", &s) == 0 && !json_slice_string(s, &out));
	text_done(&out);
}

static void reads_what_the_writer_writes(void)
{
	struct text in = { 0 }, out = { 0 };
	struct json_slice s;
	char every[127];

	for (int i = 0; i < 127; i++)
		every[i] = (char)(i + 1);
	json_put_string(&in, every, 127);
	CHECK(json_slice_open(in.data, in.len, &s) == 0 && json_slice_string(s, &out));
	CHECK(out.len == 127 && memcmp(out.data, every, 127) == 0);
	text_done(&in);
	text_done(&out);
}

int main(void)
{
	RUN(takes_every_kind_of_value);
	RUN(refuses_what_the_grammar_does_not_have);
	RUN(refuses_what_is_too_deep);
	RUN(finds_members_and_only_those_of_the_object_itself);
	RUN(refuses_a_member_that_is_there_twice);
	RUN(finds_nothing_in_what_is_no_object);
	RUN(walks_an_array);
	RUN(undoes_escapes);
	RUN(reads_what_the_writer_writes);
	return DONE();
}
