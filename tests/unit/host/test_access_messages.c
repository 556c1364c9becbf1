/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "host/access_messages.h"

static struct host_access body;

static struct access_rule rule(const char *to, enum access_protocol protocol, uint16_t first,
			       uint16_t last)
{
	struct access_rule r = { .protocol = protocol, .port_first = first, .port_last = last };

	CHECK(ip_prefix_parse(to, true, &r.to) == 0);
	return r;
}

static struct nft_element change(const char *address, uint32_t was, uint32_t is)
{
	struct nft_element e = { .was = was, .is = is };

	CHECK(ip_addr_parse(address, &e.key) == 0);
	return e;
}

static void a_list(void)
{
	const struct access_rule rules[] = { rule("10.9.0.0/24", ACCESS_TCP, 80, 90),
					     rule("fd09::/16", ACCESS_ICMP, 0, 0) };

	body = (struct host_access){ .list = 4, .n = 2 };
	for (int i = 0; i < 2; i++)
		host_access_write_rule(&rules[i], &body.rules[i]);
}

static void some_members(void)
{
	const struct nft_element changes[] = { change("10.9.0.2", 0, 4),
					       change("fd09::2", 3, 0) };

	body = (struct host_access){ .n = 2 };
	for (int i = 0; i < 2; i++)
		host_access_write_change(&changes[i], &body.changes[i]);
}

static void what_is_written_is_read_again(void)
{
	struct access_rule r;
	struct nft_element e;

	a_list();
	CHECK(!host_access_judge(HOST_ACCESS_LIST, &body));
	r = host_access_read_rule(&body.rules[0]);
	CHECK(r.to.bits == 24 && r.to.ip.b[0] == 10 && r.to.ip.b[1] == 9);
	CHECK(r.protocol == ACCESS_TCP && r.port_first == 80 && r.port_last == 90);
	some_members();
	CHECK(!host_access_judge(HOST_ACCESS_MEMBERS, &body));
	e = host_access_read_change(&body.changes[1]);
	CHECK(e.key.family == ADDR_V6 && e.key.b[15] == 2 && e.was == 3 && e.is == 0);
}

static void each_type_has_the_body_that_is_its_own(void)
{
	a_list();
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
	CHECK(host_access_judge(HOST_ACCESS_REMOVE, &body));
	CHECK(host_access_judge(HOST_ACCESS_STAGE, &body));
	some_members();
	CHECK(host_access_judge(HOST_ACCESS_LIST, &body));
	body = (struct host_access){ .list = 4 };
	CHECK(!host_access_judge(HOST_ACCESS_REMOVE, &body));
	CHECK(!host_access_judge(HOST_ACCESS_LIST, &body)); /* it allows nothing */
	body.list = 0;
	CHECK(host_access_judge(HOST_ACCESS_REMOVE, &body));
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body)); /* nobody */
}

/* Each octet of the body that means nothing, set one at a time. */
static void what_says_nothing_must_be_zero(void)
{
	uint8_t *octets = (uint8_t *)&body;
	size_t refused = 0, tried = 0, behind = 8 + 2 * sizeof(body.rules[0]);

	a_list();
	for (size_t i = behind; i < sizeof(body); i += 13) {
		octets[i] = 1;
		refused += host_access_judge(HOST_ACCESS_LIST, &body) != NULL;
		octets[i] = 0;
		tried++;
	}
	CHECK(refused == tried);
	body.rules[0].zero = 1;
	CHECK(host_access_judge(HOST_ACCESS_LIST, &body));
	some_members();
	body.changes[0].address[4] = 1; /* behind an IPv4 address */
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
	some_members();
	octets[sizeof(body) - 1] = 1;
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
}

static bool is_refused(uint8_t family, uint8_t bits, uint8_t protocol, uint16_t first,
		       uint16_t last)
{
	a_list();
	body.rules[1] = (struct host_access_rule){ .family = family,
						   .bits = bits,
						   .protocol = protocol,
						   .port_first = first,
						   .port_last = last };
	return host_access_judge(HOST_ACCESS_LIST, &body) != NULL;
}

static void rules_that_cannot_be_are_refused(void)
{
	CHECK(!is_refused(ADDR_V4, 32, ACCESS_UDP, 1, 65535));
	CHECK(is_refused(ADDR_V4, 33, ACCESS_UDP, 1, 65535));
	CHECK(!is_refused(ADDR_V6, 128, ACCESS_ANY, 0, 0));
	CHECK(is_refused(ADDR_V6, 129, ACCESS_ANY, 0, 0));
	CHECK(is_refused(ADDR_NONE, 0, ACCESS_ANY, 0, 0) && is_refused(5, 0, ACCESS_ANY, 0, 0));
	CHECK(is_refused(ADDR_V4, 0, ACCESS_ICMP + 1, 0, 0));
	CHECK(is_refused(ADDR_V4, 0, ACCESS_TCP, 2, 1) &&
	      is_refused(ADDR_V4, 0, ACCESS_TCP, 0, 1));
}

static void members_that_cannot_be_are_refused(void)
{
	some_members();
	body.changes[1].family = 0x104;
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
	some_members();
	body.changes[1].was = 0; /* nothing changes */
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
	some_members();
	body.n = HOST_ACCESS_CHANGES_MAX + 1;
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
	CHECK(host_access_judge(HOST_ACCESS_LIST, &body));
	body.n = UINT32_MAX;
	CHECK(host_access_judge(HOST_ACCESS_MEMBERS, &body));
}

int main(void)
{
	RUN(what_is_written_is_read_again);
	RUN(each_type_has_the_body_that_is_its_own);
	RUN(what_says_nothing_must_be_zero);
	RUN(rules_that_cannot_be_are_refused);
	RUN(members_that_cannot_be_are_refused);
	return DONE();
}
