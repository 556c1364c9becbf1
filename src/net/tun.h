/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tun.h - A TUN interface, one queue at a time
 *
 * Each queue is a descriptor. With offloads, a read yields super-frames of up to 64 KiB and
 * a write takes them (virtio_net_hdr); without, packets as they are.
 *
 * Source:  Linux Documentation/networking/tuntap; virtio 1.2, section 5.1.6.
 * Threads: a queue belongs to one thread for reading; any thread may write.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>
#include <sys/uio.h>

#include "base/offload.h"

enum { TUN_NAME_MAX = 16 }; /* IFNAMSIZ, with its NUL */

/**
 * struct tun_queue - One descriptor of an interface
 * @has_header:	Reads and writes carry a virtio_net_hdr
 * @has_uso:	UDP super-frames may be written and will be read
 */
struct tun_queue {
	int fd;
	bool has_header;
	bool has_tso;
	bool has_uso;
	char name[TUN_NAME_MAX];
};

/**
 * tun_open() - Create interface @name, or attach one more queue to it
 * @multi_queue: Must be the same for all queues of an interface
 *
 * Offloads are asked for and fall back one by one: USO, TSO, then none.
 *
 * Return: 0; -errno: -ENOENT or -ENODEV without /dev/net/tun, -EPERM, -EBUSY when the
 *	   interface belongs to somebody else, -EINVAL when it is no TUN or has another shape.
 */
int tun_open(const char *name, bool multi_queue, struct tun_queue *ret);

/**
 * tun_adopt() - Take a descriptor that someone else opened (WG_TUN_FD)
 *
 * It must have been opened with IFF_NO_PI: that cannot be asked, because in the answer the kernel
 * uses that bit for IFF_NOFILTER as well.
 *
 * Return: 0; -EINVAL when it is a TAP; -errno when it is no interface.
 */
int tun_adopt(int fd, struct tun_queue *ret);

void tun_close(struct tun_queue *q);

/**
 * tun_read() - Read one packet
 * @room:	Octets at @packet; at least 65535 for a queue with offloads
 *
 * Return: its length; -EAGAIN; -errno; ERR_FORMAT when the header made no sense
 *	   (skip it).
 */
ssize_t tun_read(const struct tun_queue *q, void *packet, size_t room,
		 struct inet_offload *ret);

/**
 * tun_write() - Write one packet or super-frame
 * @slices:	@slices[0] is the packet's beginning; @slices[-1] must exist: the header
 *		goes there for the call
 *
 * Return: 0 or -errno.
 */
int tun_write(const struct tun_queue *q, struct iovec *slices, size_t n,
	      const struct inet_offload *offload);
