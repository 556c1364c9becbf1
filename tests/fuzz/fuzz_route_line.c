/* SPDX-License-Identifier: Apache-2.0 */
/* A line of a note of routes: what is taken comes back as arguments that mean the same, none of which
 * begins with '-' or has anything but the letters of names, numbers and addresses. */
#include <string.h>

#include "client/route_line.h"
#include "fuzz.h"

static void check_word(const char *word)
{
	HOLDS(word[0] != '\0' && word[0] != '-');
	HOLDS(word[strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789._-/:")] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct route_arguments a = { .n = 0 };
	struct route_line r, again;
	char line[ROUTE_LINE_MAX] = "";
	size_t len = 0;

	if (route_line_read((const char *)data, size, &r, NULL) != 0)
		return 0;
	HOLDS(memchr(r.device, '\0', sizeof(r.device)));
	route_line_put(&r, &a);
	HOLDS(a.n >= 3 && a.words[a.n] == NULL);
	for (size_t i = 0; i < a.n; i++) {
		size_t n = strlen(a.words[i]);

		check_word(a.words[i]);
		HOLDS(len + n + 1 < sizeof(line));
		memcpy(line + len, a.words[i], n);
		len += n;
		line[len++] = ' ';
	}
	HOLDS(route_line_read(line, len, &again, NULL) == 0);
	HOLDS(route_line_equal(&r, &again));
	return 0;
}
