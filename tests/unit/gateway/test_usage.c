/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/usage.h"

static const uint64_t SECOND = 1000000000;

static uint64_t at(const char *text)
{
	struct tm tm = { .tm_isdst = 0 };

	if (!strptime(text, "%Y-%m-%d %H:%M:%S", &tm))
		abort();
	return (uint64_t)timegm(&tm) * SECOND;
}

static void counters_that_start_again_lose_nothing(void)
{
	struct usage u = { .rx = 0 };
	uint64_t now = at("2026-03-01 12:00:00");

	usage_count(&u, STORE_PERIOD_NONE, now, 100, 10);
	usage_count(&u, STORE_PERIOD_NONE, now, 150, 10);
	usage_count(&u, STORE_PERIOD_NONE, now, 30, 5); /* the tunnel was restarted */
	CHECK(u.rx == 180 && u.tx == 15 && u.used == 195);
	usage_forget_interface(&u); /* known beforehand: 40 are new, not 10 */
	usage_count(&u, STORE_PERIOD_NONE, now, 40, 5);
	CHECK(u.rx == 220 && u.tx == 20);
}

static void calendar_periods_begin_at_midnight(void)
{
	static const struct {
		enum store_period period;
		const char *before, *next;
	} rows[] = {
		{ STORE_PERIOD_DAY, "2026-02-28 23:59:59", "2026-03-01 00:00:00" },
		{ STORE_PERIOD_WEEK, "2026-11-29 23:59:59",
		  "2026-11-30 00:00:00" }, /* Monday */
		{ STORE_PERIOD_MONTH, "2028-02-29 23:59:59", "2028-03-01 00:00:00" },
		{ STORE_PERIOD_MONTH, "2026-12-31 23:59:59", "2027-01-01 00:00:00" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct usage u = { .rx = 0 };
		uint64_t before = at(rows[i].before), next = at(rows[i].next);

		usage_count(&u, rows[i].period, before, 70, 30);
		CHECK(usage_left(&u, rows[i].period, 150, before) == 50);
		CHECK(usage_left(&u, rows[i].period, 90, before) == 0);
		CHECK(usage_next_ns(rows[i].period, before) == next);
		CHECK(usage_left(&u, rows[i].period, 150, next) == 150);
		CHECK(u.rx == 70);
	}
}

/* Every octet with its time, summed anew each time. */
static void rolling_periods_agree_with_a_list_of_everything(void)
{
	enum { N = 3000 };
	static struct {
		uint64_t step, bytes;
	} all[N];
	uint64_t state = 12345;

	printf("# seed %llu\n", (unsigned long long)state);
	for (int kind = 0; kind < 2; kind++) {
		enum store_period period =
			kind ? STORE_PERIOD_ROLLING_MONTH : STORE_PERIOD_ROLLING_DAY;
		uint64_t unit = (kind ? 86400 : 3600) * SECOND, steps = kind ? 30 : 24;
		uint64_t now = at("2026-01-01 00:00:00"), rx = 0;
		struct usage u = { .rx = 0 };
		bool agrees = true;

		for (int i = 0; i < N; i++) {
			uint64_t sum = 0;

			state = state * 6364136223846793005U + 1442695040888963407U;
			now += (state >> 11) % (3 * unit);
			rx += all[i].bytes = (state >> 33) % 1000;
			all[i].step = now / unit;
			usage_count(&u, period, now, rx, 0);
			for (int j = 0; j <= i; j++)
				sum += all[j].step + steps > now / unit ? all[j].bytes : 0;
			agrees &= usage_left(&u, period, 1 << 20, now) == (1 << 20) - sum;
		}
		CHECK(agrees && u.rx == rx);
	}
}

static void a_clock_that_is_set_back_gives_nothing_back(void)
{
	struct usage u = { .rx = 0 };

	usage_count(&u, STORE_PERIOD_DAY, at("2026-03-02 12:00:00"), 90, 0);
	CHECK(usage_left(&u, STORE_PERIOD_DAY, 100, at("2026-03-01 12:00:00")) == 10);
}

static void it_is_read_as_it_was_written(void)
{
	uint8_t blob[USAGE_BLOB_MAX];

	for (enum store_period p = STORE_PERIOD_NONE; p < STORE_PERIODS; p++) {
		struct usage u = { .rx = 0 }, again;
		size_t len;

		usage_count(&u, p, at("2026-03-02 12:00:00"), 90, 17);
		len = usage_write(&u, blob);
		CHECK(len <= STORE_USAGE_MAX && usage_read(blob, len, &again) == 0);
		CHECK(memcmp(&u, &again, sizeof(u)) == 0);
		CHECK(usage_read(blob, len - 1, &again) == ERR_CORRUPT);
	}
	blob[39] = 99; /* the period */
	CHECK(usage_read(blob, USAGE_BLOB_MAX, &(struct usage){ .rx = 0 }) == ERR_CORRUPT);
}

int main(void)
{
	RUN(counters_that_start_again_lose_nothing);
	RUN(calendar_periods_begin_at_midnight);
	RUN(rolling_periods_agree_with_a_list_of_everything);
	RUN(a_clock_that_is_set_back_gives_nothing_back);
	RUN(it_is_read_as_it_was_written);
	return DONE();
}
