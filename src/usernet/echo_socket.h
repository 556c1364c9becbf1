/* SPDX-License-Identifier: Apache-2.0 */
/**
 * echo_socket.h - A socket that sends echo requests and hears the answers to them
 *
 * A ping socket where net.ipv4.ping_group_range lets us have one. Otherwise a raw one, where we have CAP_NET_RAW: that
 * would hear every ICMP message of the host, so a filter leaves it the answers to its own identifier; what looking
 * through them costs all the same bounds how many there may be.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ECHO_RAW_MAX = 64 };

/** struct echo_socket - @identifier: of a raw one; the kernel has that of a ping socket */
struct echo_socket {
	int fd;
	uint8_t family;
	bool is_raw;
	uint16_t identifier;
};

/** echo_socket_open() - @n_raw: how many raw ones there are
 * Return: 0; -EACCES without either right; -EMFILE for one raw too many; -errno */
int echo_socket_open(struct echo_socket *s, uint8_t family, uint32_t n_raw);

/* @message, an echo request with a correct checksum, is about to be sent. A ping socket does that itself. */
void echo_socket_prepare(const struct echo_socket *s, uint8_t *message);
/* It was not: the peer's @identifier again. */
void echo_socket_restore(const struct echo_socket *s, uint8_t *message, uint16_t identifier);

/** echo_socket_is_own() - Is that one of its messages, or the quotation of one? */
bool echo_socket_is_own(const struct echo_socket *s, const uint8_t *message, uint32_t len);

/** echo_socket_skip() - Return: octets of what was received that lie before the message */
uint32_t echo_socket_skip(const struct echo_socket *s, const uint8_t *packet, uint32_t len);
