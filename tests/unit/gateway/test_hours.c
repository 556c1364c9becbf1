/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../test.h"
#include "gateway/hours.h"

static uint64_t at(const char *text)
{
	struct tm tm = { .tm_isdst = 0 };

	if (!strptime(text, "%Y-%m-%d %H:%M:%S", &tm))
		abort();
	return (uint64_t)timegm(&tm) * 1000000000;
}

static void hours_of_days_are_inside_and_the_rest_is_not(void)
{
	/* 2026-11-27 is a Friday. */
	static const struct {
		const char *schedule, *now;
		bool inside;
		const char *change;
	} rows[] = {
		{ "fri", "2026-11-27 00:00:00", true, "2026-11-28 00:00:00" },
		{ "fri", "2026-11-26 23:59:59", false, "2026-11-27 00:00:00" },
		{ "mon-fri 08:00-18:00", "2026-11-27 17:59:59", true, "2026-11-27 18:00:00" },
		{ "mon-fri 08:00-18:00", "2026-11-27 18:00:00", false, "2026-11-30 08:00:00" },
		{ "fri 22:00-06:00", "2026-11-28 05:59:00", true, "2026-11-28 06:00:00" },
		{ "sun 22:00-06:00", "2026-11-30 05:00:00", true, "2026-11-30 06:00:00" },
		{ "sun 22:00-06:00", "2026-11-30 06:00:00", false, "2026-12-06 22:00:00" },
		{ "sat-mon", "2026-11-30 12:00:00", true, "2026-12-01 00:00:00" },
		{ "fri 08:00-09:00 +02:00", "2026-11-27 06:30:00", true,
		  "2026-11-27 07:00:00" },
		{ "fri 00:00-01:00 +02:00", "2026-11-26 22:30:00", true,
		  "2026-11-26 23:00:00" },
		{ "mon 08:00-12:00, fri 10:00-11:00", "2026-11-27 10:30:00", true,
		  "2026-11-27 11:00:00" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t change;
		const char *why;

		CHECK(hours_check(rows[i].schedule, &why));
		CHECK(hours_allow(rows[i].schedule, at(rows[i].now), &change) ==
		      rows[i].inside);
		CHECK(change == at(rows[i].change));
	}
}

/* Minute by minute through two weeks: the change that was told is the first there is. */
static void the_next_change_is_the_first(void)
{
	static const char *const schedules[] = { "mon-fri 08:00-18:00", "sun 22:00-06:00",
						 "sat, wed 12:00-12:30 -03:30" };
	static const uint64_t minute = UINT64_C(60) * 1000000000;

	for (size_t i = 0; i < 3; i++) {
		uint64_t now = at("2026-11-23 00:00:00"), change, ignored;
		bool inside = hours_allow(schedules[i], now, &change);

		for (int m = 0; m < 14 * 24 * 60; m++, now += minute) {
			bool is = hours_allow(schedules[i], now, &ignored);

			if (now < change) {
				CHECK(is == inside);
				continue;
			}
			inside = is;
			hours_allow(schedules[i], now, &change);
		}
	}
}

static void what_is_no_schedule_is_refused_and_allows_nothing(void)
{
	static const char *const texts[] = {
		"",
		"never",
		"mon-",
		"mon 8:00-9:00",
		"mon 08:00",
		"mon 08:00-24:01",
		"mon 08:60-09:00",
		"mon, ",
		"mon +15:00",
		"mon 08:00-09:00 x",
		"mon-sun,mon-sun,mon-sun",
	};
	uint64_t change;
	const char *why;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK(!hours_check(texts[i], &why) && strstr(why, "mon-fri"));
		CHECK(!hours_allow(texts[i], at("2026-11-23 08:30:00"), &change));
	}
}

int main(void)
{
	RUN(hours_of_days_are_inside_and_the_rest_is_not);
	RUN(the_next_change_is_the_first);
	RUN(what_is_no_schedule_is_refused_and_allows_nothing);
	return DONE();
}
