/* SPDX-License-Identifier: Apache-2.0 */
#include "api/time_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"

enum {
	NS_PER_S = 1000000000,
	NS_PER_US = 1000,
};

char *time_text_local(uint64_t wall_ns, char out[TIME_TEXT_MAX])
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	struct tm t = { 0 };
	size_t n;

	localtime_r(&s, &t);
	n = strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &t);
	snprintf(out + n, TIME_TEXT_MAX - n, ".%06u",
		 (unsigned int)(wall_ns % NS_PER_S / NS_PER_US));
	return out;
}

char *time_text_utc(uint64_t wall_ns, char out[TIME_TEXT_MAX])
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	struct tm t = { 0 };

	gmtime_r(&s, &t);
	strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &t);
	return out;
}

/* Two digits up to @max; moves on. */
static bool take_two(const char **at, int max, int *ret)
{
	const char *t = *at;

	if (t[0] < '0' || t[0] > '9' || t[1] < '0' || t[1] > '9')
		return false;
	*ret = (t[0] - '0') * 10 + t[1] - '0';
	*at += 2;
	return *ret <= max;
}

static bool take_char(const char **at, char c)
{
	return *(*at)++ == c;
}

static uint64_t take_fraction(const char **at)
{
	uint64_t ns = 0, unit = 100000000;

	if (**at != '.')
		return 0;
	for ((*at)++; **at >= '0' && **at <= '9' && unit > 0; (*at)++, unit /= 10)
		ns += (uint64_t)(**at - '0') * unit;
	return ns;
}

/* Seconds east of Greenwich. */
static bool take_zone(const char **at, int *ret)
{
	int sign = **at == '-' ? -1 : 1, hours, minutes;

	*ret = 0;
	if (**at == 'Z' || **at == 'z') {
		(*at)++;
		return true;
	}
	if (**at != '+' && **at != '-')
		return false;
	(*at)++;
	if (!take_two(at, 23, &hours) || !take_char(at, ':') || !take_two(at, 59, &minutes))
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

int time_text_parse(const char *text, uint64_t *ret_wall_ns)
{
	int century, year, zone;
	struct tm tm = { .tm_isdst = 0 };
	uint64_t fraction_ns;
	time_t s;

	if (strlen(text) < 20 || !take_two(&text, 99, &century) ||
	    !take_two(&text, 99, &year) || !take_char(&text, '-') ||
	    !take_two(&text, 12, &tm.tm_mon) || tm.tm_mon == 0 || !take_char(&text, '-') ||
	    !take_two(&text, 31, &tm.tm_mday) || tm.tm_mday == 0 ||
	    (*text != 'T' && *text != 't' && *text != ' ') || !text++ ||
	    !take_two(&text, 23, &tm.tm_hour) || !take_char(&text, ':') ||
	    !take_two(&text, 59, &tm.tm_min) || !take_char(&text, ':') ||
	    !take_two(&text, 60, &tm.tm_sec))
		return ERR_FORMAT;
	fraction_ns = take_fraction(&text);
	tm.tm_year = century * 100 + year - 1900;
	if (!take_zone(&text, &zone) || *text != '\0' || tm.tm_year < 70 || tm.tm_year > 300)
		return ERR_FORMAT;
	tm.tm_mon--;

	int day = tm.tm_mday;

	s = timegm(&tm) - zone;
	if (tm.tm_mday != day || s < 0) /* the 31st of a shorter month */
		return ERR_FORMAT;
	*ret_wall_ns = (uint64_t)s * 1000000000 + fraction_ns;
	return 0;
}
