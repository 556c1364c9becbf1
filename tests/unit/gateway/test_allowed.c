/* SPDX-License-Identifier: Apache-2.0 */
/* Allowed IPs told apart: what is a peer's address, and what a network behind it. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "gateway/allowed.h"

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p = { .bits = 0 };

	CHECK(ip_prefix_parse(text, true, &p) == 0);
	return p;
}

/* @list: prefixes with blanks. Return: as allowed_sort_out() for 10.0.1.0/24 and fd00::/64. */
static int sort_out(const char *list, struct allowed *ret)
{
	const struct ip_prefix v4 = prefix("10.0.1.0/24"), v6 = prefix("fd00::/64");
	struct ip_prefix all[64];
	char copy[4096], *save = NULL;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *one = strtok_r(copy, " ", &save); one; one = strtok_r(NULL, " ", &save))
		all[n++] = prefix(one);
	return allowed_sort_out(&v4, &v6, all, n, ret);
}

static bool is_address(const struct ip_addr *a, const char *text)
{
	char out[ADDR_TEXT_MAX];

	return a->family == ADDR_NONE ? !*text : strcmp(ip_addr_format(a, out), text) == 0;
}

static bool gives(const char *list, const char *v4, const char *v6, const char *routes)
{
	struct allowed a;

	return sort_out(list, &a) == 0 && is_address(&a.v4, v4) && is_address(&a.v6, v6) &&
	       strcmp(a.routes, routes) == 0;
}

static void the_first_host_of_each_network_is_the_address(void)
{
	CHECK(gives("10.0.1.5/32 fd00::5/128", "10.0.1.5", "fd00::5", ""));
	CHECK(gives("fd00::5/128 10.0.1.6/32 10.0.1.5/32", "10.0.1.6", "fd00::5",
		    "10.0.1.5/32"));
	CHECK(gives("", "", "", ""));
}

static void everything_else_is_a_network_sorted_by_its_text(void)
{
	CHECK(gives("192.168.20.0/24 192.168.3.0/24 fd77::/48 0.0.0.0/0", "", "",
		    "0.0.0.0/0,192.168.20.0/24,192.168.3.0/24,fd77::/48"));
	CHECK(gives("10.0.1.0/25 10.0.2.2/32 fd00:0:0:1::1/128", "", "",
		    "10.0.1.0/25,10.0.2.2/32,fd00:0:0:1::1/128"));
}

static void more_than_a_peer_may_have_is_refused(void)
{
	char list[4096] = "";
	struct allowed a;

	for (int i = 0; i < ALLOWED_MAX; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "192.168.%d.0/24 ",
			 i);
	CHECK(sort_out(list, &a) == 0);
	snprintf(list + strlen(list), sizeof(list) - strlen(list), "172.16.0.0/12");
	CHECK(sort_out(list, &a) == ERR_LIMIT);
	list[0] = '\0';
	for (int i = 0; i < ALLOWED_MAX; i++) /* 32 octets each */
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
			 "fd77:1111:2222:3333:%x:5555:6666::/112 ", 0x1000 + i);
	CHECK(sort_out(list, &a) == ERR_LIMIT);
}

int main(void)
{
	RUN(the_first_host_of_each_network_is_the_address);
	RUN(everything_else_is_a_network_sorted_by_its_text);
	RUN(more_than_a_peer_may_have_is_refused);
	return DONE();
}
