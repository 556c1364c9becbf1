/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: the kind of error, an outer TOS and an MTU in four octets, then the packet.
 * Holds: an answer is a valid packet from the destination to the source, quotes the
 * beginning of what it answers, is never answered itself; a congestion mark leaves
 * a right header checksum right.
 */
#include "../unit/inet/packets.h"
#include "fuzz.h"
#include "inet/icmp.h"
#include "inet/packet.h"

static void check_answer(const uint8_t *out, uint32_t n, const uint8_t *packet, uint32_t len)
{
	bool is_v4 = packet[0] >> 4 == 4;
	uint32_t header = is_v4 ? 20 : 40, quoted = n - header - 8;
	uint8_t again[INET_ICMP_MAX];
	struct inet_ip ip, answered;

	HOLDS(inet_ip_parse(packet, len, &answered) && inet_ip_parse(out, n, &ip) &&
	      ip.len == n);
	HOLDS(memcmp(&ip.source, &answered.destination, sizeof(ip.source)) == 0);
	HOLDS(memcmp(&ip.destination, &answered.source, sizeof(ip.source)) == 0);
	HOLDS(n <= (is_v4 ? 576 : 1280) && quoted <= answered.len);
	HOLDS(quoted == answered.len || n == (is_v4 ? 576 : 1280));
	HOLDS(memcmp(out + header + 8, packet, quoted) == 0);
	if (is_v4)
		HOLDS(slow_sum(out, 20) == 0xffff && slow_sum(out + 20, n - 20) == 0xffff);
	else
		HOLDS(slow_transport_checksum(out, 40, n - 40, 58) == 0);
	HOLDS(inet_icmp_error(INET_ICMP_HOST_UNREACHABLE, 0, out, n, again) == 0);
}

static void check_ecn(uint8_t *packet, uint32_t len, uint8_t tos)
{
	uint32_t header = (packet[0] & 15U) * 4;
	struct inet_upper up;
	struct inet_ip ip;
	uint32_t sum = 0;

	if (!inet_ip_parse(packet, len, &ip))
		return;
	HOLDS(ip.len <= len);
	HOLDS(!inet_upper_find(packet, ip.len, &up) || up.offset <= ip.len);
	if (packet[0] >> 4 == 4)
		sum = slow_sum(packet, header);
	if (inet_ecn_decap(tos, packet) && packet[0] >> 4 == 4)
		HOLDS((slow_sum(packet, header) == 0xffff) == (sum == 0xffff));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[INET_ICMP_MAX], *packet;
	uint32_t len, n;

	if (size < 5 || size > PACKET_MAX)
		return 0;
	len = (uint32_t)size - 4;
	packet = malloc(len); /* exact, so that the sanitizer sees each octet beyond */
	memcpy(packet, data + 4, len);
	n = inet_icmp_error(data[0] % 2 ? INET_ICMP_TOO_BIG : INET_ICMP_HOST_UNREACHABLE,
			    get_be16(data + 2), packet, len, out);
	if (n)
		check_answer(out, n, packet, len);
	check_ecn(packet, len, data[1]);
	free(packet);
	return 0;
}
