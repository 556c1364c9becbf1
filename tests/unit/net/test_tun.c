/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces in a network of the test's own; on their other side is the kernel's IP. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/uio.h>

#include "../test.h"
#include "base/wire.h"
#include "namespace.h"
#include "net/tun.h"

#ifndef UDP_SEGMENT
#	define UDP_SEGMENT 103
#endif

enum { HEADERS = 28, PORT = 7000, SEGMENT = 100, ROOM = 65536 };

static const uint8_t ours[4] = { 10, 8, 0, 1 }, theirs[4] = { 10, 8, 0, 2 };

/* ---- helpers ---- */

static bool configure(const char *name)
{
	struct ifreq req = { 0 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char path[80];
	bool ok = true;

	/* Its own announcements are not what we want to read. */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	(void)sysctl_write(path, "1");
	memcpy(req.ifr_name, name, strlen(name));
	memcpy(&a.sin_addr, ours, 4);
	memcpy(&req.ifr_addr, &a, sizeof(a));
	ok &= ioctl(fd, SIOCSIFADDR, &req) == 0;
	a.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&req.ifr_netmask, &a, sizeof(a));
	ok &= ioctl(fd, SIOCSIFNETMASK, &req) == 0;
	req.ifr_flags = IFF_UP;
	ok &= ioctl(fd, SIOCSIFFLAGS, &req) == 0;
	close(fd);
	return ok;
}

static struct tun_queue up(const char *name)
{
	struct tun_queue q = { .fd = -1 };

	CHECK(tun_open(name, false, &q) == 0);
	CHECK(configure(name));
	return q;
}

static struct sockaddr_in place(const uint8_t ip[4])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	memcpy(&a.sin_addr, ip, 4);
	return a;
}

/* A socket of the system's at our end. */
static int plain(void)
{
	struct sockaddr_in a = place(ours);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	a = place(theirs);
	CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static bool is_readable(int fd, int patience_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, patience_ms) == 1;
}

static uint16_t folded(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* UDP from their end to ours; the sum of the pseudo-header is there for the kernel to finish. */
static void datagram(uint8_t *p, uint16_t payload)
{
	memset(p, 0, HEADERS);
	p[0] = 0x45;
	put_be16(p + 2, (uint16_t)(HEADERS + payload));
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, theirs, 4);
	memcpy(p + 16, ours, 4);
	put_be16(p + 10, (uint16_t)~folded(p, 20, 0));
	put_be16(p + 20, PORT);
	put_be16(p + 22, PORT);
	put_be16(p + 24, (uint16_t)(8 + payload));
	put_be16(p + 26, folded(p + 12, 8, IPPROTO_UDP + 8U + payload));
	for (int i = 0; i < payload; i++)
		p[HEADERS + i] = (uint8_t)(i / SEGMENT);
}

/* ---- opening ---- */

static void an_interface_lives_as_long_as_its_queues(void)
{
	struct tun_queue a = { .fd = -1 }, b = { .fd = -1 };

	CHECK(tun_open("many0", true, &a) == 0 && tun_open("many0", true, &b) == 0);
	CHECK(strcmp(a.name, "many0") == 0 && a.has_header && a.fd != b.fd);
	CHECK(a.has_tso >= a.has_uso);
	tun_close(&a);
	CHECK(a.fd == -1 && if_nametoindex("many0"));
	tun_close(&b);
	tun_close(&b); /* again is harmless */
	CHECK(!if_nametoindex("many0"));
}

static void names_that_cannot_be_had_are_refused_each_with_its_reason(void)
{
	struct tun_queue one = { .fd = -1 }, other = { .fd = 77 };

	CHECK(tun_open("", false, &other) == -ENAMETOOLONG);
	CHECK(tun_open("sixteen-letters1", false, &other) == -ENAMETOOLONG);
	CHECK(tun_open("lo", false, &other) == -EINVAL);
	CHECK(tun_open("a/b", false, &other) == -EINVAL);
	CHECK(tun_open("one0", false, &one) == 0);
	CHECK(tun_open("one0", false, &other) == -EBUSY);
	CHECK(tun_open("one0", true, &other) == -EINVAL); /* another shape */
	CHECK(other.fd == 77);				  /* untouched by what failed */
	tun_close(&one);
}

static int raw_tun(const char *name, short flags)
{
	struct ifreq req = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	memcpy(req.ifr_name, name, strlen(name));
	CHECK(ioctl(fd, TUNSETIFF, &req) == 0);
	return fd;
}

static void a_descriptor_of_somebody_else_is_taken_if_it_is_a_tun(void)
{
	struct tun_queue q = { .fd = 77 };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK(tun_adopt(fd, &q) < 0 && q.fd == 77);
	close(fd);
	fd = raw_tun("tap0", IFF_TAP | IFF_NO_PI);
	CHECK(tun_adopt(fd, &q) == -EINVAL && q.fd == 77);
	close(fd);
	fd = raw_tun("bare0", IFF_TUN | IFF_NO_PI);
	CHECK(tun_adopt(fd, &q) == 0 && q.fd == fd);
	CHECK(!q.has_header && !q.has_tso && !q.has_uso && strcmp(q.name, "bare0") == 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	tun_close(&q);
	fd = raw_tun("full0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	CHECK(tun_adopt(fd, &q) == 0 && q.has_header);
	tun_close(&q);
}

/* ---- reading ---- */

static void what_the_kernel_sends_is_read_and_then_nothing(void)
{
	static uint8_t packet[ROOM];
	struct inet_offload o = { 0 };
	struct tun_queue q = up("read0");
	int fd = plain();

	CHECK(tun_read(&q, packet, sizeof(packet), &o) == -EAGAIN);
	CHECK(send(fd, "hello", 5, 0) == 5 && is_readable(q.fd, 2000));
	CHECK(tun_read(&q, packet, sizeof(packet), &o) == HEADERS + 5);
	CHECK(o.gso == INET_GSO_NONE && memcmp(packet + HEADERS, "hello", 5) == 0);
	CHECK(memcmp(packet + 16, theirs, 4) == 0);
	/* A sum that is not finished says where it belongs. */
	CHECK(!o.needs_csum || (o.csum_start == 20 && o.csum_offset == 6));
	CHECK(tun_read(&q, packet, sizeof(packet), &o) == -EAGAIN);
	close(fd);
	tun_close(&q);
}

static void a_super_frame_comes_whole_with_the_length_of_its_segments(void)
{
	static uint8_t packet[ROOM];
	static const uint8_t payload[10 * SEGMENT + 7];
	struct inet_offload o = { 0 };
	struct tun_queue q = up("super0");
	int fd = plain(), segment = SEGMENT;

	if (!q.has_uso) {
		printf("# no UDP super-frames in this kernel: not looked at\n");
	} else {
		CHECK(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0);
		CHECK(send(fd, payload, sizeof(payload), 0) == (ssize_t)sizeof(payload));
		CHECK(is_readable(q.fd, 2000));
		CHECK(tun_read(&q, packet, sizeof(packet), &o) ==
		      (ssize_t)(HEADERS + sizeof(payload)));
		CHECK(o.gso == INET_GSO_UDP && o.gso_size == SEGMENT && o.needs_csum);
	}
	close(fd);
	tun_close(&q);
}

/* ---- writing ---- */

static void a_packet_in_slices_arrives_at_a_socket(void)
{
	uint8_t p[HEADERS + 50], got[200];
	struct tun_queue q = up("write0");
	int fd = plain();
	struct iovec slices[3] = { { NULL, 0 }, { p, 20 }, { p + 20, sizeof(p) - 20 } };
	const struct inet_offload o = { .needs_csum = true,
					.csum_start = 20,
					.csum_offset = 6 };

	datagram(p, 50);
	CHECK(tun_write(&q, slices + 1, 2, &o) == 0);
	CHECK(is_readable(fd, 2000) && recv(fd, got, sizeof(got), 0) == 50);
	CHECK(memcmp(got, p + HEADERS, 50) == 0);
	close(fd);
	tun_close(&q);
}

static void a_super_frame_arrives_as_its_segments(void)
{
	uint8_t p[HEADERS + 3 * SEGMENT], got[1000];
	struct tun_queue q = up("write1");
	int fd = plain();
	struct iovec slices[2] = { { NULL, 0 }, { p, sizeof(p) } };
	const struct inet_offload o = { .gso = INET_GSO_UDP,
					.gso_size = SEGMENT,
					.needs_csum = true,
					.csum_start = 20,
					.csum_offset = 6 };

	datagram(p, 3 * SEGMENT);
	if (!q.has_uso) {
		printf("# no UDP super-frames in this kernel: not looked at\n");
	} else {
		CHECK(tun_write(&q, slices + 1, 1, &o) == 0);
		for (uint8_t i = 0; i < 3; i++) {
			CHECK(is_readable(fd, 2000));
			CHECK(recv(fd, got, sizeof(got), 0) == SEGMENT && got[0] == i);
		}
		CHECK(!is_readable(fd, 50));
	}
	close(fd);
	tun_close(&q);
}

static void without_a_header_packets_go_as_they_are(void)
{
	uint8_t p[HEADERS + 9], got[ROOM];
	struct tun_queue q = { .fd = -1 };
	struct iovec slices[2] = { { NULL, 0 }, { p, sizeof(p) } };
	struct inet_offload o = { 0 };
	int fd = -1;

	CHECK(tun_adopt(raw_tun("bare1", IFF_TUN | IFF_NO_PI), &q) == 0 && configure("bare1"));
	fd = plain();
	datagram(p, 9);
	put_be16(p + 26, 0); /* none */
	CHECK(tun_write(&q, slices + 1, 1, &o) == 0);
	CHECK(is_readable(fd, 2000) && recv(fd, got, sizeof(got), 0) == 9);
	CHECK(send(fd, "hello", 5, 0) == 5 && is_readable(q.fd, 2000));
	CHECK(tun_read(&q, got, sizeof(got), &o) == HEADERS + 5 && o.gso == INET_GSO_NONE);
	close(fd);
	tun_close(&q);
}

static void what_is_no_packet_is_refused_by_the_kernel_and_told(void)
{
	uint8_t nonsense[40] = { 0 };
	struct iovec slices[2] = { { NULL, 0 }, { nonsense, sizeof(nonsense) } };
	const struct inet_offload o = { 0 };
	struct tun_queue q = up("bad0");

	CHECK(tun_write(&q, slices + 1, 1, &o) == -EINVAL);
	tun_close(&q);
}

int main(void)
{
	struct tun_queue q = { .fd = -1 };

	SKIP_WITHOUT_NAMESPACE();
	if (tun_open("first0", false, &q) < 0) {
		printf("1..0 # SKIP no /dev/net/tun\n");
		return 0;
	}
	tun_close(&q);
	RUN(an_interface_lives_as_long_as_its_queues);
	RUN(names_that_cannot_be_had_are_refused_each_with_its_reason);
	RUN(a_descriptor_of_somebody_else_is_taken_if_it_is_a_tun);
	RUN(what_the_kernel_sends_is_read_and_then_nothing);
	RUN(a_super_frame_comes_whole_with_the_length_of_its_segments);
	RUN(a_packet_in_slices_arrives_at_a_socket);
	RUN(a_super_frame_arrives_as_its_segments);
	RUN(without_a_header_packets_go_as_they_are);
	RUN(what_is_no_packet_is_refused_by_the_kernel_and_told);
	return DONE();
}
