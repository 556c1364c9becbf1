/* SPDX-License-Identifier: Apache-2.0 */
#include "api/time_text.h"

#include <stdio.h>
#include <time.h>

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
