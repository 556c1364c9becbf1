/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams and echo messages, summed by a model that adds octet by octet. */
#include <string.h>

#include "../test.h"
#include "inet/split.h"
#include "inet/udp.h"
#include "packets.h"

static const struct inet_pair pair4 = { .local = { ADDR_V4, { 198, 51, 100, 2 } },
					.remote = { ADDR_V4, { 10, 9, 0, 2 } },
					.local_port = 53,
					.remote_port = 4000 };
static const struct inet_pair pair6 = { .local = { ADDR_V6, { 0x20, 1, 0xd, 0xb8, [15] = 2 } },
					.remote = { ADDR_V6, { 0xfd, 9, [15] = 2 } },
					.local_port = 53,
					.remote_port = 4000 };

static void writes_datagrams_with_right_checksums(void)
{
	for (uint32_t len = 0; len < 40; len++) {
		uint8_t out[100], payload[40];
		struct inet_offload offload;
		struct inet_udp udp;
		uint32_t at = 0;

		memset(payload, (int)(len * 37 + 1), sizeof(payload));
		at = inet_udp_write(&pair4, 3, 9, payload, len, 100, out, &offload);
		memcpy(out + at, payload, len);
		CHECK(at == 28 && offload.gso == INET_GSO_NONE && !offload.needs_csum);
		CHECK(slow_sum(out, 20) == 0xffff && out[1] == 3 && out[8] == 9);
		CHECK(slow_transport_checksum(out, 20, 8 + len, 17) == 0);
		CHECK(inet_udp_parse(out + 20, 8 + len, false, &udp));
		CHECK(udp.source_port == 53 && udp.destination_port == 4000 &&
		      udp.len == 8 + len);
		at = inet_udp_write(&pair6, 3, 9, payload, len, 100, out, &offload);
		memcpy(out + at, payload, len);
		CHECK(at == 48 && slow_transport_checksum(out, 40, 8 + len, 17) == 0);
	}
}

/* RFC 768: a checksum that comes out as zero is sent as its other form. */
static void a_checksum_is_never_sent_as_none(void)
{
	uint8_t payload[2] = { 0 }, out[64];
	struct inet_offload offload;

	for (uint32_t v = 0; v < 65536; v++) {
		put_be16(payload, (uint16_t)v);
		inet_udp_write(&pair4, 0, 64, payload, 2, 100, out, &offload);
		CHECK(get_be16(out + 26) != 0);
	}
}

static void a_run_is_cut_into_the_datagrams_it_came_from(void)
{
	static uint8_t out[4000], payload[2500];
	struct inet_offload offload;
	struct inet_split split;
	uint32_t at = 0, len = 0, n = 0;
	uint8_t *packet = NULL;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	at = inet_udp_write(&pair6, 0, 64, payload, sizeof(payload), 1000, out, &offload);
	memcpy(out + at, payload, sizeof(payload));
	CHECK(offload.gso == INET_GSO_UDP && offload.gso_size == 1000);
	CHECK(inet_split_begin(&split, out, at + sizeof(payload), &offload) == 0);
	while ((packet = inet_split_next(&split, &len)) != NULL) {
		CHECK(len == 48 + (n < 2 ? 1000 : 500));
		CHECK(slow_transport_checksum(packet, 40, len - 40, 17) == 0);
		CHECK(memcmp(packet + 48, payload + n * 1000, len - 48) == 0);
		n++;
	}
	CHECK(n == 3);
}

static void refuses_lengths_that_do_not_fit(void)
{
	uint8_t udp[20] = { 0, 1, 0, 2, 0, 20 };
	struct inet_udp got;

	CHECK(inet_udp_parse(udp, 20, false, &got) && got.len == 20);
	CHECK(!inet_udp_parse(udp, 19, false, &got));
	CHECK(!inet_udp_parse(udp, 7, true, &got));
	CHECK(inet_udp_parse(udp, 12, true, &got) && got.len == 12);
	udp[5] = 7;
	CHECK(!inet_udp_parse(udp, 20, false, &got));
	udp[5] = 8;
	CHECK(inet_udp_parse(udp, 20, false, &got) && got.len == 8);
}

static void echoes_have_right_checksums(void)
{
	uint8_t out[40 + 13] = { 0 };

	for (int i = 0; i < 13; i++)
		out[20 + i] = (uint8_t)(i * 3);
	out[20] = 0;
	CHECK(inet_echo_write(&pair4.local, &pair4.remote, 64, out + 20, 13, out) == 20);
	CHECK(slow_sum(out + 20, 13) == 0xffff && slow_sum(out, 20) == 0xffff);
	for (int i = 0; i < 13; i++)
		out[40 + i] = (uint8_t)(i * 3);
	out[40] = 129;
	CHECK(inet_echo_write(&pair6.local, &pair6.remote, 64, out + 40, 13, out) == 40);
	CHECK(slow_transport_checksum(out, 40, 13, 58) == 0);
}

int main(void)
{
	RUN(writes_datagrams_with_right_checksums);
	RUN(a_checksum_is_never_sent_as_none);
	RUN(a_run_is_cut_into_the_datagrams_it_came_from);
	RUN(refuses_lengths_that_do_not_fit);
	RUN(echoes_have_right_checksums);
	return DONE();
}
