/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel as the other implementation. In a network namespace of its own:
 *
 *	packets -> inet_merge -> in0 (TUN) -> forwarding -> out0 (TUN) -> packets
 *
 * out0 without offloads: the kernel cuts the super-frame that was merged here. out0 with
 * offloads: inet_split cuts it. Both times the packets must be those sent, one hop older.
 */
#include <errno.h>
#include <stdlib.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "inet/merge.h"
#include "inet/split.h"
#include "net/tun.h"
#include "packets.h"

/* Since Linux 6.2; older headers do not have them. */
enum { USO4 = 0x20, USO6 = 0x40 };

enum { COUNT = 20, ROOM = 2048 };

static struct tun_queue in0, out0;
static uint8_t sent[COUNT][ROOM];
static uint32_t sent_len[COUNT];

static bool run(const char *const argv[])
{
	char *copy[16] = { NULL };
	char *const environment[] = { NULL };
	bool ok = false;
	pid_t pid;
	int status;

	for (size_t i = 0; argv[i]; i++)
		copy[i] = strdup(argv[i]);
	if (posix_spawn(&pid, copy[0], NULL, NULL, copy, environment) == 0)
		ok = waitpid(pid, &status, 0) == pid && status == 0;
	for (size_t i = 0; copy[i]; i++)
		free(copy[i]);
	return ok;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* NULL, or what this machine does not let us do. */
static const char *set_up(void)
{
	static const char *const commands[][12] = {
		{ "/sbin/ip", "address", "add", "10.0.1.1/24", "dev", "in0" },
		{ "/sbin/ip", "address", "add", "192.168.2.1/24", "dev", "out0" },
		{ "/sbin/ip", "-6", "address", "add", "fd42:4242:1::ff/127", "dev", "out0",
		  "nodad" },
		{ "/sbin/ip", "link", "set", "in0", "up", "mtu", "1500" },
		{ "/sbin/ip", "link", "set", "out0", "up", "mtu", "1500" },
	};

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return "no namespace of its own";
	if (tun_open("in0", false, &in0) < 0 || tun_open("out0", false, &out0) < 0)
		return "no TUN";
	if (!in0.has_tso || !out0.has_tso)
		return "no TUN with offloads";
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!run(commands[i]))
			return "no ip(8) that configures a TUN";
	write_file("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	write_file("/proc/sys/net/ipv4/conf/in0/rp_filter", "0");
	if (!write_file("/proc/sys/net/ipv4/ip_forward", "1") ||
	    !write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1"))
		return "no forwarding between interfaces";
	return NULL;
}

/* What a packet looks like one hop further on. */
static void age(uint8_t *p)
{
	if (p[0] >> 4 == 6) {
		p[7]--;
		return;
	}
	p[8]--;
	put_be16(p + 10, 0);
	put_be16(p + 10, (uint16_t)~slow_sum(p, 20));
}

/* Merge COUNT packets, which must become one run, and write it to in0. */
static void send_run(struct recipe r)
{
	static uint8_t copies[COUNT][ROOM];
	const struct inet_write *writes;
	struct iovec *slices, local[INET_MERGE_SLICES + 1];
	struct inet_merge *m;
	struct inet_ip ip;

	CHECK(inet_merge_new(COUNT, &m) == 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		if (i == COUNT - 1) {
			r.payload -= 37;
			r.flags |= 0x08;
		}
		sent_len[i] = build(&r, sent[i]);
		memcpy(copies[i], sent[i], sent_len[i]);
		CHECK(inet_ip_parse(copies[i], sent_len[i], &ip));
		inet_merge_add(m, copies[i], &ip, true);
		age(sent[i]);
		r.sequence += r.payload;
		r.id++;
	}
	CHECK(inet_merge_finish(m, &writes, &slices) == 1);
	memcpy(local + 1, slices + writes[0].first_slice, writes[0].n_slices * sizeof(*slices));
	CHECK(tun_write(&in0, local + 1, writes[0].n_slices, &writes[0].offload) == 0);
	inet_merge_free(m);
}

/* Ours, or chatter of the kernel's own? */
static bool is_ours(const uint8_t *p, ssize_t len)
{
	if (len >= 40 && p[0] >> 4 == 6)
		return p[6] == 6 || p[6] == 17;
	return len >= 20 && p[0] >> 4 == 4 && (p[9] == 6 || p[9] == 17);
}

/* The next packet of ours that out0 sends; 0: none within a second. */
static uint32_t receive(uint8_t *packet, struct inet_offload *offload)
{
	struct pollfd p = { .fd = out0.fd, .events = POLLIN };

	while (poll(&p, 1, 1000) == 1) {
		ssize_t len = tun_read(&out0, packet, PACKET_MAX, offload);

		if (len > 0 && is_ours(packet, len))
			return (uint32_t)len;
	}
	return 0;
}

static void the_kernel_cuts_what_was_merged(const struct recipe *r)
{
	static uint8_t p[PACKET_MAX];
	struct inet_offload offload;

	CHECK(ioctl(out0.fd, TUNSETOFFLOAD, 0) == 0);
	send_run(*r);
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t len = receive(p, &offload);

		CHECK(len == sent_len[i] && memcmp(p, sent[i], len) == 0);
		CHECK(offload.gso == INET_GSO_NONE && !offload.needs_csum);
	}
}

static void split_cuts_what_the_kernel_passes_on(const struct recipe *r)
{
	static uint8_t p[PACKET_MAX];
	struct inet_offload offload;
	struct inet_split s;
	uint32_t len, n = 0, all = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	uint8_t *segment;

	if (out0.has_uso)
		all |= USO4 | USO6;
	CHECK(ioctl(out0.fd, TUNSETOFFLOAD, all) == 0);
	send_run(*r);
	len = receive(p, &offload);
	CHECK(inet_split_begin(&s, p, len, &offload) == 0 && s.count == COUNT);
	for (; n < COUNT && (segment = inet_split_next(&s, &len)) != NULL; n++)
		CHECK(len == sent_len[n] && memcmp(segment, sent[n], len) == 0);
	CHECK(n == COUNT);
}

static void check_both_ways(const struct recipe *r)
{
	the_kernel_cuts_what_was_merged(r);
	split_cuts_what_the_kernel_passes_on(r);
}

static void tcp_over_ipv4_comes_through(void)
{
	check_both_ways(&(struct recipe){ .family = 4,
					  .protocol = 6,
					  .host = 5,
					  .tos = 2,
					  .ttl = 64,
					  .flags = 0x10,
					  .df = true,
					  .id = 0xfff8,
					  .source_port = 1000,
					  .window = 501,
					  .sequence = 0xffffff00,
					  .ack = 77,
					  .options = 12,
					  .payload = 1448 });
}

static void tcp_over_ipv6_comes_through(void)
{
	check_both_ways(&(struct recipe){ .family = 6,
					  .protocol = 6,
					  .host = 5,
					  .ttl = 64,
					  .flags = 0x50,
					  .source_port = 1000,
					  .window = 501,
					  .sequence = 0xffffff00,
					  .ack = 77,
					  .options = 12,
					  .payload = 1401 });
}

static void udp_over_ipv4_comes_through(void)
{
	check_both_ways(&(struct recipe){ .family = 4,
					  .protocol = 17,
					  .host = 5,
					  .ttl = 64,
					  .flags = 0,
					  .id = 9,
					  .source_port = 1000,
					  .payload = 1333 });
}

static void udp_over_ipv6_comes_through(void)
{
	check_both_ways(&(struct recipe){ .family = 6,
					  .protocol = 17,
					  .host = 5,
					  .tos = 1,
					  .ttl = 9,
					  .source_port = 1000,
					  .payload = 100 });
}

int main(void)
{
	const char *missing = set_up();

	if (missing) {
		printf("1..0 # SKIP %s\n", missing);
		return 0;
	}
	RUN(tcp_over_ipv4_comes_through);
	RUN(tcp_over_ipv6_comes_through);
	if (in0.has_uso) {
		RUN(udp_over_ipv4_comes_through);
		RUN(udp_over_ipv6_comes_through);
	} else {
		printf("# UDP left out: this kernel's TUN takes no UDP super-frames\n");
	}
	tun_close(&in0);
	tun_close(&out0);
	return DONE();
}
