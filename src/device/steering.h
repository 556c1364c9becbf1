/* SPDX-License-Identifier: Apache-2.0 */
/**
 * steering.h - Which datagrams the kernel gives to the data workers
 *
 * From the profiles of an interface to shapes that the kernel can test. A mistake costs time and
 * nothing else: every thread takes every kind of message. Where headers are masked the kernel
 * cannot see what a datagram is; then only what has a length that no data has goes to the keeper.
 *
 * Threads: none here.
 */
#pragma once

#include "frame/frame.h"
#include "net/udp_socket.h"

enum {
	/* What the keeper's buffers hold; longer datagrams go to the data workers. */
	STEERING_KEEPER_BYTES = 2048,
};

void steering_make(const struct frame_set *set, struct udp_steering *ret);
