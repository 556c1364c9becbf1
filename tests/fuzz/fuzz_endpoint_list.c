/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints of a file's comment or the command line: hosts that a resolver and the journal can have. */
#include <string.h>

#include "client/endpoint_list.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wgconf_span list = { (const char *)data, size };
	struct endpoint_name name;
	size_t before = size + 1;

	while (endpoint_list_next(&list, &name) > 0) {
		size_t len = strlen(name.host);

		HOLDS(list.len < before); /* it comes to an end */
		before = list.len;
		HOLDS(name.port > 0 && len > 0 && len < sizeof(name.host));
		HOLDS(!strpbrk(name.host, " \t\r\n/,[]"));
	}
	return 0;
}
