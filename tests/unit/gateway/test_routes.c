/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "gateway/routes.h"

/* struct seen - The prefixes as one text; @left: how many more until the visitor has enough */
struct seen {
	char text[256];
	int left;
};

static int see(void *context, const struct ip_prefix *p)
{
	struct seen *s = context;
	char one[ADDR_TEXT_MAX];

	strncat(s->text, ip_prefix_format(p, one), sizeof(s->text) - strlen(s->text) - 1);
	strncat(s->text, ";", sizeof(s->text) - strlen(s->text) - 1);
	return --s->left == 0 ? ERR_LIMIT : 0;
}

static int walk(const char *routes, struct seen *s, int left)
{
	*s = (struct seen){ .left = left };
	return routes_each(routes, see, s);
}

static void each_is_seen_in_its_order(void)
{
	struct seen s;

	CHECK(walk("192.168.7.0/24,fd77::/64,10.0.0.0/8", &s, 9) == 0);
	CHECK(strcmp(s.text, "192.168.7.0/24;fd77::/64;10.0.0.0/8;") == 0);
	CHECK(walk(NULL, &s, 9) == 0 && s.text[0] == '\0');
	CHECK(walk("", &s, 9) == 0 && s.text[0] == '\0');
}

static void a_visitor_ends_the_walk(void)
{
	struct seen s;

	CHECK(walk("10.0.0.0/8,fd77::/64", &s, 1) == ERR_LIMIT);
	CHECK(strcmp(s.text, "10.0.0.0/8;") == 0);
}

static void what_is_no_prefix_is_corruption(void)
{
	struct seen s;

	CHECK(walk("10.0.0.0/8,nonsense", &s, 9) == ERR_CORRUPT);
	CHECK(walk("10.0.0.0/8,,fd77::/64", &s, 9) == ERR_CORRUPT);
	CHECK(walk("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
		   &s, 9) == ERR_CORRUPT);
}

int main(void)
{
	RUN(each_is_seen_in_its_order);
	RUN(a_visitor_ends_the_walk);
	RUN(what_is_no_prefix_is_corruption);
	return DONE();
}
