/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "client/route_line.h"

static int read_text(const char *text, struct route_line *ret)
{
	struct diag d = { .text = "" };

	return route_line_read(text, strlen(text), ret, &d);
}

static void join(const struct route_line *r, char out[ROUTE_LINE_MAX])
{
	struct route_arguments a = { .n = 0 };

	route_line_put(r, &a);
	out[0] = '\0';
	for (size_t i = 0; i < a.n; i++) {
		strncat(out, i ? " " : "", ROUTE_LINE_MAX - strlen(out) - 1);
		strncat(out, a.words[i], ROUTE_LINE_MAX - strlen(out) - 1);
	}
	CHECK(a.words[a.n] == NULL);
}

static void lines_of_ip_come_back_as_its_arguments(void)
{
	static const struct {
		const char *line;
		const char *arguments;
	} rows[] = {
		{ "default via 192.0.2.1 dev eth0", "default via 192.0.2.1 dev eth0" },
		{ "default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.2 metric 100 ",
		  "default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.2 metric 100" },
		{ "default dev ppp0 scope link", "default dev ppp0 scope link" },
		{ "default via 10.1.2.3 dev wlan0.5 proto static onlink linkdown",
		  "default via 10.1.2.3 dev wlan0.5 proto static onlink" },
		{ "0.0.0.0/0 via 192.0.2.1", "default via 192.0.2.1" },
		{ "198.51.100.7 via 192.0.2.1 dev eth0 src 192.0.2.2 uid 0 ",
		  "198.51.100.7/32 via 192.0.2.1 dev eth0 src 192.0.2.2" },
		{ "10.0.0.0/24 dev tun0 metric 0", "10.0.0.0/24 dev tun0 metric 0" },
		{ "default via 192.0.2.1 dev eth0@if7\r", "default via 192.0.2.1 dev eth0" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char arguments[ROUTE_LINE_MAX];
		struct route_line r, again;

		CHECK(read_text(rows[i].line, &r) == 0);
		join(&r, arguments);
		CHECK(strcmp(arguments, rows[i].arguments) == 0);
		CHECK(read_text(arguments, &again) == 0 && route_line_equal(&r, &again));
	}
}

static void what_a_shell_would_do_something_with_is_refused(void)
{
	static const char *const bad[] = {
		"",
		"default",
		"default via",
		"default via 192.0.2.1; touch /tmp/x",
		"default via $(id) dev eth0",
		"default via `id` dev eth0",
		"default via 192.0.2.1 dev eth0;reboot",
		"default via 192.0.2.1 dev ../../etc",
		"default via 192.0.2.1 dev -all",
		"default via 192.0.2.1 dev eth0 && id",
		"default via 192.0.2.1 dev eth0 table 5",
		"default via 192.0.2.1 dev eth0 proto ../x",
		"default via 192.0.2.1 dev eth0 metric -1",
		"default via 192.0.2.1 dev eth0 metric 4294967296",
		"default via 2001:db8::1 dev eth0",
		"default via 192.0.2.1 dev abcdefghijklmnop",
		"default nexthop via 192.0.2.1 dev eth0 weight 1",
		"blackhole default",
		"default via 192.0.2.1 dev eth0 src",
		"default scope link",
		"defaultvia 192.0.2.1",
	};
	struct route_line r = { .metric = 77 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(read_text(bad[i], &r) == ERR_FORMAT);
	CHECK(r.metric == 77);
	CHECK(route_line_read("default\0via 192.0.2.1", 21, &r, NULL) == ERR_FORMAT);
}

static void routes_are_equal_by_where_they_lead(void)
{
	struct route_line a, b;

	CHECK(read_text("default via 192.0.2.1 dev eth0 metric 5 proto dhcp", &a) == 0);
	CHECK(read_text("default via 192.0.2.1 dev eth0 metric 5 linkdown", &b) == 0);
	CHECK(route_line_equal(&a, &b));
	CHECK(read_text("default via 192.0.2.1 dev eth0 metric 6", &b) == 0);
	CHECK(!route_line_equal(&a, &b));
	CHECK(read_text("default via 192.0.2.2 dev eth0 metric 5", &b) == 0);
	CHECK(!route_line_equal(&a, &b));
	CHECK(read_text("10.0.0.0/8 via 192.0.2.1 dev eth0 metric 5", &b) == 0);
	CHECK(!route_line_equal(&a, &b));
}

int main(void)
{
	RUN(lines_of_ip_come_back_as_its_arguments);
	RUN(what_a_shell_would_do_something_with_is_refused);
	RUN(routes_are_equal_by_where_they_lead);
	return DONE();
}
