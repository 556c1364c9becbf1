/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What splitting, merging and summing cost on one core: nanoseconds of CPU time.
 *
 *	ninja -C BUILD bench/micro_inet && BUILD/bench/micro_inet
 *
 * Each figure is the least of several rounds: what else runs on the machine only adds.
 * "From L2" goes round in 256 KiB, so that each octet was last touched before three other
 * super-frames, as after a read() that the kernel copied; "from L1" stays in one packet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "inet/merge.h"
#include "inet/split.h"

enum {
	ROUNDS = 25,
	FRAMES = 4,
	PACKETS = 45,
	HEADER = 52,
	SEGMENT = 1448,
	PACKET = HEADER + SEGMENT,
	FRAME_ROOM = PACKETS * PACKET, /* as one super-frame or as packets in a row */
};

static const double round_ns = 10e6;

static struct {
	_Alignas(64) uint8_t frames[FRAMES][FRAME_ROOM];
	uint8_t headers[FRAMES][HEADER]; /* as they were before the operation */
	uint32_t turn;
	uint32_t len;
	volatile uint64_t result;
	struct inet_merge *merge;
} b;

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int ok)
{
	if (!ok) {
		fprintf(stderr, "an operation failed: figures would mean nothing\n");
		exit(1);
	}
}

static double measure(void (*op)(void))
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double begin = cpu_ns(), end;
		uint64_t n = 0;

		do {
			for (int i = 0; i < 128; i++)
				op();
			n += 128;
			end = cpu_ns();
		} while (end - begin < round_ns);
		if ((end - begin) / (double)n < best)
			best = (end - begin) / (double)n;
	}
	return best;
}

static void show(const char *name, void (*op)(void))
{
	printf("%-52s %8.0f ns\n", name, measure(op));
	fflush(stdout);
}

/* An IPv4 and TCP header with timestamps, for @len octets of packet. */
static void write_header(uint8_t *p, uint32_t i, uint32_t len)
{
	static const uint8_t addresses[8] = { 10, 0, 1, 2, 10, 0, 1, 1 };

	memset(p, 0, HEADER);
	p[0] = 0x45;
	put_be16(p + 2, (uint16_t)len);
	put_be16(p + 4, (uint16_t)i);
	p[6] = 0x40;
	p[8] = 64;
	p[9] = 6;
	memcpy(p + 12, addresses, 8);
	inet_checksum_put(p + 10, inet_sum_words(p, 20));
	put_be16(p + 20, 40000);
	put_be16(p + 22, 5201);
	put_be32(p + 24, i * SEGMENT);
	p[32] = 0x80;
	p[33] = 0x10;
	put_be16(p + 34, 501);
	put_be32(p + 40, 0x0101080a);
}

static void seal(uint8_t *p)
{
	inet_checksum_put(p + 36, inet_sum_pseudo(p, 6) + inet_sum_number(PACKET - 20) +
					  inet_sum(p + 20, PACKET - 20));
}

static void op_sum_l1(void)
{
	b.result += inet_sum(b.frames[0], b.len);
}

static void op_sum_l2(void)
{
	const uint8_t *frame = b.frames[b.turn++ % FRAMES];

	for (uint32_t i = 0; i < PACKETS; i++)
		b.result += inet_sum(frame + HEADER + i * SEGMENT, SEGMENT);
}

static void op_portable_l2(void)
{
	const uint8_t *frame = b.frames[b.turn++ % FRAMES];

	for (uint32_t i = 0; i < PACKETS; i++)
		b.result += inet_sum_portable(frame + HEADER + i * SEGMENT, SEGMENT);
}

static void op_split(void)
{
	static const struct inet_offload offload = { .gso = INET_GSO_TCP4,
						     .gso_size = SEGMENT,
						     .needs_csum = true,
						     .csum_start = 20,
						     .csum_offset = 16 };
	uint32_t turn = b.turn++ % FRAMES, len, n = 0;
	uint8_t *frame = b.frames[turn];
	struct inet_split s;

	memcpy(frame, b.headers[turn], HEADER);
	must(inet_split_begin(&s, frame, HEADER + PACKETS * SEGMENT, &offload) == 0);
	while (inet_split_next(&s, &len))
		n++;
	must(n == PACKETS);
}

static size_t merge_frame(uint32_t from, uint32_t packets)
{
	uint32_t turn = b.turn++ % FRAMES;
	uint8_t *frame = b.frames[turn];
	const struct inet_write *writes;
	struct iovec *slices;
	struct inet_ip ip;

	memcpy(frame, b.headers[turn], HEADER); /* what the round before rewrote */
	inet_merge_reset(b.merge);
	for (uint32_t i = 0; i < packets; i++) {
		uint8_t *p = frame + (from + i) * PACKET % FRAME_ROOM;

		must(inet_ip_parse(p, PACKET, &ip));
		inet_merge_add(b.merge, p, &ip, true);
	}
	return inet_merge_finish(b.merge, &writes, &slices);
}

static void op_merge(void)
{
	must(merge_frame(0, PACKETS) == 1);
}

static void op_merge_one(void)
{
	must(merge_frame(7, 1) == 1);
}

/* Each packet a flow of its own: what merging costs where it gains nothing. */
static void op_merge_strangers(void)
{
	must(merge_frame(0, PACKETS) == PACKETS);
}

static void show_sums(void)
{
	static const uint32_t lengths[] = { 20,	  40,	64,   128,  256,  576,
					    1280, 1400, 1448, 9000, 65535 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		b.len = lengths[i];
		printf("checksum of %5u octets from L1 %30.1f ns\n", b.len, measure(op_sum_l1));
	}
	show("checksums of 45 * 1448 octets from L2", op_sum_l2);
	show("the same on any processor", op_portable_l2);
}

static void fill(bool is_one_flow)
{
	for (uint32_t k = 0; k < FRAMES; k++) {
		for (uint32_t i = 0; i < PACKETS; i++) {
			uint8_t *p = b.frames[k] + i * PACKET;

			write_header(p, i, PACKET);
			if (!is_one_flow)
				put_be16(p + 20, (uint16_t)(1000 + i));
			seal(p);
		}
		memcpy(b.headers[k], b.frames[k], HEADER);
	}
}

int main(void)
{
	must(inet_merge_new(PACKETS, &b.merge) == 0);
	for (size_t i = 0; i < sizeof(b.frames); i++)
		((uint8_t *)b.frames)[i] = (uint8_t)(i * 2654435761U >> 24);
	show_sums();
	for (uint32_t k = 0; k < FRAMES; k++)
		write_header(b.headers[k], 0, HEADER + PACKETS * SEGMENT);
	show("split of 64 KiB into 45 segments, from L2", op_split);
	fill(true);
	show("merge of 45 packets of one flow, from L2", op_merge);
	show("merge of a single packet", op_merge_one);
	fill(false);
	show("merge of 45 packets of 45 flows, from L2", op_merge_strangers);
	inet_merge_free(b.merge);
	return 0;
}
