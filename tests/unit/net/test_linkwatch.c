/* SPDX-License-Identifier: Apache-2.0 */
/* Messages laid out by hand after rtnetlink(7), then broken in every place. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>
#include <net/if.h>

#include "../test.h"
#include "net/linkwatch.h"

enum { OURS = 7, OTHER = 8 };

struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg info;
	struct nlattr name_attr;
	char name[4];
	struct nlattr mtu_attr;
	uint32_t mtu;
};

static struct link_message link_message(uint16_t type, int index, unsigned int flags,
					uint32_t mtu)
{
	return (struct link_message){
		.header = { .nlmsg_len = sizeof(struct link_message), .nlmsg_type = type },
		.info = { .ifi_index = index, .ifi_flags = flags },
		.name_attr = { .nla_len = sizeof(struct nlattr) + 4, .nla_type = IFLA_IFNAME },
		.name = "wg0",
		.mtu_attr = { .nla_len = sizeof(struct nlattr) + 4, .nla_type = IFLA_MTU },
		.mtu = mtu,
	};
}

static struct linkwatch_change parse(const void *bytes, size_t len)
{
	struct linkwatch_change change = { 0 };

	linkwatch_parse(bytes, len, OURS, &change);
	return change;
}

static bool is_empty(struct linkwatch_change change)
{
	return !change.link_changed && !change.is_gone && !change.routes_changed &&
	       !change.overrun && change.mtu == 0;
}

static void reads_up_and_mtu_of_our_link(void)
{
	struct link_message m = link_message(RTM_NEWLINK, OURS, IFF_UP, 1420);
	struct linkwatch_change c = parse(&m, sizeof(m));

	CHECK(c.link_changed && c.is_up && !c.went_down && c.mtu == 1420 && !c.is_gone);
}

static void skips_other_links(void)
{
	struct link_message m = link_message(RTM_NEWLINK, OTHER, IFF_UP, 1420);

	CHECK(is_empty(parse(&m, sizeof(m))));
	m = link_message(RTM_DELLINK, OTHER, 0, 1420);
	CHECK(is_empty(parse(&m, sizeof(m))));
}

static void leaving_a_bridge_is_not_dying(void)
{
	struct link_message m = link_message(RTM_DELLINK, OURS, IFF_UP, 1420);

	m.info.ifi_family = AF_BRIDGE;
	CHECK(is_empty(parse(&m, sizeof(m))));
	m.info.ifi_family = AF_UNSPEC;
	CHECK(parse(&m, sizeof(m)).is_gone);
}

static void folds_down_and_up_without_losing_the_down(void)
{
	struct link_message m[3] = {
		link_message(RTM_NEWLINK, OURS, IFF_UP, 1420),
		link_message(RTM_NEWLINK, OURS, 0, 1420),
		link_message(RTM_NEWLINK, OURS, IFF_UP, 1300),
	};
	struct linkwatch_change c = parse(m, sizeof(m));

	CHECK(c.is_up && c.went_down && c.mtu == 1300);
}

static void notes_routes_of_either_kind(void)
{
	struct {
		struct nlmsghdr header;
		struct rtmsg route;
	} m = { .header = { .nlmsg_len = sizeof(m), .nlmsg_type = RTM_NEWROUTE } };
	struct linkwatch_change c = parse(&m, sizeof(m));

	CHECK(c.routes_changed && !c.link_changed);
	m.header.nlmsg_type = RTM_DELROUTE;
	CHECK(parse(&m, sizeof(m)).routes_changed);
	m.header.nlmsg_type = RTM_NEWRULE;
	CHECK(is_empty(parse(&m, sizeof(m))));
}

static void skips_a_message_too_short_for_its_header(void)
{
	struct link_message m = link_message(RTM_NEWLINK, OURS, IFF_UP, 1420);

	m.header.nlmsg_len = sizeof(m.header) + sizeof(m.info) - 4;
	CHECK(is_empty(parse(&m, m.header.nlmsg_len)));
}

static void ignores_an_mtu_of_the_wrong_size(void)
{
	struct link_message m = link_message(RTM_NEWLINK, OURS, IFF_UP, 1420);
	struct linkwatch_change c;

	m.mtu_attr.nla_len = sizeof(struct nlattr) + 2;
	c = parse(&m, sizeof(m));
	CHECK(c.link_changed && c.mtu == 0);
}

/* Exactly as many octets as are given are owned, so the sanitizer sees a step too far. */
static void parse_copy(const void *bytes, size_t len)
{
	void *copy = malloc(len);

	memcpy(copy, bytes, len);
	parse(copy, len);
	free(copy);
}

static void survives_every_length_and_every_changed_octet(void)
{
	struct link_message m[2] = { link_message(RTM_NEWLINK, OURS, IFF_UP, 1420),
				     link_message(RTM_NEWLINK, OURS, 0, 1500) };
	uint8_t *bytes = (uint8_t *)m;

	for (size_t len = 1; len <= sizeof(m); len++) {
		parse_copy(m, len);
		m[0].header.nlmsg_len = (uint32_t)len; /* an honest length of an odd message */
		parse_copy(m, len);
		m[0].header.nlmsg_len = sizeof(m[0]);
	}
	for (size_t i = 0; i < sizeof(m); i++) {
		uint8_t kept = bytes[i];

		for (unsigned int v = 0; v < 256; v++) {
			bytes[i] = (uint8_t)v;
			parse_copy(m, sizeof(m));
		}
		bytes[i] = kept;
	}
	CHECK(parse(m, sizeof(m)).mtu == 1500);
}

int main(void)
{
	RUN(reads_up_and_mtu_of_our_link);
	RUN(skips_other_links);
	RUN(leaving_a_bridge_is_not_dying);
	RUN(folds_down_and_up_without_losing_the_down);
	RUN(notes_routes_of_either_kind);
	RUN(skips_a_message_too_short_for_its_header);
	RUN(ignores_an_mtu_of_the_wrong_size);
	RUN(survives_every_length_and_every_changed_octet);
	return DONE();
}
