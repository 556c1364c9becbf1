/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "frame/range.h"

static int parse(const char *text, uint32_t max, struct frame_range *ret)
{
	return frame_range_parse(text, strlen(text), max, ret);
}

static void one_number_is_both_ends(void)
{
	struct frame_range r = { 9, 9 };

	CHECK(parse("0", 10, &r) == 0 && r.lo == 0 && r.hi == 0);
	CHECK(parse("10", 10, &r) == 0 && r.lo == 10 && r.hi == 10);
	CHECK(parse("4294967295", UINT32_MAX, &r) == 0 && r.lo == UINT32_MAX);
	CHECK(parse("007", 10, &r) == 0 && r.lo == 7);
}

static void two_numbers_are_the_ends_in_order(void)
{
	struct frame_range r = { 0 };

	CHECK(parse("3-10", 10, &r) == 0 && r.lo == 3 && r.hi == 10);
	CHECK(parse("5-5", 10, &r) == 0 && r.lo == 5 && r.hi == 5);
	CHECK(parse("0-4294967295", UINT32_MAX, &r) == 0 && r.lo == 0 && r.hi == UINT32_MAX);
}

static void anything_else_is_refused_and_changes_nothing(void)
{
	static const char *const malformed[] = { "",	 "-",	"1-",	"-1",	"1--2", "1-2-3",
						 "+1",	 " 1",	"1 ",	"1 -2", "1- 2", "0x1",
						 "1.5",	 "off", "1,2",	"a-b",	"1-b",	"a-2",
						 "-1-2", "1\n", "1\xe2" };
	static const char *const outside[] = {
		"11", "2-1", "3-11", "11-12", "99999999999999999999", "1-99999999999999999999"
	};
	struct frame_range r = { 7, 8 };

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		if (parse(malformed[i], 10, &r) != ERR_FORMAT)
			FAIL(malformed[i]);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		if (parse(outside[i], 10, &r) != ERR_RANGE)
			FAIL(outside[i]);
	CHECK(frame_range_parse(NULL, 0, 10, &r) == ERR_FORMAT);
	CHECK(frame_range_parse("1\0", 2, 10, &r) == ERR_FORMAT);
	CHECK(r.lo == 7 && r.hi == 8);
}

static void is_written_as_it_is_read(void)
{
	struct text out = { 0 };

	frame_range_write(&out, (struct frame_range){ 5, 5 });
	text_puts(&out, " ");
	frame_range_write(&out, (struct frame_range){ 0, 0 });
	text_puts(&out, " ");
	frame_range_write(&out, (struct frame_range){ 0, UINT32_MAX });
	CHECK(strcmp(out.data, "5 0 0-4294967295") == 0);
	text_done(&out);
}

/* Against the words of the header, over all small ranges. */
static void members_and_overlaps_are_what_counting_says(void)
{
	for (uint32_t lo = 0; lo < 6; lo++)
		for (uint32_t hi = lo; hi < 6; hi++)
			for (uint32_t v = 0; v < 8; v++) {
				struct frame_range r = { lo, hi };
				struct frame_range other = { v / 2, v };

				CHECK(frame_range_has(r, v) == (lo <= v && v <= hi));
				bool shared = false;

				for (uint32_t i = v / 2; i <= v; i++)
					shared = shared || (lo <= i && i <= hi);
				CHECK(frame_range_overlaps(r, other) == shared);
				CHECK(frame_range_overlaps(other, r) == shared);
			}
	CHECK(frame_range_has((struct frame_range){ 0, UINT32_MAX }, UINT32_MAX));
	CHECK(!frame_range_has((struct frame_range){ 5, UINT32_MAX }, 4));
	CHECK(frame_range_is_zero((struct frame_range){ 0, 0 }));
	CHECK(!frame_range_is_zero((struct frame_range){ 0, 1 }));
}

int main(void)
{
	RUN(one_number_is_both_ends);
	RUN(two_numbers_are_the_ends_in_order);
	RUN(anything_else_is_refused_and_changes_nothing);
	RUN(is_written_as_it_is_read);
	RUN(members_and_overlaps_are_what_counting_says);
	return DONE();
}
