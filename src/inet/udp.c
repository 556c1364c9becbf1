/* SPDX-License-Identifier: Apache-2.0 */
#include "inet/udp.h"

#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "inet/packet.h"

enum { V4_DF = 0x40, CHECK_AT = 6 };

bool inet_udp_parse(const uint8_t *udp, uint32_t len, bool is_run, struct inet_udp *ret)
{
	uint32_t own = 0;

	if (len < INET_UDP_HEADER)
		return false;
	own = is_run ? len : get_be16(udp + 4);
	if (own < INET_UDP_HEADER || own > len)
		return false;
	*ret = (struct inet_udp){ .source_port = get_be16(udp),
				  .destination_port = get_be16(udp + 2),
				  .len = (uint16_t)own };
	return true;
}

uint32_t inet_ip_write(const struct ip_addr *source, const struct ip_addr *destination,
		       uint8_t protocol, uint8_t tos, uint8_t hops, uint32_t len, uint8_t *out)
{
	if (source->family == ADDR_V4) {
		memset(out, 0, 20);
		out[0] = 0x45;
		out[1] = tos;
		put_be16(out + 2, (uint16_t)(20 + len));
		out[6] = V4_DF; /* so that the identification means nothing (RFC 6864) */
		out[8] = hops;
		out[9] = protocol;
		memcpy(out + 12, source->b, 4);
		memcpy(out + 16, destination->b, 4);
		inet_checksum_put(out + 10, inet_sum_words(out, 20));
		return 20;
	}
	put_be32(out, UINT32_C(0x60000000) | (uint32_t)tos << 20);
	put_be16(out + 4, (uint16_t)len);
	out[6] = protocol;
	out[7] = hops;
	memcpy(out + 8, source->b, 16);
	memcpy(out + 24, destination->b, 16);
	return 40;
}

uint32_t inet_udp_write(const struct inet_pair *pair, uint8_t tos, uint8_t hops,
			const uint8_t *payload, uint32_t payload_len, uint32_t gso_size,
			uint8_t *out, struct inet_offload *ret_offload)
{
	uint32_t len = INET_UDP_HEADER + payload_len;
	uint32_t at = inet_ip_write(&pair->local, &pair->remote, INET_UDP, tos, hops, len, out);
	uint8_t *udp = out + at;

	put_be16(udp, pair->local_port);
	put_be16(udp + 2, pair->remote_port);
	put_be16(udp + 4, (uint16_t)len);
	put_be16(udp + CHECK_AT, 0);
	*ret_offload = (struct inet_offload){ 0 };
	if (payload_len > gso_size) {
		ret_offload->gso = INET_GSO_UDP;
		ret_offload->gso_size = (uint16_t)gso_size;
	} else {
		inet_checksum_put_nonzero(udp + CHECK_AT,
					  inet_sum_pseudo(out, INET_UDP) +
						  inet_sum_number((uint16_t)len) +
						  inet_sum_words(udp, INET_UDP_HEADER) +
						  inet_sum(payload, payload_len));
	}
	return at + INET_UDP_HEADER;
}

uint32_t inet_echo_write(const struct ip_addr *source, const struct ip_addr *destination,
			 uint8_t hops, uint8_t *icmp, uint32_t len, uint8_t *out)
{
	bool is_v4 = source->family == ADDR_V4;
	uint8_t protocol = is_v4 ? INET_ICMP4 : INET_ICMP6;
	uint32_t at = inet_ip_write(source, destination, protocol, 0, hops, len, out);
	uint64_t sum = 0;

	put_be16(icmp + 2, 0);
	if (!is_v4)
		sum = inet_sum_pseudo(out, INET_ICMP6) + inet_sum_number((uint16_t)len);
	inet_checksum_put(icmp + 2, sum + inet_sum(icmp, len));
	return at;
}
