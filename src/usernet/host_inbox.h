/* SPDX-License-Identifier: Apache-2.0 */
/**
 * host_inbox.h - Datagrams of one of the host's sockets, many per call
 *
 * Memory:  HOST_INBOX_DATAGRAMS buffers of 64 KiB, of which is resident what was ever used.
 * Threads: one at a time.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"

enum {
	HOST_INBOX_DATAGRAMS = 16,
	HOST_INBOX_FRONT = 64, /* octets in front of each payload that may be written */
	HOST_INBOX_LEN_MAX = 65507,
};

/**
 * struct host_received - One datagram, or several of one size that the kernel joined (UDP_GRO)
 * @segment:	Octets of each; @len when there is one
 */
struct host_received {
	uint8_t *payload;
	uint32_t len;
	uint32_t segment;
	struct ip_addr from;
	uint16_t from_port;
};

struct host_inbox;

int host_inbox_new(struct host_inbox **ret);		  /* 0 or -ENOMEM */
struct host_inbox *host_inbox_free(struct host_inbox *b); /* takes NULL, returns NULL */

/**
 * host_inbox_receive() - Take what is there
 * @ret:	Valid until the next call
 *
 * Return: how many, at most HOST_INBOX_DATAGRAMS; -EAGAIN when there is nothing; another -errno
 * that the socket had to tell, and has told.
 */
int host_inbox_receive(struct host_inbox *b, int fd, struct host_received **ret);
