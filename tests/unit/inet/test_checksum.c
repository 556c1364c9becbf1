/* SPDX-License-Identifier: Apache-2.0 */
/* Published examples, then every length and alignment against RFC 1071 word for word. */
#include "../test.h"
#include "inet/checksum.h"
#include "packets.h"

static uint16_t in_host_order(uint16_t folded)
{
	uint8_t b[2];

	inet_sum_put(b, folded);
	return get_be16(b);
}

static void agrees_with_the_example_of_rfc_1071(void)
{
	/* Section 3: the sum is ddf2. */
	static const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	CHECK(in_host_order(inet_sum_fold(inet_sum(data, sizeof(data)))) == 0xddf2);
	CHECK(in_host_order(inet_sum_fold(inet_sum_words(data, sizeof(data)))) == 0xddf2);
}

static void agrees_with_the_example_of_rfc_1624(void)
{
	/* Section 4: DD2F becomes 0000 when 5555 becomes 3285. */
	uint8_t check[2] = { 0xdd, 0x2f };

	inet_checksum_update(check, 0x5555, 0x3285);
	CHECK(get_be16(check) == 0x0000);
}

static void accepts_a_right_header_and_refuses_a_wrong_one(void)
{
	uint8_t header[20] = { 0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
			       0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7 };

	CHECK(inet_sum_is_valid(inet_sum_words(header, 20)));
	header[7] ^= 1;
	CHECK(!inet_sum_is_valid(inet_sum_words(header, 20)));
}

static void agrees_with_the_slow_sum_at_every_length_and_alignment(void)
{
	static uint8_t data[2100 + 8];

	fill_random(data, sizeof(data));
	for (size_t len = 0; len <= 2100; len++) {
		const uint8_t *at = data + len % 8;
		uint32_t slow = slow_sum(at, len);

		CHECK(in_host_order(inet_sum_fold(inet_sum(at, len))) == slow);
		CHECK(in_host_order(inet_sum_fold(inet_sum_portable(at, len))) == slow);
	}
}

static void does_not_overflow_on_the_largest_packet(void)
{
	static uint8_t data[65535];

	memset(data, 0xff, sizeof(data));
	CHECK(in_host_order(inet_sum_fold(inet_sum(data, 65535))) == slow_sum(data, 65535));
	CHECK(inet_sum_fold(inet_sum(data, 65534)) == 0xffff);
	CHECK(inet_sum_fold(inet_sum_portable(data, 65534)) == 0xffff);
}

static void folds_sums_of_any_size(void)
{
	CHECK(inet_sum_fold(0) == 0);
	CHECK(inet_sum_fold(0xffff) == 0xffff);
	CHECK(inet_sum_fold(0x10000) == 1);
	CHECK(inet_sum_fold(UINT64_MAX) == 0xffff);
	CHECK(inet_sum_fold(UINT64_C(0xffffffff0000ffff)) == 0xffff);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = (uint64_t)next_random() << 33 ^ (uint64_t)next_random() << 11 ^
			     next_random();

		CHECK(inet_sum_fold(v) % 0xffff == v % 0xffff);
		CHECK(inet_sum_fold(v) != 0);
	}
}

static void adds_up_from_parts(void)
{
	uint8_t data[3000];

	fill_random(data, sizeof(data));
	for (size_t cut = 0; cut <= sizeof(data); cut += 2) {
		uint64_t sum = inet_sum(data, cut) + inet_sum(data + cut, sizeof(data) - cut);

		CHECK(in_host_order(inet_sum_fold(sum)) == slow_sum(data, sizeof(data)));
	}
}

static void updates_as_if_computed_anew(void)
{
	uint8_t data[22];

	for (int i = 0; i < 20000; i++) {
		size_t at = 2 + next_random() % 10 * 2;
		uint16_t from, to = (uint16_t)next_random();

		fill_random(data, sizeof(data));
		from = get_be16(data + at);
		put_be16(data, 0);
		put_be16(data, (uint16_t)~slow_sum(data, sizeof(data)));
		put_be16(data + at, to);
		inet_checksum_update(data, from, to);
		to = get_be16(data);
		put_be16(data, 0);
		CHECK(to == (uint16_t)~slow_sum(data, sizeof(data)));
	}
}

static void never_writes_the_checksum_that_means_none(void)
{
	uint8_t check[2];

	inet_checksum_put_nonzero(check, 0xffff);
	CHECK(get_be16(check) == 0xffff);
	inet_checksum_put(check, 0xffff);
	CHECK(get_be16(check) == 0);
}

int main(void)
{
	RUN(agrees_with_the_example_of_rfc_1071);
	RUN(agrees_with_the_example_of_rfc_1624);
	RUN(accepts_a_right_header_and_refuses_a_wrong_one);
	RUN(agrees_with_the_slow_sum_at_every_length_and_alignment);
	RUN(does_not_overflow_on_the_largest_packet);
	RUN(folds_sums_of_any_size);
	RUN(adds_up_from_parts);
	RUN(updates_as_if_computed_anew);
	RUN(never_writes_the_checksum_that_means_none);
	return DONE();
}
