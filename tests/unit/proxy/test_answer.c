/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "proxy/answer.h"

static void has_a_body_as_long_as_it_says(void)
{
	static const int all[] = { 400, 403, 405, 407, 408, 429, 431, 502, 503, 504, 505 };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char out[ANSWER_MAX];
		size_t len = answer_write(all[i], "because", out);
		const char *body = strstr(out, "\r\n\r\n");
		const char *length = strstr(out, "\r\nContent-Length: ");

		CHECK(len == strlen(out));
		CHECK(strncmp(out, "HTTP/1.1 ", 9) == 0 && strtol(out + 9, NULL, 10) == all[i]);
		CHECK(body && strcmp(body + 4, "because\n") == 0);
		CHECK(length && strtoul(length + 18, NULL, 10) == strlen("because\n"));
		CHECK((strstr(out, "\r\nProxy-Authenticate: Bearer\r\n") != NULL) ==
		      (all[i] == 407));
		CHECK((strstr(out, "\r\nProxy-Authenticate: Basic realm=") != NULL) ==
		      (all[i] == 407));
		CHECK((strstr(out, "\r\nAllow: CONNECT\r\n") != NULL) == (all[i] == 405));
	}
}

static void cuts_a_long_reason(void)
{
	char out[ANSWER_MAX], why[4000];

	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	CHECK(answer_write(407, why, out) < ANSWER_MAX);
	CHECK(strstr(out, "xxx\n"));
}

int main(void)
{
	RUN(has_a_body_as_long_as_it_says);
	RUN(cuts_a_long_reason);
	return DONE();
}
