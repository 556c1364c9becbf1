/* SPDX-License-Identifier: Apache-2.0 */
/**
 * datagrams.h - One UDP socket between a carrier and WireGuard beside it
 *
 * At a server it is connected to WireGuard's port. At a client it listens on a port of its own,
 * which WireGuard has as the endpoint of its peer. Any program of this host can send there, so it
 * hears one sender only: the first, until that was silent for DATAGRAMS_SILENT_NS; or none but
 * those from a port that was named. What others send is dropped and counted. Datagrams of one
 * length leave together (UDP_SEGMENT) and arrive together (UDP_GRO) where the kernel can.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "base/addr.h"

enum {
	DATAGRAMS_BLOCK = 65536, /* octets of what is received at once */
	DATAGRAMS_BATCH = 64,	 /* most that leave together */
};

#define DATAGRAMS_SILENT_NS (UINT64_C(10) * 1000000000)

/**
 * struct datagrams - @fd of -1 is none
 * @to:		Who is heard and answered; family 0: connected, or nobody has spoken yet
 * @heard_ns:	When it spoke last
 * @only_port:	Nobody else is heard; 0: the first is
 */
struct datagrams {
	int fd;
	bool is_connected;
	bool has_no_segments; /* this kernel or this path cannot cut */
	struct sockaddr_storage to;
	socklen_t to_len;
	uint64_t heard_ns;
	atomic_uint only_port;
	struct iovec batch[DATAGRAMS_BATCH];
	size_t batched;
	size_t batch_octets;
	uint64_t lost;	  /* could not be sent */
	uint64_t foreign; /* of senders that are not heard */
};

int datagrams_connect(struct datagrams *u, const struct endpoint *to);
/* Return: 0 or -errno. A port of 0 in @at is chosen by the kernel; datagrams_port() says it. */
int datagrams_listen(struct datagrams *u, const struct endpoint *at);
uint16_t datagrams_port(const struct datagrams *u);
void datagrams_close(struct datagrams *u);

/** datagrams_hear_only() - WireGuard's own port; 0: not known. Any thread, any time */
void datagrams_hear_only(struct datagrams *u, uint16_t port);

/**
 * datagrams_receive() - One block: datagrams of @ret_segment octets, the last may be shorter
 *
 * Return: octets; 0: there is none; -errno: the socket is of no use any more.
 */
int datagrams_receive(struct datagrams *u, uint8_t out[DATAGRAMS_BLOCK], size_t *ret_segment);

/** datagrams_send() - Keep a payload, which stays where it is until datagrams_flush() */
void datagrams_send(struct datagrams *u, const uint8_t *payload, size_t len);
void datagrams_flush(struct datagrams *u);
