/* SPDX-License-Identifier: Apache-2.0 */
/**
 * udp_socket.h - UDP sockets that move many datagrams per call
 *
 * Every socket reports the local address a datagram came to and its type of service,
 * coalesces what it receives (UDP_GRO) and cuts what it sends (UDP_SEGMENT) where the
 * kernel can. DF is off and path MTU discovery is off: a smaller path fragments, it never
 * swallows (spec: a userspace tunnel that leaves DF on loses bulk data in silence).
 *
 * Sockets of one port form a reuseport group. A small classic BPF program hands data
 * messages to the data sockets by flow and everything else to the last socket of the
 * group, so a flood of handshakes fills a queue that no data waits in. What is data is told by
 * shapes: lengths, and where a word of the payload lies between two values.
 *
 * Threads: one at a time per socket for receiving; any thread may send.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	UDP_BUFFER_BYTES = 7 << 20,
	UDP_CONTROL_BYTES = 128, /* control messages of one datagram */
	UDP_SHAPES_MAX = 96,
};

/**
 * struct udp_shape - Datagrams of a kind, as far as the kernel can tell
 * @least, @most: Octets of payload; @least >= @offset + 4 unless any word will do
 * @offset:	Of a little-endian word that is @lo..@hi; 0..UINT32_MAX is any
 */
struct udp_shape {
	uint32_t least;
	uint32_t most;
	uint32_t offset;
	uint32_t lo;
	uint32_t hi;
	bool is_data;
};

/* struct udp_steering - The first shape that fits decides; the rest is as @rest_is_data says */
struct udp_steering {
	struct udp_shape shapes[UDP_SHAPES_MAX];
	unsigned int n;
	bool rest_is_data;
};

/**
 * udp_create() - An unbound socket with all options set
 * @family:	ADDR_V4 or ADDR_V6 (V6 only, never mapped)
 * @ret_is_forced: May be NULL. Set to false when the buffers could not be made
 *		as large as wanted (no CAP_NET_ADMIN)
 *
 * Return: the descriptor or -errno. -EAFNOSUPPORT: the host has no such family.
 */
int udp_create(enum addr_family family, bool *ret_is_forced);

/**
 * udp_bind() - Bind to @port on every local address; with SO_REUSEPORT
 * Return: the port (chosen by the kernel for 0), or -errno.
 */
int udp_bind(int fd, enum addr_family family, uint16_t port);

/** udp_port() - The port @fd is bound to; 0: none */
uint16_t udp_port(int fd);

/** udp_port_is_free() - Does no other socket, of ours or others, have @port? */
bool udp_port_is_free(enum addr_family family, uint16_t port);

/**
 * udp_steer() - Attach the steering program to a whole group
 * @fd:		Any socket of the group, after the last was bound
 * @data_sockets: The first that were bound; one more was bound after them
 *
 * May be called again while datagrams come in.
 *
 * Return: 0 or -errno; without it the kernel spreads datagrams by flow over all.
 */
int udp_steer(int fd, unsigned int data_sockets, const struct udp_steering *steering);

/** udp_set_gro() - Coalesce what is received, or not (sockets with small buffers) */
void udp_set_gro(int fd, bool on);

int udp_set_mark(int fd, uint32_t mark);

/* --- Receiving --- */

/**
 * struct udp_inbox - Buffers for one recvmmsg(); opaque, made once
 */
struct udp_inbox;

/**
 * struct udp_datagram - What one buffer holds
 * @segment:	Size of the coalesced datagrams; 0: a single one
 * @is_cut:	It was longer than the buffer: to be dropped and counted
 */
struct udp_datagram {
	uint8_t *data;
	uint32_t len;
	uint16_t segment;
	uint8_t tos;
	bool is_cut;
	struct endpoint source;
};

int udp_inbox_new(size_t buffers, size_t buffer_bytes, struct udp_inbox **ret);
struct udp_inbox *udp_inbox_free(struct udp_inbox *b);

/**
 * udp_receive() - Fill the inbox once
 * Return: datagrams now at @ret (valid until the next call), 0 when there is none,
 *	   or -errno. Errors that only report an ICMP message count as none.
 */
int udp_receive(int fd, struct udp_inbox *b, const struct udp_datagram **ret);

/* --- Sending --- */

/**
 * struct udp_block - Datagrams of @segment octets each, the last may be shorter
 */
struct udp_block {
	const uint8_t *data;
	uint32_t len;
	uint32_t segment;
	uint8_t tos;
	struct endpoint to;
};

/**
 * udp_send() - Send one block
 * @use_gso:	One call with UDP_SEGMENT; otherwise datagram by datagram
 *
 * Waits for room in the socket buffer, at most 100 ms.
 *
 * Return: 0 or -errno. With @use_gso, -EIO, -EINVAL and -EMSGSIZE may mean that this path
 *	   refuses segmentation: try again without.
 */
int udp_send(int fd, const struct udp_block *block, bool use_gso);
