/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and names as parts of a path: what is understood reads the same in every spelling. */
#include <string.h>

#include "api/key_text.h"
#include "base/err.h"
#include "fuzz.h"

static void check_key(const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];
	uint8_t again[32];

	key_to_base64(key, text);
	HOLDS(key_text_read(text, KEY_BASE64_LEN, again) == 0 && memcmp(key, again, 32) == 0);
	HOLDS(key_text_from_path(text, KEY_BASE64_LEN, again) == 0 &&
	      memcmp(key, again, 32) == 0);
	for (char *c = text; *c; c++)
		*c = *c == '/' ? '_' : *c == '+' ? '-' : *c;
	HOLDS(key_text_from_path(text, KEY_BASE64_LEN - 1, again) == 0);
	HOLDS(memcmp(key, again, 32) == 0);
}

static void check_name(const char *part, size_t size)
{
	char name[256];
	const char *why;
	long n = key_text_unescape(part, size, name, sizeof(name));

	HOLDS(n == ERR_FORMAT || n == ERR_LIMIT || (n >= 0 && (size_t)n <= size));
	if (n < 0)
		return;
	HOLDS(strlen(name) == (size_t)n);
	if (key_text_is_name(name, &why))
		HOLDS(n >= 1 && n <= 64 && !strchr(name, '/') && !strchr(name, '\n') && !why);
	else
		HOLDS(why[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *part = (const char *)data;
	uint8_t key[32];

	if (key_text_from_path(part, size, key) == 0)
		check_key(key);
	if (key_text_read(part, size, key) == 0)
		check_key(key);
	check_name(part, size);
	return 0;
}
