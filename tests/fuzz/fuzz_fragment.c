/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: messages: a length in two octets and as many octets of packet; the upper bit of the length
 * lets ten seconds pass.
 * Holds: what is put together parses, is no fragment, and has the checksum of its header; cutting it and
 * putting it together gives the same payload.
 */
#include <string.h>

#include "base/wire.h"
#include "fuzz.h"
#include "inet/checksum.h"
#include "inet/fragment.h"

#define SECOND UINT64_C(1000000000)

static void check_again(const uint8_t *packet, uint32_t len)
{
	static uint8_t piece[1420], copy[65535];
	struct fragments *f = NULL;
	struct fragment_cut c;
	uint8_t *got = NULL;
	uint32_t got_len = 0, piece_len = 0, n = 0;
	bool done = false;

	memcpy(copy, packet, len);
	HOLDS(fragments_new(&f) == 0);
	fragment_cut_begin(&c, copy, len, sizeof(piece), 1);
	while ((piece_len = fragment_cut_next(&c, piece)) != 0) {
		HOLDS(!done && piece_len <= sizeof(piece));
		done = fragment_add(f, 0, piece, piece_len, &got, &got_len);
		n++;
	}
	if (n > 1) {
		HOLDS(done && got_len == len);
		HOLDS(memcmp(got + 20, copy + 20, len - 20) == 0);
	}
	fragments_free(f);
}

static void check(uint8_t *packet, uint32_t len)
{
	struct inet_ip ip;
	bool is_v4 = packet[0] >> 4 == 4;

	HOLDS(inet_ip_parse(packet, len, &ip) && ip.len == len);
	if (is_v4)
		HOLDS(inet_sum_is_valid(inet_sum_words(packet, (packet[0] & 15U) * 4)));
	if (is_v4 ? packet[0] == 0x45 : len > 40 && packet[6] == 17)
		check_again(packet, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fragments *f = NULL;
	uint64_t now_ns = 1;

	HOLDS(fragments_new(&f) == 0);
	while (size >= 2) {
		uint32_t len = get_be16(data) & 0x7fff;
		uint8_t *packet = NULL, *got = NULL;
		uint32_t got_len = 0;
		struct inet_upper upper;
		struct inet_ip ip;

		if (get_be16(data) & 0x8000)
			now_ns += 10 * SECOND;
		data += 2;
		size -= 2;
		if (len > size)
			len = (uint32_t)size;
		packet = malloc(
			len ? len
			    : 1); /* exact, so that the sanitizer sees each octet beyond */
		memcpy(packet, data, len);
		if (inet_ip_parse(packet, len, &ip) &&
		    inet_upper_find(packet, ip.len, &upper) && upper.is_fragment &&
		    fragment_add(f, now_ns, packet, ip.len, &got, &got_len))
			check(got, got_len);
		free(packet);
		data += len;
		size -= len;
	}
	fragments_free(f);
	return 0;
}
