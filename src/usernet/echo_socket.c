/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/echo_socket.h"

#include <errno.h>

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wire.h"
#include "inet/checksum.h"
#include "sys/random.h"
#include "usernet/internal.h"

enum { REPLY_V4 = 0, REPLY_V6 = 129, EVERYTHING = 0xffff };

/* A raw socket's IPv4 packets begin with their IP header, those of IPv6 behind it. */
static int attach_filter(int fd, uint8_t family, uint16_t identifier)
{
	bool is_v4 = family == ADDR_V4;
	struct sock_filter code[] = {
		is_v4 ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
		      : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, is_v4 ? REPLY_V4 : REPLY_V6, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, identifier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, EVERYTHING),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

static int open_raw(struct echo_socket *s, uint32_t n_raw)
{
	int fd, err;

	if (n_raw >= ECHO_RAW_MAX)
		return -EMFILE;
	random_fill(&s->identifier, sizeof(s->identifier)); /* RFC 5508, requirement 1 */
	fd = host_socket(s->family, SOCK_RAW,
			 s->family == ADDR_V4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
	if (fd < 0)
		return fd == -EPERM ? -EACCES : fd;
	err = attach_filter(fd, s->family, s->identifier);
	if (err < 0) {
		close(fd);
		return err;
	}
	s->fd = fd;
	s->is_raw = true;
	return 0;
}

int echo_socket_open(struct echo_socket *s, uint8_t family, uint32_t n_raw)
{
	int fd = host_socket(family, SOCK_DGRAM,
			     family == ADDR_V4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);

	*s = (struct echo_socket){ .fd = fd, .family = family };
	if (fd == -EACCES)
		return open_raw(s, n_raw);
	return fd < 0 ? fd : 0;
}

/* The kernel writes the checksum of ICMPv6 anew, but not that of ICMP. */
static void exchange(uint8_t *message, uint16_t identifier)
{
	inet_checksum_update(message + 2, get_be16(message + 4), identifier);
	put_be16(message + 4, identifier);
}

void echo_socket_prepare(const struct echo_socket *s, uint8_t *message)
{
	if (s->is_raw)
		exchange(message, s->identifier);
}

void echo_socket_restore(const struct echo_socket *s, uint8_t *message, uint16_t identifier)
{
	if (s->is_raw)
		exchange(message, identifier);
}

bool echo_socket_is_own(const struct echo_socket *s, const uint8_t *message, uint32_t len)
{
	return len >= INET_ECHO_HEADER &&
	       (!s->is_raw || get_be16(message + 4) == s->identifier);
}

uint32_t echo_socket_skip(const struct echo_socket *s, const uint8_t *packet, uint32_t len)
{
	uint32_t header_len = len ? (uint32_t)(packet[0] & 15) * 4 : 0;

	if (!s->is_raw || s->family != ADDR_V4)
		return 0;
	return header_len < len ? header_len : len;
}
