/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our TCP behind a TUN, for the kernel's to talk to: whatever comes to any port is sent back. Between the
 * two lies a network made of chances: packets of either direction are delayed, overtake each other, are lost and
 * doubled, one by one, as a seed says.
 *
 *   tcp_echo INTERFACE SEED DELAY_MS JITTER_MS LOSS DUPLICATE      (chances of 10 000)
 *
 * Ends when its standard input does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/wire.h"
#include "crypto/generator.h"
#include "inet/checksum.h"
#include "inet/split.h"
#include "inet/tcp.h"
#include "net/tun.h"
#include "sys/clock.h"

enum { CONNECTIONS = 64, FLIGHTS = 8192, PACKET_MAX = 65535, MILLI = 1000000 };

struct flight {
	uint64_t at_ns;
	uint8_t *data;
	uint32_t len;
	bool is_inbound;
};

struct connection {
	struct tcp tcp;
	bool is_used;
};

static struct {
	struct tun_queue tun;
	struct generator random;
	uint64_t delay_ns, jitter_ns, now_ns;
	uint32_t loss, duplicate;
	struct flight flights[FLIGHTS];
	uint32_t n_flights;
	struct connection connections[CONNECTIONS];
	struct tcp_budget budget;
	struct tcp_settings settings;
} all;

static bool happens(uint32_t chance)
{
	return chance && generator_between(&all.random, 0, 9999) < chance;
}

static void launch_once(const uint8_t *packet, uint32_t len, bool is_inbound)
{
	struct flight *f = &all.flights[all.n_flights];

	if (all.n_flights == FLIGHTS)
		return;
	f->at_ns = all.now_ns + all.delay_ns;
	if (all.jitter_ns)
		f->at_ns += generator_u32(&all.random) * all.jitter_ns / UINT32_MAX;
	f->data = malloc(len);
	memcpy(f->data, packet, len);
	f->len = len;
	f->is_inbound = is_inbound;
	all.n_flights++;
}

static void launch(const uint8_t *packet, uint32_t len, bool is_inbound)
{
	if (happens(all.loss))
		return;
	launch_once(packet, len, is_inbound);
	if (happens(all.duplicate))
		launch_once(packet, len, is_inbound);
}

/* One by one, as a wire would carry them. */
static void launch_parts(uint8_t *packet, uint32_t len, const struct inet_offload *offload,
			 bool is_inbound)
{
	struct inet_split split;
	uint8_t *part = NULL;
	uint32_t part_len = 0;

	if (offload->gso == INET_GSO_NONE) {
		if (offload->needs_csum)
			inet_checksum_finish(packet, len, offload);
		launch(packet, len, is_inbound);
		return;
	}
	if (inet_split_begin(&split, packet, len, offload) < 0)
		return;
	while ((part = inet_split_next(&split, &part_len)) != NULL)
		launch(part, part_len, is_inbound);
}

static void drain(struct connection *c)
{
	static uint8_t packet[PACKET_MAX + 1];
	struct inet_offload offload;
	uint32_t len = 0;

	while ((len = tcp_output(&c->tcp, all.now_ns, packet, &offload)) != 0)
		launch_parts(packet, len, &offload, false);
}

/* What has arrived goes back, as far as there is room. */
static void echo(struct connection *c)
{
	struct iovec from[2], to[2];

	while (tcp_receive_slices(&c->tcp, from) > 0) {
		uint32_t len = tcp_send_wanted(&c->tcp);

		if (len > from[0].iov_len)
			len = (uint32_t)from[0].iov_len;
		if (len == 0 || tcp_send_space(&c->tcp, len, to) == 0)
			return;
		if (len > to[0].iov_len)
			len = (uint32_t)to[0].iov_len;
		memcpy(to[0].iov_base, from[0].iov_base, len);
		tcp_send_written(&c->tcp, len, false);
		tcp_receive_taken(&c->tcp, len, all.now_ns);
	}
	if (tcp_receive_ended(&c->tcp))
		tcp_send_end(&c->tcp);
}

static void work(struct connection *c)
{
	if (tcp_deadline_ns(&c->tcp) <= all.now_ns)
		tcp_expire(&c->tcp, all.now_ns);
	echo(c);
	drain(c);
	if (c->tcp.state == TCP_STATE_CLOSED) {
		tcp_done(&c->tcp);
		c->is_used = false;
	}
}

static struct connection *find(const struct inet_pair *pair, const struct tcp_segment *s)
{
	struct connection *free_one = NULL;

	for (int i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &all.connections[i];

		if (c->is_used && c->tcp.pair.remote_port == pair->remote_port)
			return c;
		if (!c->is_used)
			free_one = c;
	}
	if (!free_one ||
	    (s->flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) != TCP_FLAG_SYN)
		return NULL;
	tcp_accept(&free_one->tcp, &all.settings, pair, s, generator_u32(&all.random),
		   generator_u32(&all.random), all.now_ns);
	free_one->is_used = true;
	drain(free_one);
	return NULL;
}

static void arrive(const struct flight *f)
{
	struct inet_upper upper;
	struct tcp_segment s;
	struct inet_pair pair;
	struct iovec payload;
	struct inet_ip ip;
	struct connection *c = NULL;

	if (!inet_ip_parse(f->data, f->len, &ip) || !inet_upper_find(f->data, ip.len, &upper) ||
	    upper.protocol != INET_TCP ||
	    !tcp_segment_parse(f->data + upper.offset, ip.len - upper.offset, &s))
		return;
	pair = (struct inet_pair){ .local = ip.destination,
				   .remote = ip.source,
				   .local_port = s.destination_port,
				   .remote_port = s.source_port };
	c = find(&pair, &s);
	if (!c)
		return;
	payload = (struct iovec){ f->data + upper.offset + s.header_len,
				  ip.len - upper.offset - s.header_len };
	tcp_input(&c->tcp, all.now_ns, &s, &payload, 1, (ip.tos & 3) == 3);
	work(c);
}

static void land(struct flight f)
{
	const struct inet_offload none = { 0 };
	struct iovec slices[2] = { { NULL, 0 }, { f.data, f.len } };

	if (f.is_inbound)
		arrive(&f);
	else
		tun_write(&all.tun, slices + 1, 1, &none);
	free(f.data);
}

/* Return: when something is due next. */
static uint64_t land_what_is_due(void)
{
	uint64_t next = UINT64_MAX;

	for (;;) {
		uint32_t first = 0;

		for (uint32_t i = 1; i < all.n_flights; i++)
			if (all.flights[i].at_ns < all.flights[first].at_ns)
				first = i;
		if (all.n_flights == 0)
			break;
		next = all.flights[first].at_ns;
		if (next > all.now_ns)
			break;
		struct flight f = all.flights[first];

		memmove(&all.flights[first], &all.flights[first + 1],
			(all.n_flights - first - 1) * sizeof(f));
		all.n_flights--;
		next = UINT64_MAX;
		land(f);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		if (all.connections[i].is_used &&
		    tcp_deadline_ns(&all.connections[i].tcp) < next)
			next = tcp_deadline_ns(&all.connections[i].tcp);
	return next;
}

static void read_tun(void)
{
	static uint8_t packet[PACKET_MAX + 1];
	struct inet_offload offload;
	ssize_t len = 0;

	while ((len = tun_read(&all.tun, packet, PACKET_MAX, &offload)) > 0 ||
	       len == ERR_FORMAT)
		if (len > 0)
			launch_parts(packet, (uint32_t)len, &offload, true);
}

static void loop(void)
{
	struct pollfd fds[2] = { { .fd = all.tun.fd, .events = POLLIN },
				 { .fd = STDIN_FILENO, .events = POLLIN } };

	while (!fds[1].revents) {
		uint64_t next = land_what_is_due(), wait = 0;

		if (next > all.now_ns)
			wait = next - all.now_ns;
		if (wait > UINT64_C(1000000000))
			wait = UINT64_C(1000000000);
		struct timespec timeout = { .tv_sec = (time_t)(wait / 1000000000),
					    .tv_nsec = (long)(wait % 1000000000) };

		ppoll(fds, 2, &timeout, NULL);
		all.now_ns = clock_boot_ns();
		read_tun();
		for (int i = 0; i < CONNECTIONS; i++)
			if (all.connections[i].is_used)
				work(&all.connections[i]);
	}
}

int main(int argc, char **argv)
{
	uint8_t key[GENERATOR_SEED_LEN] = { 0 };
	int err = 0;

	if (argc != 7)
		return 2;
	put_be64(key, strtoull(argv[2], NULL, 10));
	generator_init(&all.random, key);
	all.delay_ns = strtoull(argv[3], NULL, 10) * MILLI;
	all.jitter_ns = strtoull(argv[4], NULL, 10) * MILLI;
	all.loss = (uint32_t)strtoul(argv[5], NULL, 10);
	all.duplicate = (uint32_t)strtoul(argv[6], NULL, 10);
	all.budget.limit = 64 << 20;
	all.settings = (struct tcp_settings){ .mtu = 1420,
					      .receive_max = 4 << 20,
					      .send_max = 4 << 20,
					      .give_up_ns = UINT64_C(900000000000),
					      .ecn = true,
					      .budget = &all.budget };
	err = tun_open(argv[1], false, &all.tun);
	if (err < 0) {
		fprintf(stderr, "tcp_echo: %s: %s\n", argv[1], err_text(err));
		return 1;
	}
	all.now_ns = clock_boot_ns();
	loop();
	for (int i = 0; i < CONNECTIONS; i++)
		if (all.connections[i].is_used)
			tcp_done(&all.connections[i].tcp);
	for (uint32_t i = 0; i < all.n_flights; i++)
		free(all.flights[i].data);
	return 0;
}
