/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "frame/parameters.h"
#include "frame/signature.h"

enum { UNIX_S = 0x68b4c2d1, COUNTER = 0x01020304 };

static struct generator generator;

static int parse(const char *text, struct frame_signature *ret, struct diag *d)
{
	char *exact = malloc(strlen(text) + 1); /* a sanitizer sees the first octet too much */
	int err;

	memcpy(exact, text, strlen(text));
	err = frame_signature_parse(exact, strlen(text), ret, d);
	free(exact);
	return err;
}

/* Render in memory of exactly the length. The caller frees. NULL: it does not parse. */
static uint8_t *render(const char *text, uint32_t *ret_len)
{
	struct frame_signature s = { 0 };
	struct diag d = { 0 };
	uint8_t *out;

	if (parse(text, &s, &d)) {
		printf("# %s\n", d.text);
		return NULL;
	}
	out = malloc(s.len ? s.len : 1);
	frame_signature_render(&s, &generator, UNIX_S, COUNTER, out);
	*ret_len = s.len;
	frame_signature_done(&s);
	CHECK(!s.pieces && !s.octets && !s.n_pieces && !s.len);
	return out;
}

/* Is what @text renders @expected, octet for octet? */
static bool makes(const char *text, const char *expected, uint32_t len)
{
	uint32_t made_len = 0;
	uint8_t *made = render(text, &made_len);
	bool same = made && made_len == len && memcmp(made, expected, len) == 0;

	free(made);
	return same;
}

static bool has_length(const char *text, uint32_t len)
{
	struct frame_signature s = { 0 };
	bool same = parse(text, &s, NULL) == 0 && s.len == len;

	frame_signature_done(&s);
	return same;
}

static bool is_refused(const char *text, int expected, const char *reason)
{
	struct frame_signature s = { .len = 77 };
	struct diag d = { 0 };
	int err = parse(text, &s, &d);
	bool same = err == expected && strcmp(d.text, reason) == 0 && s.len == 77 && !s.pieces;

	if (!same)
		printf("# %d: %s\n", err, d.text);
	return same;
}

/* --- What is taken --- */

static void fixed_octets_stay_as_written(void)
{
	CHECK(makes("<b 0x16feFD00>", "\x16\xfe\xfd\x00", 4));
	CHECK(makes("<b 16fefd00>", "\x16\xfe\xfd\x00", 4));
	CHECK(makes("<b 0X16>", "\x16", 1));
	CHECK(makes("<b 0x01><b 0x02>", "\x01\x02", 2));
	CHECK(makes("<b 0x0001><dz 2><b 0xff>", "\x00\x01\x00\x00\xff", 5));
}

static void times_and_counters_are_four_octets_big_endian(void)
{
	CHECK(makes("<t>", "\x68\xb4\xc2\xd1", 4));
	CHECK(makes("<c>", "\x01\x02\x03\x04", 4));
	CHECK(makes("<c><t><c>", "\x01\x02\x03\x04\x68\xb4\xc2\xd1\x01\x02\x03\x04", 12));
}

static void tags_without_a_payload_are_nothing_or_zeros(void)
{
	CHECK(makes("<d><ds><wt 5000><b 0xaa><dz 3>", "\xaa\0\0\0", 4));
	CHECK(makes("<d>", "", 0) && makes("<r 0>", "", 0));
}

static void text_around_tags_blanks_and_further_words_have_no_meaning(void)
{
	CHECK(makes("QUIC: <b 0x01> then > <b   0x02 x y><b \t 03> end", "\1\2\3", 3));
	CHECK(makes("< b 0x01 ><t 5>", "\x01\x68\xb4\xc2\xd1", 5));
	CHECK(has_length("<r 007>", 7));
	CHECK(has_length("<r 5 6>", 5));
}

static void a_text_without_tags_is_no_packet(void)
{
	struct frame_signature s = { .len = 5 };

	CHECK(parse("no packet > at all", &s, NULL) == 0 && s.len == 0 && s.n_pieces == 0);
	CHECK(frame_signature_parse(NULL, 0, &s, NULL) == 0 && s.len == 0);
	frame_signature_done(&s);
}

/* --- What is drawn --- */

static bool all_of(const uint8_t *octets, uint32_t len, const char *alphabet)
{
	for (uint32_t i = 0; i < len; i++)
		if (!octets[i] || !strchr(alphabet, octets[i]))
			return false;
	for (; *alphabet; alphabet++)
		if (!memchr(octets, *alphabet, len))
			return false;
	return true;
}

static void letters_and_digits_come_from_their_alphabets_whole(void)
{
	uint32_t len = 0;
	uint8_t *letters = render("<rc 4000>", &len);

	CHECK(len == 4000 &&
	      all_of(letters, len, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	free(letters);

	uint8_t *digits = render("<rd 1000>", &len);

	CHECK(len == 1000 && all_of(digits, len, "0123456789"));
	free(digits);
}

static void random_octets_take_every_value(void)
{
	uint32_t len = 0, seen[256] = { 0 };
	uint8_t *octets = render("<r 8000>", &len);

	for (uint32_t i = 0; i < len; i++)
		seen[octets[i]]++;
	for (int v = 0; v < 256; v++)
		CHECK(seen[v]);
	free(octets);
}

static void every_transmission_is_drawn_anew(void)
{
	static const char *const drawn[] = { "<r 16>", "<rc 16>", "<rd 16>" };

	for (size_t i = 0; i < sizeof(drawn) / sizeof(drawn[0]); i++) {
		struct frame_signature s = { 0 };
		uint8_t one[16], other[16];

		CHECK(parse(drawn[i], &s, NULL) == 0);
		frame_signature_render(&s, &generator, UNIX_S, COUNTER, one);
		frame_signature_render(&s, &generator, UNIX_S, COUNTER, other);
		CHECK(memcmp(one, other, sizeof(one)) != 0);
		frame_signature_done(&s);
	}
}

/* --- What is refused --- */

static void an_unknown_tag_is_named_with_the_known_ones(void)
{
	CHECK(is_refused("<r 1><x 5>", ERR_FORMAT,
			 "<x 5> is no tag: known are b, t, c, r, rc, rd, d, ds, dz and wt"));
	CHECK(is_refused("<>", ERR_FORMAT,
			 "<> is no tag: known are b, t, c, r, rc, rd, d, ds, dz and wt"));
	CHECK(is_refused("<R 5>", ERR_FORMAT,
			 "<R 5> is no tag: known are b, t, c, r, rc, rd, d, ds, dz and wt"));
	CHECK(is_refused("<r5>", ERR_FORMAT,
			 "<r5> is no tag: known are b, t, c, r, rc, rd, d, ds, dz and wt"));
	CHECK(is_refused("<\n\x80>", ERR_FORMAT,
			 "<?\?> is no tag: known are b, t, c, r, rc, rd, d, ds, dz and wt"));
	CHECK(is_refused("<qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq>", ERR_FORMAT,
			 "<qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq...> is no tag: known are b, t, c, "
			 "r, rc, rd, d, ds, dz and wt"));
}

static void fixed_octets_need_whole_pairs_of_digits(void)
{
	static const char *const bad[] = { "b",	     "b 0x",   "b 0x1", "b 123", "b 0x1g",
					   "b 0x 1", "b 0x<1", "b 0",	"b x12", "b 0x0x12" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[32], reason[128];

		snprintf(text, sizeof(text), "<%s>", bad[i]);
		snprintf(reason, sizeof(reason),
			 "<%s> needs hex digits, two for each octet, as in <b 0x16fe>", bad[i]);
		CHECK(is_refused(text, ERR_FORMAT, reason));
	}
}

static void lengths_are_decimal_and_fit_a_datagram(void)
{
	static const char *const bad[] = { "r",
					   "rc",
					   "rd",
					   "dz",
					   "wt",
					   "r -1",
					   "r x",
					   "r 0x5",
					   "r 65508",
					   "rc 1.5",
					   "rd +1",
					   "r 5<",
					   "dz 99999999999999999999",
					   "wt 65508" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[32], reason[128];

		snprintf(text, sizeof(text), "<%s>", bad[i]);
		snprintf(reason, sizeof(reason),
			 "<%s> needs a number from 0 to 65507, as in <r 16>", bad[i]);
		CHECK(is_refused(text, ERR_FORMAT, reason));
	}
}

static void a_tag_must_end(void)
{
	static const char reason[] = "a tag that begins with '<' has no '>'";

	CHECK(is_refused("<r 5", ERR_FORMAT, reason));
	CHECK(is_refused("<r 5> and <", ERR_FORMAT, reason));
}

/* --- Bounds --- */

static void a_packet_is_at_most_a_datagram(void)
{
	CHECK(has_length("<r 65507>", 65507));
	CHECK(has_length("<r 65503><t><d>", 65507));
	CHECK(is_refused("<r 65504><t>", ERR_LIMIT,
			 "the packet is longer than a datagram (65507 octets)"));
	CHECK(is_refused("<r 65507><dz 65507><rd 65507><b 0x00>", ERR_LIMIT,
			 "the packet is longer than a datagram (65507 octets)"));
}

static void tags_and_text_are_bounded(void)
{
	static char text[FRAME_SIGNATURE_TEXT_MAX + 2];

	for (int i = 0; i < FRAME_SIGNATURE_PIECES_MAX; i++)
		memcpy(text + 3 * i, "<t>", 3);
	CHECK(has_length(text, 4 * FRAME_SIGNATURE_PIECES_MAX));
	memcpy(text + 3 * FRAME_SIGNATURE_PIECES_MAX, "<t>", 3);
	CHECK(is_refused(text, ERR_LIMIT, "more than 1024 tags"));

	memset(text, '0', FRAME_SIGNATURE_TEXT_MAX);
	memcpy(text, "<b ", 3);
	text[FRAME_SIGNATURE_TEXT_MAX - 2] = '0';
	text[FRAME_SIGNATURE_TEXT_MAX - 1] = '>';
	CHECK(has_length(text, (FRAME_SIGNATURE_TEXT_MAX - 4) / 2));
	text[FRAME_SIGNATURE_TEXT_MAX] = ' ';
	CHECK(is_refused(text, ERR_LIMIT, "longer than 60000 characters"));
}

/* --- Writing --- */

static bool is_put(const char *text, const char *expected)
{
	struct text out = { 0 };
	bool same;

	text_puts(&out, "");
	frame_signature_put(&out, text, strlen(text));
	same = !out.err && strcmp(out.data, expected) == 0;
	if (!same)
		printf("# %s\n", out.data);
	text_done(&out);
	return same;
}

static void only_tags_are_written_back(void)
{
	CHECK(is_put("QUIC <b  0X0Aff x> and # <r\t5>; <t 9> <d> <c>",
		     "<b 0X0Aff><r 5><t><d><c>"));
	CHECK(is_put("nothing", "") && is_put("", "") && is_put("<r 1> <", "<r 1>"));
}

int main(void)
{
	uint8_t seed[GENERATOR_SEED_LEN] = { 1 };

	generator_init(&generator, seed);
	RUN(fixed_octets_stay_as_written);
	RUN(times_and_counters_are_four_octets_big_endian);
	RUN(tags_without_a_payload_are_nothing_or_zeros);
	RUN(text_around_tags_blanks_and_further_words_have_no_meaning);
	RUN(a_text_without_tags_is_no_packet);
	RUN(letters_and_digits_come_from_their_alphabets_whole);
	RUN(random_octets_take_every_value);
	RUN(every_transmission_is_drawn_anew);
	RUN(an_unknown_tag_is_named_with_the_known_ones);
	RUN(fixed_octets_need_whole_pairs_of_digits);
	RUN(lengths_are_decimal_and_fit_a_datagram);
	RUN(a_tag_must_end);
	RUN(a_packet_is_at_most_a_datagram);
	RUN(tags_and_text_are_bounded);
	RUN(only_tags_are_written_back);
	return DONE();
}
