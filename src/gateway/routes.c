/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

int routes_each(const char *routes, routes_visitor visit, void *context)
{
	int err = 0;

	while (routes && *routes && err == 0) {
		char text[ADDR_TEXT_MAX + 8];
		size_t len = strcspn(routes, ",");
		struct ip_prefix p;

		snprintf(text, sizeof(text), "%.*s", (int)len, routes);
		err = ip_prefix_parse(text, true, &p) == 0 ? visit(context, &p) : ERR_CORRUPT;
		routes += len + (routes[len] == ',');
	}
	return err;
}
