/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "http/router.h"

static void nothing(struct call *call)
{
	(void)call;
}

static const struct route routes[] = {
	ROUTE(HTTP_POST, "/api/v1/things/", ROUTE_SIGNED, ROUTE_SIGNS_RAW_BODY, nothing),
	ROUTE(HTTP_POST, "/api/v1/things", ROUTE_OPEN, ROUTE_SIGNS_NOTHING, nothing),
	ROUTE(HTTP_PUT, "/api/v1/things/{}/status", ROUTE_SIGNED, ROUTE_SIGNS_STATUS, nothing),
	ROUTE(HTTP_GET, "/api/v1/things/{}", ROUTE_READ, ROUTE_SIGNS_NOTHING, nothing),
	ROUTE(HTTP_DELETE, "/api/v1/things/{}", ROUTE_SIGNED, ROUTE_SIGNS_NOTHING, nothing),
};

static enum route_outcome find(enum http_method method, const char *target,
			       struct route_match *m)
{
	return router_find(routes, sizeof(routes) / sizeof(routes[0]), method, target, m);
}

static void finds_exact_paths_and_keeps_the_query(void)
{
	struct route_match m;

	CHECK(find(HTTP_POST, "/api/v1/things/", &m) == ROUTE_FOUND);
	CHECK(m.route == &routes[0] && !m.part && m.query[0] == '\0');
	CHECK(m.route->auth == ROUTE_SIGNED && m.route->signs == ROUTE_SIGNS_RAW_BODY);
	CHECK(find(HTTP_POST, "/api/v1/things?a=/b", &m) == ROUTE_FOUND);
	CHECK(m.route == &routes[1] && strcmp(m.query, "a=/b") == 0);
}

static void a_part_may_hold_slashes_but_not_be_empty(void)
{
	struct route_match m;

	CHECK(find(HTTP_DELETE, "/api/v1/things/ab/c%2F=?x", &m) == ROUTE_FOUND);
	CHECK(m.route == &routes[4] && m.part_len == 8 && memcmp(m.part, "ab/c%2F=", 8) == 0);
	CHECK(find(HTTP_PUT, "/api/v1/things/ab/cd/status", &m) == ROUTE_FOUND);
	CHECK(m.route == &routes[2] && m.part_len == 5 && memcmp(m.part, "ab/cd", 5) == 0);
	CHECK(find(HTTP_PUT, "/api/v1/things//status", &m) ==
	      ROUTE_NO_METHOD); /* part "/status" */
	CHECK(find(HTTP_DELETE, "/api/v1/things/", &m) == ROUTE_NO_METHOD);
}

static void other_spellings_are_other_paths(void)
{
	static const char *const targets[] = {
		"/",
		"/api/v1/thing",
		"/api/v1//things/",
		"/api/v1/./things/",
		"/api/v1/x/../things/",
		"/API/v1/things/",
		"/api/v1/things%2F",
		"/api/v1/%74hings/",
		"/api/v1/things;/",
		"//api/v1/things/",
		"/api/v1/things/?",
	};
	struct route_match m;

	for (size_t i = 0; i + 1 < sizeof(targets) / sizeof(targets[0]); i++)
		CHECK(find(HTTP_POST, targets[i], &m) == ROUTE_NO_PATH);
	CHECK(find(HTTP_POST, targets[10], &m) == ROUTE_FOUND); /* the query is not the path */
}

static void a_wrong_method_is_told_the_right_ones(void)
{
	struct route_match m;

	CHECK(find(HTTP_PATCH, "/api/v1/things/k", &m) == ROUTE_NO_METHOD);
	CHECK(strcmp(m.allow, "GET, DELETE") == 0);
	CHECK(find(HTTP_METHOD_OTHER, "/api/v1/things", &m) == ROUTE_NO_METHOD);
	CHECK(strcmp(m.allow, "POST") == 0);
}

int main(void)
{
	RUN(finds_exact_paths_and_keeps_the_query);
	RUN(a_part_may_hold_slashes_but_not_be_empty);
	RUN(other_spellings_are_other_paths);
	RUN(a_wrong_method_is_told_the_right_ones);
	return DONE();
}
