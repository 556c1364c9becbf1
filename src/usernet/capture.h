/* SPDX-License-Identifier: Apache-2.0 */
/**
 * capture.h - What peers send and get, before encryption, as a file for tcpdump
 *
 * A run of segments that travels as one packet stands there as one packet.
 *
 * Source:  the capture file format of libpcap (pcap-savefile(5)), LINKTYPE_RAW.
 * Bounds:  CAPTURE_OCTETS_MAX; then, or after an error, it ends.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sys/uio.h>

#define CAPTURE_OCTETS_MAX (UINT64_C(1) << 30)

enum { CAPTURE_SLICES_MAX = 66 };

/** struct capture - @fd: -1: there is none, or it ended. Not closed here */
struct capture {
	int fd;
	uint64_t written;
};

/** capture_begin() - Write the file's head. @fd: 0 or less: none */
void capture_begin(struct capture *c, int fd);

/** capture_packet() - Add one. @wall_ns: when; @len: of all @slices, at most CAPTURE_SLICES_MAX */
void capture_packet(struct capture *c, uint64_t wall_ns, const struct iovec *slices, size_t n,
		    uint32_t len);
