/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../test.h"
#include "base/json_write.h"

enum { ROUNDS = 20000, LEN_MAX = 40 };

/* What another reader makes of a string of ours. */
static json_t *read_again(const char *s, size_t len)
{
	struct text out = { .data = NULL };
	json_t *value;

	json_put_string(&out, s, len);
	CHECK(out.err == 0);
	value = json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	text_done(&out);
	return value;
}

static void is_same(const char *s, size_t len)
{
	json_t *value = read_again(s, len);

	CHECK(json_is_string(value));
	CHECK(json_string_length(value) == len);
	CHECK(memcmp(json_string_value(value), s, len) == 0);
	json_decref(value);
}

static void another_reader_gets_back_every_character(void)
{
	char all[128];

	for (int i = 0; i < 128; i++)
		all[i] = (char)i;
	is_same(all, sizeof(all));
	is_same("", 0);
	is_same("\"", 1);
	is_same("a\\", 2);
	is_same("\xe2\x9c\x93 gr\xc3\xbc\xc3\x9f \xf0\x9f\x8e\x89\n", 16);
	for (int i = 0; i < 128; i++)
		is_same(all + i, 1);
}

static void any_octets_become_a_string_that_another_reader_takes(void)
{
	unsigned int seed = 7;
	char s[LEN_MAX];

	printf("# seed %u\n", seed);
	for (int round = 0; round < ROUNDS; round++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(s);
		json_t *value;

		for (size_t i = 0; i < len; i++)
			s[i] = (char)rand_r(&seed);
		value = read_again(s, len);
		CHECK(json_is_string(value));
		json_decref(value);
	}
}

static void what_is_not_utf_8_becomes_the_replacement_character(void)
{
	static const char want[] = "a\xef\xbf\xbd"
				   "b\xef\xbf\xbd";
	json_t *value = read_again("a\xff"
				   "b\xc3",
				   4);

	CHECK(strcmp(json_string_value(value), want) == 0);
	json_decref(value);
}

static void members_and_elements_are_parted_by_commas(void)
{
	static const char want[] = "{\"n\":18446744073709551615,\"b\":true,\"z\":null,"
				   "\"list\":[\"x\",\"{\"],\"t\":\"\"}";
	struct text out = { .data = NULL };

	text_puts(&out, "{");
	json_put_number(&out, "n", UINT64_MAX);
	json_put_bool(&out, "b", true);
	json_put_null(&out, "z");
	json_put_name(&out, "list");
	text_puts(&out, "[");
	json_put_next(&out);
	json_put_string(&out, "x", 1);
	json_put_next(&out);
	json_put_string(&out, "{", 1);
	text_puts(&out, "]");
	json_put_text(&out, "t", "");
	text_puts(&out, "}");
	CHECK(strcmp(out.data, want) == 0);
	text_done(&out);
}

int main(void)
{
	RUN(another_reader_gets_back_every_character);
	RUN(any_octets_become_a_string_that_another_reader_takes);
	RUN(what_is_not_utf_8_becomes_the_replacement_character);
	RUN(members_and_elements_are_parted_by_commas);
	return DONE();
}
