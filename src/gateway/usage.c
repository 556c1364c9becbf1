/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/usage.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/wire.h"

enum {
	FIELDS = 7,
	HOURS = 24,
	EPOCH_WEEKDAY = 3, /* 1970-01-01 was a Thursday; a week begins on Monday */
};

static const uint64_t HOUR_NS = UINT64_C(3600) * 1000000000;
static const uint64_t DAY_NS = UINT64_C(86400) * 1000000000;

/* --- Periods --- */

/* Month by month from 1970: a few hundred steps. Return: days until the first of
 * that month; with @ret_next those until the first of the next. */
static uint64_t first_of_month(uint64_t day, uint64_t *ret_next)
{
	static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	uint64_t year = 1970, first = 0;

	for (;; year++) {
		bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

		for (int month = 0; month < 12; month++) {
			uint64_t len = lengths[month] + (leap && month == 1 ? 1U : 0);

			if (day < first + len) {
				*ret_next = first + len;
				return first;
			}
			first += len;
		}
	}
}

static bool is_rolling(enum store_period period)
{
	return period == STORE_PERIOD_ROLLING_DAY || period == STORE_PERIOD_ROLLING_MONTH;
}

/* The number of the period, or step, that @now_ns lies in, and where the next begins. */
static uint64_t step_at(enum store_period period, uint64_t now_ns, uint64_t *ret_next_ns)
{
	uint64_t day = now_ns / DAY_NS, next = UINT64_MAX, first = 0;

	switch (period) {
	case STORE_PERIOD_ROLLING_DAY:
		*ret_next_ns = (now_ns / HOUR_NS + 1) * HOUR_NS;
		return now_ns / HOUR_NS;
	case STORE_PERIOD_DAY:
	case STORE_PERIOD_ROLLING_MONTH:
		first = day;
		next = day + 1;
		break;
	case STORE_PERIOD_WEEK:
		first = (day + EPOCH_WEEKDAY) / 7;
		next = (first + 1) * 7 - EPOCH_WEEKDAY;
		break;
	case STORE_PERIOD_MONTH:
		first = first_of_month(day, &next);
		break;
	case STORE_PERIOD_NONE:
	case STORE_PERIODS:
		break;
	}
	*ret_next_ns = next == UINT64_MAX ? UINT64_MAX : next * DAY_NS;
	return first;
}

uint64_t usage_next_ns(enum store_period period, uint64_t now_ns)
{
	uint64_t next_ns;

	step_at(period, now_ns, &next_ns);
	return next_ns;
}

bool usage_is_over(const struct usage *u, uint64_t now_ns)
{
	uint64_t next_ns;

	return step_at((enum store_period)u->period, now_ns, &next_ns) > u->step;
}

/* --- Counting --- */

static size_t steps_of(enum store_period period)
{
	return period == STORE_PERIOD_ROLLING_DAY ? HOURS : USAGE_STEPS;
}

/* The newest step is steps[0]. */
static void shift(struct usage *u, enum store_period period, uint64_t by)
{
	size_t n = steps_of(period);

	if (by >= n) {
		memset(u->steps, 0, sizeof(u->steps));
	} else {
		memmove(u->steps + by, u->steps, (n - by) * sizeof(u->steps[0]));
		memset(u->steps, 0, by * sizeof(u->steps[0]));
	}
	u->used = 0;
	for (size_t i = 0; i < n; i++)
		u->used += u->steps[i];
}

/* Into the period of @now_ns. A clock that was set back changes nothing. */
static void move_on(struct usage *u, enum store_period period, uint64_t now_ns)
{
	uint64_t next_ns, step = step_at(period, now_ns, &next_ns);

	if (u->period != (uint64_t)period) { /* another way of counting begins at zero */
		u->period = period;
		u->used = 0;
		memset(u->steps, 0, sizeof(u->steps));
		u->step = step;
	}
	if (step <= u->step)
		return;
	if (is_rolling(period))
		shift(u, period, step - u->step);
	else
		u->used = 0;
	u->step = step;
}

uint64_t usage_more(uint64_t now, uint64_t seen)
{
	return now >= seen ? now - seen : now;
}

static uint64_t difference(uint64_t now, uint64_t *seen)
{
	uint64_t more = usage_more(now, *seen);

	*seen = now;
	return more;
}

void usage_count(struct usage *u, enum store_period period, uint64_t now_ns, uint64_t rx,
		 uint64_t tx)
{
	uint64_t more_rx = difference(rx, &u->seen_rx), more_tx = difference(tx, &u->seen_tx);

	move_on(u, period, now_ns);
	u->rx += more_rx;
	u->tx += more_tx;
	u->used += more_rx + more_tx;
	if (is_rolling(period))
		u->steps[0] += more_rx + more_tx;
}

void usage_forget_interface(struct usage *u)
{
	u->seen_rx = u->seen_tx = 0;
}

uint64_t usage_left(struct usage *u, enum store_period period, uint64_t quota_bytes,
		    uint64_t now_ns)
{
	move_on(u, period, now_ns);
	return u->used < quota_bytes ? quota_bytes - u->used : 0;
}

/* --- For the store --- */

size_t usage_write(const struct usage *u, uint8_t out[USAGE_BLOB_MAX])
{
	const uint64_t fields[FIELDS] = { u->rx,     u->tx,   u->seen_rx, u->seen_tx,
					  u->period, u->step, u->used };
	size_t n = is_rolling((enum store_period)u->period) ? USAGE_STEPS : 0;

	for (size_t i = 0; i < FIELDS; i++)
		put_be64(out + 8 * i, fields[i]);
	for (size_t i = 0; i < n; i++)
		put_be64(out + 8 * (FIELDS + i), u->steps[i]);
	return 8 * (FIELDS + n);
}

int usage_read(const void *data, size_t len, struct usage *ret)
{
	const uint8_t *in = data;
	struct usage u = { .rx = 0 };
	uint64_t *const fields[FIELDS] = { &u.rx,     &u.tx,   &u.seen_rx, &u.seen_tx,
					   &u.period, &u.step, &u.used };

	if (len != 8 * FIELDS && len != USAGE_BLOB_MAX)
		return ERR_CORRUPT;
	for (size_t i = 0; i < FIELDS; i++)
		*fields[i] = get_be64(in + 8 * i);
	for (size_t i = FIELDS; i < len / 8; i++)
		u.steps[i - FIELDS] = get_be64(in + 8 * i);
	if (u.period >= STORE_PERIODS ||
	    is_rolling((enum store_period)u.period) != (len == USAGE_BLOB_MAX))
		return ERR_CORRUPT;
	*ret = u;
	return 0;
}
