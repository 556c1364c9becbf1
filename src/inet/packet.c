/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/packet.h"

#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"

enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

/* IPv6 next header values that are followed by another header. */
enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_DESTINATION = 60,
};

static bool parse_v4(const uint8_t *packet, uint32_t available, struct inet_ip *ret)
{
	uint32_t header = (packet[0] & 15U) * 4;
	uint32_t len;

	if (available < 20)
		return false;
	len = get_be16(packet + 2);
	if (header < 20 || len < header || len > available)
		return false;

	*ret = (struct inet_ip){ .len = len, .tos = packet[1] };
	ret->source.family = ADDR_V4;
	memcpy(ret->source.b, packet + 12, 4);
	ret->destination.family = ADDR_V4;
	memcpy(ret->destination.b, packet + 16, 4);
	return true;
}

static bool parse_v6(const uint8_t *packet, uint32_t available, struct inet_ip *ret)
{
	uint32_t len;

	if (available < 40)
		return false;
	len = 40U + get_be16(packet + 4);
	if (len > available)
		return false;

	*ret = (struct inet_ip){ .len = len, .tos = (uint8_t)(get_be16(packet) >> 4) };
	ret->source.family = ADDR_V6;
	memcpy(ret->source.b, packet + 8, 16);
	ret->destination.family = ADDR_V6;
	memcpy(ret->destination.b, packet + 24, 16);
	return true;
}

bool inet_ip_parse(const uint8_t *packet, uint32_t available, struct inet_ip *ret)
{
	if (available == 0)
		return false;
	switch (packet[0] >> 4) {
	case 4:
		return parse_v4(packet, available, ret);
	case 6:
		return parse_v6(packet, available, ret);
	default:
		return false;
	}
}

/* Step over the extension at up->offset. 1: there was one, 0: there was none, -1: broken. */
static int step_over(const uint8_t *packet, uint32_t len, struct inet_upper *up)
{
	const uint8_t *at = packet + up->offset;
	uint32_t size = 8;

	switch (up->protocol) {
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_FRAGMENT:
	case NEXT_AUTHENTICATION:
	case NEXT_DESTINATION:
		break;
	default:
		return 0;
	}
	if (len - up->offset < size)
		return -1;

	if (up->protocol == NEXT_FRAGMENT) {
		up->is_fragment = true;
		up->is_later_fragment = get_be16(at + 2) >> 3 != 0;
	} else if (up->protocol == NEXT_AUTHENTICATION) {
		size = (at[1] + 2U) * 4;
	} else {
		size = (at[1] + 1U) * 8;
	}
	if (up->protocol == NEXT_ROUTING)
		up->is_routed = up->is_routed || at[3] != 0;
	if (len - up->offset < size)
		return -1;
	up->protocol = at[0];
	up->offset += size;
	return 1;
}

static bool find_v6(const uint8_t *packet, uint32_t len, struct inet_upper *ret)
{
	struct inet_upper up = { .offset = 40, .protocol = packet[6] };

	for (int i = 0; i <= INET_EXTENSIONS_MAX; i++) {
		int stepped = up.is_later_fragment ? 0 : step_over(packet, len, &up);

		if (stepped < 0)
			return false;
		if (stepped == 0) {
			*ret = up;
			return true;
		}
	}
	return false;
}

bool inet_upper_find(const uint8_t *packet, uint32_t len, struct inet_upper *ret)
{
	uint16_t fragment;

	if (packet[0] >> 4 == 6)
		return find_v6(packet, len, ret);

	fragment = get_be16(packet + 6) & 0x3fff; /* more fragments, offset */
	*ret = (struct inet_upper){
		.offset = (packet[0] & 15U) * 4,
		.protocol = packet[9],
		.is_fragment = fragment != 0,
		.is_later_fragment = (fragment & 0x1fff) != 0,
	};
	return true;
}

/* Traffic class 4..11 of the first word; its ECN bits are 4 and 5 of the second octet. */
static unsigned int ecn_get(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? packet[1] & 3U : packet[1] >> 4 & 3U;
}

static void ecn_set(uint8_t *packet, unsigned int ecn)
{
	uint16_t before = get_be16(packet);

	if (packet[0] >> 4 == 6) {
		packet[1] = (uint8_t)((packet[1] & 0xcfU) | ecn << 4);
		return;
	}
	packet[1] = (uint8_t)((packet[1] & 0xfcU) | ecn);
	inet_checksum_update(packet + 10, before, get_be16(packet));
}

bool inet_ecn_decap(uint8_t outer_tos, uint8_t *packet)
{
	unsigned int outer = outer_tos & 3;
	unsigned int inner = ecn_get(packet);

	if (outer == ECN_CE && inner == ECN_NOT_ECT)
		return false;
	/* RFC 6040, figure 4: the outer header adds CE to any mark, and ECT(1) to ECT(0). */
	if (inner == ECN_NOT_ECT || inner == ECN_CE || outer == inner)
		return true;
	if (outer == ECN_CE || (outer == ECN_ECT1 && inner == ECN_ECT0))
		ecn_set(packet, outer);
	return true;
}
