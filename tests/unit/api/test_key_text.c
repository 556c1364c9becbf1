/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "api/key_text.h"
#include "base/err.h"

static const char P[] = "2S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk=";

static bool reads(const char *part, const char *key)
{
	uint8_t got[32], want[32];

	return key_text_from_path(part, strlen(part), got) == 0 &&
	       key_from_base64(key, strlen(key), want) == 0 && memcmp(got, want, 32) == 0;
}

static bool refuses(const char *part)
{
	uint8_t got[32];

	return key_text_from_path(part, strlen(part), got) == ERR_FORMAT;
}

static void every_spelling_of_a_key_reads_the_same(void)
{
	CHECK(reads(P, P));
	CHECK(reads("2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk=", P));
	CHECK(reads("2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk", P));
	CHECK(reads("2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk%3D", P));
	CHECK(reads("2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk%3d", P));
	CHECK(reads("2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk%253D", P));
	CHECK(reads("2S7mA0vEMethCNQrJpJKE81%2FJmhgtB%2BtHHLYQhgM6kk%3D", P));
	CHECK(reads("%32S7mA0vEMethCNQrJpJKE81%5fJmhgtB%2dtHHLYQhgM6kk", P));
}

static void a_lost_leading_slash_is_found_again(void)
{
	static const char key[] = "/S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk=";

	CHECK(reads(key, key));
	CHECK(reads("S7mA0vEMethCNQrJpJKE81/JmhgtB+tHHLYQhgM6kk=", key));
	CHECK(reads("S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk%3D", key));
	CHECK(reads("S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk", key));
}

static void what_is_no_key_is_refused(void)
{
	static const char *const parts[] = {
		"",
		"x",
		"phone",
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk==",
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kkA",
		"2S7mA0vEMethCNQrJpJKE81 JmhgtB-tHHLYQhgM6kk=",
		"2S7mA0vEMethCNQrJpJKE81.JmhgtB-tHHLYQhgM6kk=",
		"2S7mA0vEMethCNQrJpJKE81%00mhgtB-tHHLYQhgM6kk=",
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk%",
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk%3",
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk=/",
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kl=", /* bits behind the key */
		("%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25"
		 "%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25%25"),
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		CHECK(refuses(parts[i]));
}

static void bodies_take_standard_base64_only(void)
{
	uint8_t key[32];

	CHECK(key_text_read(P, 44, key) == 0);
	CHECK(key_text_read(P, 43, key) == 0);
	CHECK(key_text_read("2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk=", 44, key) ==
	      ERR_FORMAT);
	CHECK(key_text_read(P, 42, key) == ERR_FORMAT);
	CHECK(key_text_read(P, 0, key) == ERR_FORMAT);
}

static void unescaping_is_exact_and_bounded(void)
{
	char out[8];

	CHECK(key_text_unescape("a%20b", 5, out, sizeof(out)) == 3 && strcmp(out, "a b") == 0);
	CHECK(key_text_unescape("%41%4a", 6, out, sizeof(out)) == 2 && strcmp(out, "AJ") == 0);
	CHECK(key_text_unescape("", 0, out, sizeof(out)) == 0);
	CHECK(key_text_unescape("1234567", 7, out, sizeof(out)) == 7);
	CHECK(key_text_unescape("12345678", 8, out, sizeof(out)) == ERR_LIMIT);
	CHECK(key_text_unescape("%", 1, out, sizeof(out)) == ERR_FORMAT);
	CHECK(key_text_unescape("%4", 2, out, sizeof(out)) == ERR_FORMAT);
	CHECK(key_text_unescape("%4g", 3, out, sizeof(out)) == ERR_FORMAT);
	CHECK(key_text_unescape("%00", 3, out, sizeof(out)) == ERR_FORMAT);
	CHECK(key_text_unescape("a\0b", 3, out, sizeof(out)) == ERR_FORMAT);
	CHECK(key_text_unescape("%41", 2, out, sizeof(out)) ==
	      ERR_FORMAT); /* the length counts */
}

static void names_are_text_that_cannot_deceive(void)
{
	static const char *const good[] = { "phone", "Anna's laptop", "B\xc3\xbcro",
					    "a.b-c_d@e", "x" };
	static const char *const bad[] = {
		"",
		" a",
		"a ",
		"a/b",
		"a\nb",
		"a\x7f",
		"\xc2\x85",
		"a\xe2\x80\xae"
		"b",
		"\xef\xbb\xbf"
		"a",
		"a\xe2\x80\xa8",
		P,
		"2S7mA0vEMethCNQrJpJKE81_JmhgtB-tHHLYQhgM6kk",
		"0123456789012345678901234567890123456789012345678901234567890123456789",
	};
	const char *why;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(key_text_is_name(good[i], &why) && !why);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!key_text_is_name(bad[i], &why) && why);
}

int main(void)
{
	RUN(every_spelling_of_a_key_reads_the_same);
	RUN(a_lost_leading_slash_is_found_again);
	RUN(what_is_no_key_is_refused);
	RUN(bodies_take_standard_base64_only);
	RUN(unescaping_is_exact_and_bounded);
	RUN(names_are_text_that_cannot_deceive);
	return DONE();
}
