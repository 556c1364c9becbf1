/* SPDX-License-Identifier: Apache-2.0 */
#include "tcp_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "inet/packet.h"
#include "inet/split.h"

static uint8_t octet_at(uint64_t position, unsigned int side)
{
	uint64_t x = (position + side * 77777) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)(x >> 56);
}

static bool happens(struct tcp_world *w, uint32_t chance)
{
	return chance && generator_between(&w->random, 0, 9999) < chance;
}

/* --- Packets on their way: a binary heap --- */

static bool is_before(const struct tcp_flight *a, const struct tcp_flight *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void swap(struct tcp_flight *a, struct tcp_flight *b)
{
	struct tcp_flight t = *a;

	*a = *b;
	*b = t;
}

static void push(struct tcp_world *w, struct tcp_flight f)
{
	uint32_t i = w->n_flights;

	if (w->n_flights == TCP_WORLD_PACKETS) {
		w->lost++;
		free(f.data);
		return;
	}
	w->flights[w->n_flights++] = f;
	for (; i && is_before(&w->flights[i], &w->flights[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&w->flights[i], &w->flights[(i - 1) / 2]);
}

static struct tcp_flight pop(struct tcp_world *w)
{
	struct tcp_flight first = w->flights[0];
	uint32_t i = 0;

	w->flights[0] = w->flights[--w->n_flights];
	for (;;) {
		uint32_t least = i, left = 2 * i + 1;

		for (uint32_t c = left; c < left + 2 && c < w->n_flights; c++)
			if (is_before(&w->flights[c], &w->flights[least]))
				least = c;
		if (least == i)
			return first;
		swap(&w->flights[i], &w->flights[least]);
		i = least;
	}
}

static void launch(struct tcp_world *w, unsigned int from, const uint8_t *packet, uint32_t len,
		   uint64_t leaves_ns)
{
	struct tcp_flight f = { .at_ns = leaves_ns + w->path.delay_ns,
				.number = w->sent,
				.len = len,
				.to = (uint8_t)(1 - from) };

	if (w->path.jitter_ns)
		f.at_ns += generator_u32(&w->random) * w->path.jitter_ns / UINT32_MAX;
	f.data = malloc(len);
	memcpy(f.data, packet, len);
	if (happens(w, w->path.mark) && (packet[1] & 3) == 2) {
		inet_checksum_update(f.data + 10, get_be16(f.data), get_be16(f.data) | 3);
		f.data[1] |= 3;
	}
	push(w, f);
}

/* One packet onto the wire. */
static void transmit(struct tcp_world *w, unsigned int from, uint8_t *packet, uint32_t len)
{
	struct tcp_side *s = &w->side[from];
	uint64_t leaves = w->now_ns;

	w->sent++;
	if (w->path.bits_per_s) {
		uint64_t wait = s->free_at_ns > w->now_ns ? s->free_at_ns - w->now_ns : 0;

		if (wait / 8 * w->path.bits_per_s / WORLD_S > w->path.queue_octets) {
			w->lost++;
			return;
		}
		leaves += wait + len * 8 * WORLD_S / w->path.bits_per_s;
		s->free_at_ns = leaves;
	}
	if (happens(w, w->path.loss) || (w->filter && !w->filter(w, 1 - from, packet, len))) {
		w->lost++;
		return;
	}
	launch(w, from, packet, len, leaves);
	if (happens(w, w->path.duplicate))
		launch(w, from, packet, len, leaves);
}

static void send_packet(struct tcp_world *w, unsigned int from, uint8_t *packet, uint32_t len,
			const struct inet_offload *offload)
{
	struct inet_split split;
	uint32_t segment_len = 0;
	uint8_t *segment = NULL;

	if (offload->gso == INET_GSO_NONE) {
		if (inet_checksum_finish(packet, len, offload) < 0)
			abort();
		transmit(w, from, packet, len);
		return;
	}
	if (inet_split_begin(&split, packet, len, offload) < 0)
		abort();
	while ((segment = inet_split_next(&split, &segment_len)) != NULL)
		transmit(w, from, segment, segment_len);
}

/* --- The owner of an end --- */

static void write_some(struct tcp_world *w, unsigned int i)
{
	struct tcp_side *s = &w->side[i];
	uint32_t want = tcp_send_wanted(&s->tcp);
	struct iovec slices[2];
	int n = 0;

	while (want && s->written < s->to_send) {
		uint32_t len = generator_between(&w->random, 1, s->chunk_max);

		if (len > want)
			len = want;
		if (len > s->to_send - s->written)
			len = (uint32_t)(s->to_send - s->written);
		n = tcp_send_space(&s->tcp, len, slices);
		if (n == 0)
			break;
		len = (uint32_t)(slices[0].iov_len + (n > 1 ? slices[1].iov_len : 0));
		for (int k = 0; k < n; k++)
			for (size_t at = 0; at < slices[k].iov_len; at++)
				((uint8_t *)slices[k].iov_base)[at] = octet_at(s->written++, i);
		tcp_send_written(&s->tcp, len, happens(w, 3000));
		want -= len;
	}
	if (s->written == s->to_send && s->tcp.state != TCP_STATE_SYN_SENT)
		tcp_send_end(&s->tcp);
}

static void read_some(struct tcp_world *w, unsigned int i)
{
	struct tcp_side *s = &w->side[i];
	struct iovec slices[2];
	int n = tcp_receive_slices(&s->tcp, slices);
	uint32_t room = generator_between(&w->random, 1, s->chunk_max), taken = 0;

	if (w->now_ns < s->stalled_until_ns)
		return;
	if (n && happens(w, s->stall)) {
		s->stalled_until_ns =
			w->now_ns + generator_between(&w->random, 1, 3000) * WORLD_MS;
		return;
	}
	for (int k = 0; k < n; k++)
		for (size_t at = 0; at < slices[k].iov_len && taken < room; at++, taken++)
			if (((uint8_t *)slices[k].iov_base)[at] !=
			    octet_at(s->received++, 1 - i))
				s->is_broken = true;
	tcp_receive_taken(&s->tcp, taken, w->now_ns);
	if (tcp_receive_ended(&s->tcp))
		s->was_ended = true;
}

static void flush(struct tcp_world *w, unsigned int i)
{
	static uint8_t packet[TCP_OUTPUT_MAX];
	struct tcp_side *s = &w->side[i];
	struct inet_offload offload;
	uint32_t len = 0;

	read_some(w, i);
	write_some(w, i);
	while ((len = tcp_output(&s->tcp, w->now_ns, packet, &offload)) != 0)
		send_packet(w, i, packet, len, &offload);
}

/* --- Arrival --- */

static bool is_intact(const uint8_t *packet, uint32_t len, uint32_t offset)
{
	return inet_sum_is_valid(inet_sum_pseudo(packet, INET_TCP) +
				 inet_sum_number((uint16_t)(len - offset)) +
				 inet_sum(packet + offset, len - offset));
}

static void arrive(struct tcp_world *w, const struct tcp_flight *f)
{
	struct tcp_side *s = &w->side[f->to];
	struct tcp_segment segment;
	struct inet_upper upper;
	struct inet_ip ip;
	struct iovec payload;

	if (!inet_ip_parse(f->data, f->len, &ip) || ip.len != f->len ||
	    !inet_upper_find(f->data, ip.len, &upper) ||
	    !tcp_segment_parse(f->data + upper.offset, ip.len - upper.offset, &segment) ||
	    !is_intact(f->data, f->len, upper.offset)) {
		s->is_broken = true;
		return;
	}
	payload.iov_base = f->data + upper.offset + segment.header_len;
	payload.iov_len = ip.len - upper.offset - segment.header_len;
	if (s->tcp.settings == NULL) { /* listening */
		if ((segment.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) !=
		    TCP_FLAG_SYN)
			return;
		struct inet_pair pair = { .local = ip.destination,
					  .remote = ip.source,
					  .local_port = segment.destination_port,
					  .remote_port = segment.source_port };

		tcp_accept(&s->tcp, &s->settings, &pair, &segment, generator_u32(&w->random),
			   generator_u32(&w->random), w->now_ns);
	} else {
		tcp_input(&s->tcp, w->now_ns, &segment, &payload, 1, (ip.tos & 3) == 3);
	}
}

/* --- The world --- */

void tcp_world_init(struct tcp_world *w, uint64_t seed)
{
	uint8_t key[GENERATOR_SEED_LEN] = { 0 };

	memset(w, 0, sizeof(*w));
	put_be64(key, seed);
	generator_init(&w->random, key);
	w->now_ns = 1000 * WORLD_S;
	w->flights = calloc(TCP_WORLD_PACKETS, sizeof(*w->flights));
	for (int i = 0; i < 2; i++) {
		w->side[i].budget.limit = 64 << 20;
		w->side[i].chunk_max = 20000;
		w->side[i].settings = (struct tcp_settings){
			.mtu = 1420,
			.receive_max = 4 << 20,
			.send_max = 4 << 20,
			.keepalive_ns = 7200 * WORLD_S,
			.give_up_ns = 900 * WORLD_S,
			.budget = &w->side[i].budget,
		};
	}
}

void tcp_world_open(struct tcp_world *w, bool at_once)
{
	for (uint8_t i = 0; i < (at_once ? 2 : 1); i++) {
		struct inet_pair pair = {
			.local = ip_addr_v4((const uint8_t[]){ 10, 0, 0, i }),
			.remote = ip_addr_v4((const uint8_t[]){ 10, 0, 0, (uint8_t)(1 - i) }),
			.local_port = 1000 + i,
			.remote_port = 1001 - i,
		};

		tcp_connect(&w->side[i].tcp, &w->side[i].settings, &pair,
			    generator_u32(&w->random), generator_u32(&w->random), w->now_ns);
		flush(w, i);
	}
}

void tcp_world_done(struct tcp_world *w)
{
	for (int i = 0; i < 2; i++)
		if (w->side[i].tcp.settings)
			tcp_done(&w->side[i].tcp);
	for (uint32_t i = 0; i < w->n_flights; i++)
		free(w->flights[i].data);
	free(w->flights);
	generator_done(&w->random);
}

static uint64_t side_deadline(const struct tcp_world *w, unsigned int i)
{
	const struct tcp_side *s = &w->side[i];
	struct iovec slices[2];
	uint64_t at = UINT64_MAX;

	if (s->tcp.settings == NULL)
		return at;
	at = tcp_deadline_ns(&s->tcp);
	/* What is not read yet will be, a little later. */
	if (tcp_receive_slices(&s->tcp, slices)) {
		uint64_t read_at = s->stalled_until_ns > w->now_ns ? s->stalled_until_ns
								   : w->now_ns + WORLD_MS / 4;

		if (read_at < at)
			at = read_at;
	}
	return at;
}

bool tcp_world_step(struct tcp_world *w, uint64_t until_ns)
{
	uint64_t at = w->n_flights ? w->flights[0].at_ns : UINT64_MAX;
	int who = -1;

	for (unsigned int i = 0; i < 2; i++)
		if (side_deadline(w, i) < at) {
			at = side_deadline(w, i);
			who = (int)i;
		}
	if (at > until_ns)
		return false;
	if (at > w->now_ns)
		w->now_ns = at;
	if (who < 0) {
		struct tcp_flight f = pop(w);

		arrive(w, &f);
		free(f.data);
		who = f.to;
	} else {
		tcp_expire(&w->side[who].tcp, w->now_ns);
	}
	if (w->side[who].tcp.settings)
		flush(w, (unsigned int)who);
	return true;
}

bool tcp_world_is_done(const struct tcp_world *w)
{
	for (int i = 0; i < 2; i++) {
		const struct tcp_side *s = &w->side[i];

		if (!s->was_ended || s->received != w->side[1 - i].to_send ||
		    (s->tcp.state != TCP_STATE_CLOSED && s->tcp.state != TCP_STATE_TIME_WAIT))
			return false;
	}
	return true;
}
