/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "carrier/url.h"

static void reads_each_kind(void)
{
	static const struct {
		const char *text;
		enum carrier_kind kind;
		const char *host;
		uint16_t port;
		const char *authority;
	} rows[] = {
		{ "tcp://192.0.2.1:443", CARRIER_TCP, "192.0.2.1", 443, "192.0.2.1:443" },
		{ "tcp://[2001:db8::1]:1", CARRIER_TCP, "2001:db8::1", 1, "[2001:db8::1]:1" },
		{ "https://vpn.example", CARRIER_HTTPS, "vpn.example", 443, "vpn.example" },
		{ "https://vpn.example/", CARRIER_HTTPS, "vpn.example", 443, "vpn.example" },
		{ "https://[::1]", CARRIER_HTTPS, "::1", 443, "[::1]" },
		{ "http://vpn.example:8080/x/{target_host}/{target_port}/", CARRIER_HTTP,
		  "vpn.example", 8080, "vpn.example:8080" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct carrier_url u;
		struct diag d;

		CHECK(carrier_url_read(rows[i].text, &u, &d) == 0);
		CHECK(u.kind == rows[i].kind && u.port == rows[i].port);
		CHECK(strcmp(u.host, rows[i].host) == 0);
		CHECK(strcmp(u.authority, rows[i].authority) == 0);
		CHECK((u.path.n > 0) == (u.kind != CARRIER_TCP));
	}
}

static void refuses_what_is_no_address_of_a_carrier(void)
{
	static const char *const wrong[] = {
		"",
		"192.0.2.1:443",
		"udp://192.0.2.1:443",
		"tcp://192.0.2.1",
		"tcp://192.0.2.1:",
		"tcp://192.0.2.1:0",
		"tcp://192.0.2.1:65536",
		"tcp://192.0.2.1:44a",
		"tcp://192.0.2.1:443/",
		"tcp://:443",
		"tcp://[192.0.2.1]:443",
		"tcp://[::1:443",
		"tcp://[fe80::1%eth0]:443",
		"tcp://2001:db8::1:443",
		"https://",
		"https://a b",
		"https://user@vpn.example",
		"https://vpn.example/without/targets/",
		"https://vpn.example?target_host={target_host}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct carrier_url u;
		struct diag d = { .text = "" };

		if (carrier_url_read(wrong[i], &u, &d) != ERR_FORMAT || !d.text[0]) {
			printf("# %s\n", wrong[i]);
			FAIL("taken, or without a reason");
		}
	}
}

static void reads_a_proxy_and_its_key(void)
{
	struct carrier_via v;
	struct diag d;

	CHECK(carrier_via_read("http://proxy.example:3128", &v, &d) == 0);
	CHECK(strcmp(v.host, "proxy.example") == 0 && v.port == 3128 && !v.key[0]);
	CHECK(carrier_via_read("http://me:s3:cr@t@[::1]:1/", &v, &d) == 0);
	CHECK(strcmp(v.user, "me") == 0 && strcmp(v.key, "s3:cr@t") == 0);
	CHECK(strcmp(v.host, "::1") == 0 && v.port == 1);
	CHECK(carrier_via_read("http://:k@h:1", &v, &d) == 0);
	CHECK(!v.user[0] && strcmp(v.key, "k") == 0);
}

static void does_not_show_the_key_of_a_wrong_proxy(void)
{
	static const char *const wrong[] = { "http://me:s3cret@h",    "http://s3cret@h:1",
					     "https://me:s3cret@h:1", "me:s3cret@h:1",
					     "http://me:s3cret@h:0",  "http://me:@h:1" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct carrier_via v;
		struct diag d = { .text = "" };

		CHECK(carrier_via_read(wrong[i], &v, &d) == ERR_FORMAT);
		CHECK(d.text[0] && !strstr(d.text, "s3cret"));
	}
}

static void reads_hosts_with_ports(void)
{
	struct connect_udp_target t;
	struct diag d;

	CHECK(carrier_host_port("localhost:51820", &t, &d) == 0);
	CHECK(strcmp(t.host, "localhost") == 0 && t.port == 51820);
	CHECK(carrier_host_port("[::1]:1", &t, &d) == 0 && strcmp(t.host, "::1") == 0);
	CHECK(carrier_host_port("localhost", &t, &d) == ERR_FORMAT);
	CHECK(carrier_host_port(":1", &t, &d) == ERR_FORMAT);
}

int main(void)
{
	RUN(reads_each_kind);
	RUN(refuses_what_is_no_address_of_a_carrier);
	RUN(reads_a_proxy_and_its_key);
	RUN(does_not_show_the_key_of_a_wrong_proxy);
	RUN(reads_hosts_with_ports);
	return DONE();
}
