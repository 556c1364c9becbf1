/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "../test.h"
#include "client/ephem_http.h"

static int check(const char *url, bool is_insecure)
{
	struct diag d = { .text = "" };
	int err = ephem_url_check(url, is_insecure, &d);

	CHECK((err == 0) == (d.text[0] == '\0'));
	return err;
}

static void a_key_goes_over_tls_or_stays_on_this_machine(void)
{
	static const char *const good[] = {
		"https://vpn.example.com",
		"https://192.0.2.1:8000/",
		"https://[2001:db8::1]/x",
		"http://127.0.0.1:8000",
		"http://127.9.9.9",
		"http://localhost:1",
		"http://[::1]:8000/behind/it",
		"HTTPS://VPN.EXAMPLE.COM",
	};
	static const char *const plain[] = {
		"http://192.0.2.1",	    "http://128.0.0.1",	   "http://localhost.example",
		"http://127.0.0.1.example", "http://[::2]",	   "http://0.0.0.0",
		"http://10.0.0.1:8000",	    "http://localhostx/y",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(check(good[i], false) == 0);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		CHECK(check(plain[i], false) == ERR_RANGE);
		CHECK(check(plain[i], true) == 0);
	}
}

static void what_is_no_address_of_a_gateway_is_refused(void)
{
	static const char *const bad[] = {
		"",
		"vpn.example.com",
		"ftp://vpn.example.com",
		"https://",
		"file:///etc/passwd",
		"https://me@vpn.example.com",
		"https://me:secret@vpn.example.com",
		"https://vpn.example.com?a=b",
		"https://vpn.example.com/#a",
		"https://vpn.example.com:99999",
		"https://vpn example.com",
		"https://vpn.example.com\r\nX: y",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(check(bad[i], true) == ERR_FORMAT);
}

static void who_is_not_there_is_named(void)
{
	const struct ephem_request r = { .method = "GET",
					 .base = "http://127.0.0.1:1///",
					 .path = "/users",
					 .ca_file = "" };
	struct text answer = { .data = NULL };
	struct diag d = { .text = "" };
	long status = 0;

	CHECK(ephem_ask(&r, &status, &answer, &d) == -EIO);
	CHECK(strncmp(d.text, "http://127.0.0.1:1/users: ", 26) == 0);
	CHECK(status == 0 && answer.len == 0);
	text_done(&answer);
}

int main(void)
{
	RUN(a_key_goes_over_tls_or_stays_on_this_machine);
	RUN(what_is_no_address_of_a_gateway_is_refused);
	RUN(who_is_not_there_is_named);
	return DONE();
}
