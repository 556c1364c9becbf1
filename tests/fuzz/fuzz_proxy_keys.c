/* SPDX-License-Identifier: Apache-2.0 */
/* A file of keys: what is right makes a table of at most as many keys, and the same again changes nothing. */
#include <string.h>

#include "fuzz.h"
#include "proxy/keys_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct diag d = { .line = 0 };
	long n;

	HOLDS(text);
	memcpy(text, data, size);
	n = keys_file_check(text, size, &d);
	if (n >= 0) {
		struct proxy_keys *k = NULL;
		unsigned int removals;

		HOLDS(proxy_keys_new(&k) == 0);
		HOLDS(keys_file_apply(text, size, k) == 0);
		HOLDS(proxy_keys_count(k) <= (size_t)n && (proxy_keys_count(k) > 0) == (n > 0));
		removals = proxy_keys_removals(k);
		HOLDS(keys_file_apply(text, size, k) == 0);
		HOLDS(proxy_keys_removals(k) == removals);
		proxy_keys_free(k);
	} else {
		HOLDS(d.text[0]);
	}
	free(text);
	return 0;
}
