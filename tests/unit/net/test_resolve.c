/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses need no resolver; the loopback is a route that every system has. */
#include <errno.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "net/resolve.h"

static void takes_addresses_as_they_are(void)
{
	static const char *const rows[][2] = {
		{ "192.0.2.1", "192.0.2.1:51820" },
		{ "2001:db8::1", "[2001:db8::1]:51820" },
		{ "::ffff:192.0.2.1", "192.0.2.1:51820" },
		{ "fe80::1%1", "[fe80::1%1]:51820" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[ADDR_TEXT_MAX];
		struct endpoint e;

		CHECK(resolve_endpoint(rows[i][0], 51820, &e) == 0);
		CHECK(strcmp(endpoint_format(&e, text), rows[i][1]) == 0);
	}
}

static void says_that_a_name_is_none(void)
{
	struct endpoint e = { .port = 7 };
	int err = resolve_endpoint("not a name", 1, &e);

	CHECK((err == ERR_UNKNOWN || err == -EAGAIN) && e.port == 7);
}

static void knows_the_mtu_of_a_route(void)
{
	struct endpoint e;
	uint32_t mtu = 0;

	endpoint_parse("127.0.0.1:9", &e);
	CHECK(resolve_path_mtu(&e, 0, &mtu) == 0 && mtu >= 1280);
	mtu = 0;
	CHECK(resolve_path_mtu(&e, 1, &mtu) == 0 && mtu >= 1280);
	mtu = 7;
	endpoint_parse("[fe80::1]:9", &e); /* a link-local address of no link */
	CHECK(resolve_path_mtu(&e, 0, &mtu) < 0 && mtu == 7);
}

int main(void)
{
	RUN(takes_addresses_as_they_are);
	RUN(says_that_a_name_is_none);
	RUN(knows_the_mtu_of_a_route);
	return DONE();
}
