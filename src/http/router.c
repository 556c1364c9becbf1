/* SPDX-License-Identifier: Apache-2.0 */
#include "http/router.h"

#include <stdio.h>
#include <string.h>

static const char *const method_names[] = {
	[HTTP_GET] = "GET",	[HTTP_POST] = "POST",	  [HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
};

/* Does the path of @len octets fit the pattern? Sets what "{}" stood for. */
static bool fits(const char *pattern, const char *path, size_t len, struct route_match *m)
{
	const char *gap = strstr(pattern, "{}");

	m->part = NULL;
	m->part_len = 0;
	if (!gap)
		return strlen(pattern) == len && memcmp(pattern, path, len) == 0;

	size_t before = (size_t)(gap - pattern), after = strlen(gap + 2);

	if (len <= before + after || memcmp(pattern, path, before) != 0 ||
	    memcmp(gap + 2, path + len - after, after) != 0)
		return false;
	m->part = path + before;
	m->part_len = len - before - after;
	return true;
}

static void add_allowed(struct route_match *m, enum http_method method)
{
	size_t len = strlen(m->allow);

	if (!strstr(m->allow, method_names[method]))
		snprintf(m->allow + len, sizeof(m->allow) - len, "%s%s", len ? ", " : "",
			 method_names[method]);
}

enum route_outcome router_find(const struct route *routes, size_t n, enum http_method method,
			       const char *target, struct route_match *ret)
{
	size_t len = strcspn(target, "?");
	struct route_match m = { .query = target[len] ? target + len + 1 : "" };

	for (size_t i = 0; i < n; i++) {
		if (!fits(routes[i].pattern, target, len, &m))
			continue;
		if (routes[i].method == method) {
			m.route = &routes[i];
			*ret = m;
			return ROUTE_FOUND;
		}
		add_allowed(&m, routes[i].method);
	}
	*ret = m;
	return m.allow[0] ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
