/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../test.h"
#include "api/time_text.h"

static void utc_is_rfc_3339_in_whole_seconds(void)
{
	char text[TIME_TEXT_MAX];

	CHECK(strcmp(time_text_utc(0, text), "1970-01-01T00:00:00Z") == 0);
	CHECK(strcmp(time_text_utc(1700000000999999999U, text), "2023-11-14T22:13:20Z") == 0);
}

static void local_has_microseconds_and_no_zone(void)
{
	char text[TIME_TEXT_MAX];

	setenv("TZ", "UTC-3", 1); /* three hours east */
	tzset();
	CHECK(strcmp(time_text_local(1700000000123456789U, text),
		     "2023-11-15T01:13:20.123456") == 0);
	CHECK(strcmp(time_text_local(1700000000000000999U, text),
		     "2023-11-15T01:13:20.000000") == 0);
}

int main(void)
{
	RUN(utc_is_rfc_3339_in_whole_seconds);
	RUN(local_has_microseconds_and_no_zone);
	return DONE();
}
