/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/hours.h"

#include <stddef.h>
#include <string.h>

enum {
	RANGES_MAX = 16,
	DAY_MIN = 24 * 60,
	WEEK_MIN = 7 * DAY_MIN,
	EPOCH_DAY = 3, /* 1970-01-01 was a Thursday; a week begins on Monday */
	OFFSET_MAX_MIN = 14 * 60,
};

static const uint64_t MINUTE_NS = UINT64_C(60) * 1000000000;

static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

/* struct range - @end behind the last minute; may lie behind the week's end */
struct range {
	int begin;
	int end;
};

/* struct week - In minutes of local time since Monday */
struct week {
	struct range ranges[RANGES_MAX];
	size_t n;
	int offset_min;
};

static void skip_blanks(const char **at)
{
	*at += strspn(*at, " ");
}

static bool take_day(const char **at, int *ret)
{
	for (int i = 0; i < 7; i++) {
		if (strncmp(*at, days[i], 3) == 0) {
			*at += 3;
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "08:00" up to "24:00". */
static bool take_hour(const char **at, int *ret)
{
	const char *t = *at;

	if (!is_digit(t[0]) || !is_digit(t[1]) || t[2] != ':' || !is_digit(t[3]) ||
	    !is_digit(t[4]))
		return false;
	*ret = ((t[0] - '0') * 10 + t[1] - '0') * 60 + (t[3] - '0') * 10 + t[4] - '0';
	*at += 5;
	return t[3] < '6' && *ret <= DAY_MIN;
}

static bool take_hours(const char **at, int *ret_begin, int *ret_end)
{
	*ret_begin = 0;
	*ret_end = DAY_MIN;
	skip_blanks(at);
	if (!is_digit(**at))
		return true; /* all day */
	if (!take_hour(at, ret_begin) || *(*at)++ != '-' || !take_hour(at, ret_end))
		return false;
	if (*ret_end <= *ret_begin)
		*ret_end += DAY_MIN;
	return *ret_begin < DAY_MIN;
}

/* One range of days; it gets an entry per day. */
static bool take_range(const char **at, struct week *w)
{
	int first, last, begin, end;

	skip_blanks(at);
	if (!take_day(at, &first))
		return false;
	last = first;
	if (**at == '-') {
		(*at)++;
		if (!take_day(at, &last))
			return false;
	}
	if (!take_hours(at, &begin, &end))
		return false;
	for (int day = first;; day = (day + 1) % 7) {
		if (w->n == RANGES_MAX)
			return false;
		w->ranges[w->n++] =
			(struct range){ day * DAY_MIN + begin, day * DAY_MIN + end };
		if (day == last)
			return true;
	}
}

static bool take_offset(const char **at, struct week *w)
{
	int minutes, sign = **at == '-' ? -1 : 1;

	if (**at != '+' && **at != '-')
		return true;
	(*at)++;
	if (!take_hour(at, &minutes) || minutes > OFFSET_MAX_MIN)
		return false;
	w->offset_min = sign * minutes;
	return true;
}

static bool parse(const char *text, struct week *ret)
{
	struct week w = { .n = 0 };

	do {
		if (!take_range(&text, &w))
			return false;
		skip_blanks(&text);
	} while (*text == ',' && text++);
	if (!take_offset(&text, &w))
		return false;
	skip_blanks(&text);
	*ret = w;
	return *text == '\0';
}

bool hours_check(const char *text, const char **ret_why)
{
	struct week w;

	*ret_why =
		"A schedule looks like \"mon-fri 08:00-18:00, sat 09:00-12:00 +01:00\": up to"
		" 16 days with hours, an offset from UTC at the end";
	return parse(text, &w);
}

/* Is minute @at of the week inside, and how many minutes until an edge? */
static bool look(const struct week *w, int at, int *ret_until)
{
	bool inside = false;

	*ret_until = WEEK_MIN;
	for (size_t i = 0; i < w->n; i++) {
		const struct range *r = &w->ranges[i];
		int edges[] = { r->begin, r->end };

		/* The end of a range may lie in the week after. */
		if ((at >= r->begin && at < r->end) || at + WEEK_MIN < r->end)
			inside = true;
		for (int j = 0; j < 2; j++) {
			int until = ((edges[j] - at) % WEEK_MIN + WEEK_MIN) % WEEK_MIN;

			if (until > 0 && until < *ret_until)
				*ret_until = until;
		}
	}
	return inside;
}

bool hours_allow(const char *text, uint64_t now_ns, uint64_t *ret_change_ns)
{
	struct week w = { .n = 0 };
	int64_t minute = (int64_t)(now_ns / MINUTE_NS), local;
	int until;
	bool inside;

	if (!parse(text, &w))
		w.n = 0;
	local = minute + w.offset_min + (int64_t)EPOCH_DAY * DAY_MIN;
	inside = look(&w, (int)(local % WEEK_MIN), &until);
	*ret_change_ns = ((uint64_t)minute + (uint64_t)until) * MINUTE_NS;
	return inside;
}
