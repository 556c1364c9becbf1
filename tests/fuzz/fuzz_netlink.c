/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel might send about links and routes, judged by a walk with plain offsets. */
#include <stdbool.h>
#include <string.h>

#include <linux/rtnetlink.h>
#include <net/if.h>

#include "fuzz.h"
#include "net/linkwatch.h"

enum { OURS = 7 };

/* Fields are in the machine's byte order: netlink never leaves it. */
static uint64_t field(const uint8_t *data, uint64_t at, unsigned int octets)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < octets; i++) {
		unsigned int shift =
			__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? i : octets - 1 - i;

		value |= (uint64_t)data[at + i] << (8 * shift);
	}
	return value;
}

static uint64_t round_up(uint64_t n)
{
	return n % 4 ? n + 4 - n % 4 : n;
}

/* One link message of which [@at, @end) is the payload. */
static void model_link(const uint8_t *data, uint64_t at, uint64_t end, bool is_delete,
		       struct linkwatch_change *c)
{
	if (end - at < 16 || data[at] != 0 || field(data, at + 4, 4) != OURS)
		return;
	if (is_delete) {
		c->is_gone = true;
		return;
	}
	c->link_changed = true;
	c->is_up = field(data, at + 8, 4) & IFF_UP;
	if (!c->is_up)
		c->went_down = true;
	for (at += 16; at + 4 <= end;) {
		uint64_t len = field(data, at, 2);

		if (len < 4 || at + len > end)
			break;
		if (field(data, at + 2, 2) == IFLA_MTU && len == 8)
			c->mtu = (uint32_t)field(data, at + 4, 4);
		at += round_up(len);
	}
}

static struct linkwatch_change model(const uint8_t *data, uint64_t size)
{
	struct linkwatch_change c = { 0 };

	for (uint64_t at = 0; at + 16 <= size;) {
		uint64_t len = field(data, at, 4);
		uint64_t type = field(data, at + 4, 2);

		if (len < 16 || at + len > size)
			break;
		if (type == RTM_NEWLINK || type == RTM_DELLINK)
			model_link(data, at + 16, at + len, type == RTM_DELLINK, &c);
		if (type == RTM_NEWROUTE || type == RTM_DELROUTE)
			c.routes_changed = true;
		at += round_up(len);
	}
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct linkwatch_change c = { 0 }, expected = model(data, size);
	uint8_t *copy = malloc(size + 1); /* odd on purpose: no alignment is promised */

	if (!copy)
		return 0;
	memcpy(copy + 1, data, size);
	linkwatch_parse(copy + 1, size, OURS, &c);
	free(copy);
	HOLDS(c.mtu == expected.mtu && c.is_up == expected.is_up);
	HOLDS(c.link_changed == expected.link_changed && c.went_down == expected.went_down);
	HOLDS(c.is_gone == expected.is_gone && c.routes_changed == expected.routes_changed);
	HOLDS(!c.overrun);
	return 0;
}
