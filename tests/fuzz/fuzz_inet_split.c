/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: kind, size and offsets of the offload in seven octets, then the packet.
 * Holds: what is refused is not touched; what is taken gives the segments that the slow
 * model makes, octet for octet, and they cover the payload.
 */
#include "../unit/inet/packets.h"
#include "fuzz.h"
#include "inet/split.h"

static void check_segments(struct inet_split *s, const uint8_t *original, uint32_t len)
{
	static uint8_t want[PACKET_MAX];
	uint32_t n = 0, got_len, covered = 0;
	uint8_t *segment;

	while ((segment = inet_split_next(s, &got_len)) != NULL) {
		uint32_t want_len = slow_segment(original, len, s->transport, s->header_len,
						 s->gso_size, n++, want);

		HOLDS(got_len == want_len && memcmp(segment, want, got_len) == 0);
		covered += got_len - s->header_len;
	}
	HOLDS(n == s->count && covered == len - s->header_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inet_offload offload;
	struct inet_split s;
	struct inet_ip ip;
	uint8_t *packet;
	uint32_t len;

	if (size < 8 || size > PACKET_MAX)
		return 0;
	offload = (struct inet_offload){
		.gso = data[0] % (INET_GSO_UDP + 1),
		.needs_csum = data[0] >> 7,
		.gso_size = get_be16(data + 1),
		.csum_start = get_be16(data + 3),
		.csum_offset = get_be16(data + 5),
	};
	data += 7;
	len = (uint32_t)size - 7;
	packet = malloc(len); /* exact, so that the sanitizer sees each octet beyond */
	memcpy(packet, data, len);

	if (inet_split_begin(&s, packet, len, &offload) == 0) {
		HOLDS(memcmp(packet, data, len) == 0 && inet_ip_parse(packet, len, &ip));
		check_segments(&s, data, ip.len);
	} else {
		HOLDS(memcmp(packet, data, len) == 0);
	}
	inet_checksum_finish(packet, len, &offload);
	free(packet);
	return 0;
}
