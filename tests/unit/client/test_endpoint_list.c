/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "client/endpoint_list.h"

#define KEY "PublicKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"

/* "host:port host:port " of all, or "error" from where it is none. */
static bool reads_as(const char *text, const char *expected)
{
	struct wgconf_span list = { text, strlen(text) };
	struct endpoint_name name;
	struct text out = { 0 };
	bool same;
	int more;

	while ((more = endpoint_list_next(&list, &name)) > 0)
		text_printf(&out, "%s|%u ", name.host, name.port);
	text_puts(&out, more < 0 ? "error" : "");
	same = strcmp(out.data, expected) == 0;
	if (!same)
		printf("# %s: %s\n", text, out.data);
	text_done(&out);
	return same;
}

static void reads_names_and_addresses_between_commas(void)
{
	CHECK(reads_as("", ""));
	CHECK(reads_as("a.example:1", "a.example|1 "));
	CHECK(reads_as(" a:1 ,\t192.0.2.1:65535,[2001:db8::1]:443 ",
		       "a|1 192.0.2.1|65535 2001:db8::1|443 "));
	CHECK(reads_as("[fe80::1%eth0]:1", "fe80::1%eth0|1 "));
}

static void refuses_what_is_no_endpoint(void)
{
	static const char *const texts[] = { "a",    ":1",     "a:",	    "a:0",  "a:65536",
					     "a:1x", "a b:1",  "2001::1:1", "[]:1", "[a:1",
					     ",",    "$(x):1", "a:-1" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!reads_as(texts[i], "error"))
			FAIL(texts[i]);
	}
	CHECK(reads_as("a:1,,b:2", "a|1 error"));
}

static void finds_the_comment_of_the_right_peer(void)
{
	static const char text[] =
		"# Endpoints = none:1\n"
		"[Interface]\n# Endpoints = none:2\n"
		"[Peer]\n" KEY "AllowedIPs = 10.0.0.0/8 # Endpoints = none:3\n"
		"[Peer]\n" KEY "#endpoints=first:4\n# Endpoints = last:5 \n"
		"[Peer]\n" KEY "# Endpoint = none:6\n";
	struct wgconf c = { .text = NULL };
	struct diag d = { 0 };
	struct wgconf_span found;

	CHECK(wgconf_parse(text, strlen(text), &c, &d) == 0 && c.n_peers == 3);
	CHECK(endpoint_list_find(&c, 0).len == 0);
	found = endpoint_list_find(&c, 1);
	CHECK(found.len == 6 && memcmp(found.at, "last:5", 6) == 0);
	CHECK(endpoint_list_find(&c, 2).len == 0 && endpoint_list_find(&c, 3).len == 0);
	wgconf_done(&c);
}

int main(void)
{
	RUN(reads_names_and_addresses_between_commas);
	RUN(refuses_what_is_no_endpoint);
	RUN(finds_the_comment_of_the_right_peer);
	return DONE();
}
