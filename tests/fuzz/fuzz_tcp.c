/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one octet of settings, then messages: a length in two octets and as many octets of TCP segment; a
 * length from 0xff00 on is an order to the owner instead (write, read, end, abort, wait).
 * Sequence and acknowledgement numbers count from the connection's own, so that inputs stay
 * meaningful.
 * Holds: what goes out parses and has sane lengths; what was acknowledged can be read; memory is
 * given back. The board and the state machine assert the rest.
 */
#include <string.h>

#include "base/wire.h"
#include "fuzz.h"
#include "inet/checksum.h"
#include "inet/split.h"
#include "inet/tcp.h"

enum { OUR_ISS = 0x7ffffff0, ORDERS_FROM = 0xff00, OUTPUTS_MAX = 64 };

#define SECOND UINT64_C(1000000000)

static struct tcp_budget budget;
static struct tcp_settings settings;
static uint64_t now_ns;

static const struct inet_pair pair = {
	.local = { ADDR_V4, { 10, 0, 0, 1 } },
	.remote = { ADDR_V4, { 10, 0, 0, 2 } },
};

static void drain(struct tcp *t)
{
	static uint8_t packet[TCP_OUTPUT_MAX];
	struct inet_offload offload;
	struct inet_split split;
	struct tcp_segment s;
	uint32_t len = 0;

	for (int i = 0; i < OUTPUTS_MAX; i++) {
		len = tcp_output(t, now_ns, packet, &offload);
		if (len == 0)
			return;
		HOLDS(len >= 40 && len == get_be16(packet + 2));
		HOLDS(tcp_segment_parse(packet + 20, len - 20, &s));
		if (offload.gso == INET_GSO_NONE) {
			HOLDS(len <= settings.mtu);
			HOLDS(inet_checksum_finish(packet, len, &offload) == 0);
		} else {
			HOLDS(inet_split_begin(&split, packet, len, &offload) == 0);
			HOLDS(split.header_len + split.gso_size <= settings.mtu);
		}
	}
}

static void read_all(struct tcp *t, uint32_t most)
{
	struct iovec slices[2];
	int n = tcp_receive_slices(t, slices);
	uint32_t len = 0;
	volatile uint8_t sum = 0;

	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < slices[i].iov_len && len < most; k++, len++)
			sum = (uint8_t)(sum + ((const uint8_t *)slices[i].iov_base)[k]);
	tcp_receive_taken(t, len, now_ns);
	HOLDS(t->rcv.read <= t->rcv.nxt);
}

static void write_some(struct tcp *t, uint32_t len)
{
	struct iovec slices[2];
	int n = tcp_send_space(t, len, slices);
	size_t got = 0;

	for (int i = 0; i < n; i++) {
		memset(slices[i].iov_base, 'w', slices[i].iov_len);
		got += slices[i].iov_len;
	}
	HOLDS(got <= len);
	tcp_send_written(t, (uint32_t)got, len & 1);
}

static void obey(struct tcp *t, uint8_t order)
{
	uint32_t size = 1U << (order >> 3 & 15);

	switch (order & 7) {
	case 0:
		read_all(t, size);
		break;
	case 1:
		write_some(t, size);
		break;
	case 2:
		tcp_send_end(t);
		break;
	case 3:
		if (order == 0xfb)
			tcp_abort(t);
		break;
	case 4:
		tcp_shrink_mtu(t, size, (uint32_t)t->snd.una);
		break;
	case 5:
		tcp_trim(t);
		break;
	default:
		now_ns += (uint64_t)size * (SECOND / 1000);
		for (int i = 0; i < OUTPUTS_MAX && tcp_deadline_ns(t) <= now_ns; i++) {
			tcp_expire(t, now_ns);
			drain(t);
		}
		break;
	}
}

static void arrive(struct tcp *t, bool *is_open, const uint8_t *data, uint32_t len)
{
	struct tcp_segment s;
	struct iovec slices[2];
	uint32_t payload = 0;

	if (!tcp_segment_parse(data, len, &s))
		return;
	payload = len - s.header_len;
	slices[0] = (struct iovec){ (void *)(uintptr_t)(data + s.header_len), payload / 2 };
	slices[1] = (struct iovec){ (void *)(uintptr_t)(data + s.header_len + payload / 2),
				    payload - payload / 2 };
	if (*is_open) {
		s.sequence += (uint32_t)t->rcv.nxt;
		s.acknowledgement += (uint32_t)t->snd.una;
		for (int i = 0; i < s.n_sacks; i++) {
			s.sacks[i].start += (uint32_t)t->snd.una;
			s.sacks[i].end += (uint32_t)t->snd.una;
		}
		if (s.has_timestamps)
			s.ts_value += t->ts_recent;
		tcp_input(t, now_ns, &s, slices, 2, data[0] & 1);
	} else {
		s.flags = TCP_FLAG_SYN | (s.flags & (TCP_FLAG_ECE | TCP_FLAG_CWR));
		tcp_accept(t, &settings, &pair, &s, OUR_ISS, 7, now_ns);
		*is_open = true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_open = false;
	struct tcp t;

	if (size < 3)
		return 0;
	now_ns = 1000 * SECOND;
	budget = (struct tcp_budget){ .limit = data[0] & 1 ? 20000 : 1 << 20 };
	settings = (struct tcp_settings){ .mtu = data[0] & 2 ? 576 : 1420,
					  .receive_max = data[0] & 4 ? 3000 : 1 << 18,
					  .send_max = 1 << 18,
					  .keepalive_ns = 7200 * SECOND,
					  .give_up_ns = 900 * SECOND,
					  .ecn = data[0] & 8,
					  .budget = &budget };
	if (data[0] & 16) {
		tcp_connect(&t, &settings, &pair, OUR_ISS, 7, now_ns);
		is_open = true;
	}
	data++;
	size--;
	while (size >= 2) {
		uint32_t len = get_be16(data);

		data += 2;
		size -= 2;
		if (len >= ORDERS_FROM) {
			if (is_open)
				obey(&t, (uint8_t)len);
		} else {
			if (len > size)
				len = (uint32_t)size;
			arrive(&t, &is_open, data, len);
			data += len;
			size -= len;
		}
		if (is_open)
			drain(&t);
	}
	if (is_open)
		tcp_done(&t);
	HOLDS(budget.used == 0);
	return 0;
}
