/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: TOS, hops and a segment size in four octets, then a packet. What of it is UDP or echo is sent back to where it
 * came from, as usernet does. Holds: the length that a header claims is there; what we write is a packet that reads
 * as what was meant, with right checksums, whole or cut into datagrams.
 */
#include <string.h>

#include "../unit/inet/packets.h"
#include "fuzz.h"
#include "inet/packet.h"
#include "inet/split.h"
#include "inet/udp.h"

enum { ROOM = INET_UDP_HEADERS_MAX + PACKET_MAX };

static bool is_checksum_right(const uint8_t *packet, uint32_t offset, uint32_t len,
			      uint8_t protocol)
{
	uint32_t sum = slow_sum(packet + offset, len);

	if (protocol != INET_ICMP4)
		sum += slow_pseudo_sum(packet, len, protocol);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static void check_datagram(const uint8_t *packet, uint32_t len, const struct inet_pair *pair,
			   const uint8_t *payload, uint32_t payload_len)
{
	struct inet_upper upper;
	struct inet_udp udp;
	struct inet_ip ip;

	HOLDS(inet_ip_parse(packet, len, &ip) && ip.len == len);
	HOLDS(ip_addr_equal(&ip.source, &pair->local) &&
	      ip_addr_equal(&ip.destination, &pair->remote));
	HOLDS(inet_upper_find(packet, len, &upper) && upper.protocol == INET_UDP);
	HOLDS(inet_udp_parse(packet + upper.offset, len - upper.offset, false, &udp));
	HOLDS(udp.source_port == pair->local_port && udp.destination_port == pair->remote_port);
	HOLDS(udp.len == INET_UDP_HEADER + payload_len);
	HOLDS(memcmp(packet + upper.offset + INET_UDP_HEADER, payload, payload_len) == 0);
	HOLDS(is_checksum_right(packet, upper.offset, udp.len, INET_UDP));
}

static void check_run(uint8_t *packet, uint32_t len, const struct inet_pair *pair,
		      const uint8_t *payload, uint32_t payload_len,
		      const struct inet_offload *offload)
{
	struct inet_split split;
	uint32_t at = 0, part_len = 0;
	uint8_t *part = NULL;

	HOLDS(inet_split_begin(&split, packet, len, offload) == 0);
	while ((part = inet_split_next(&split, &part_len)) != NULL) {
		uint32_t n = payload_len - at < offload->gso_size ? payload_len - at
								  : offload->gso_size;

		check_datagram(part, part_len, pair, payload + at, n);
		at += n;
	}
	HOLDS(at == payload_len);
}

static void send_back(const uint8_t *udp, uint32_t len, const struct inet_ip *ip,
		      const uint8_t *options)
{
	uint32_t gso_size = 1 + get_be16(options + 2) % 1500, headers = 0;
	struct inet_pair pair = { .local = ip->destination, .remote = ip->source };
	struct inet_offload offload;
	uint8_t out[ROOM];
	struct inet_udp head;

	if (!inet_udp_parse(udp, len, false, &head))
		return;
	HOLDS(head.len >= INET_UDP_HEADER && head.len <= len);
	len = head.len - INET_UDP_HEADER;
	pair.local_port = head.destination_port;
	pair.remote_port = head.source_port;
	headers = inet_udp_write(&pair, options[0], options[1], udp + INET_UDP_HEADER, len,
				 gso_size, out, &offload);
	HOLDS(headers == (ip->source.family == ADDR_V4 ? 28 : 48));
	memcpy(out + headers, udp + INET_UDP_HEADER, len);
	HOLDS((offload.gso == INET_GSO_UDP) == (len > gso_size));
	if (offload.gso == INET_GSO_UDP)
		check_run(out, headers + len, &pair, udp + INET_UDP_HEADER, len, &offload);
	else
		check_datagram(out, headers + len, &pair, udp + INET_UDP_HEADER, len);
}

static void echo_back(const uint8_t *icmp, uint32_t len, const struct inet_ip *ip, uint8_t hops)
{
	bool is_v4 = ip->source.family == ADDR_V4;
	uint8_t out[ROOM];
	uint32_t header = is_v4 ? 20 : 40;
	struct inet_ip again;

	if (len < INET_ECHO_HEADER)
		return;
	memcpy(out + header, icmp, len);
	HOLDS(inet_echo_write(&ip->destination, &ip->source, hops, out + header, len, out) ==
	      header);
	HOLDS(inet_ip_parse(out, header + len, &again) && again.len == header + len);
	HOLDS(is_checksum_right(out, header, len, is_v4 ? INET_ICMP4 : INET_ICMP6));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inet_upper upper;
	struct inet_ip ip;
	uint8_t *packet = NULL;
	uint32_t len = (uint32_t)size - 4;

	if (size < 5 || size > PACKET_MAX)
		return 0;
	packet = malloc(len); /* exact, so that the sanitizer sees each octet beyond */
	memcpy(packet, data + 4, len);
	if (inet_ip_parse(packet, len, &ip) && inet_upper_find(packet, ip.len, &upper) &&
	    !upper.is_fragment) {
		if (upper.protocol == INET_UDP)
			send_back(packet + upper.offset, ip.len - upper.offset, &ip, data);
		else
			echo_back(packet + upper.offset, ip.len - upper.offset, &ip, data[1]);
	}
	free(packet);
	return 0;
}
