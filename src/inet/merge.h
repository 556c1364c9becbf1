/* SPDX-License-Identifier: Apache-2.0 */
/**
 * merge.h - Join packets of one flow into super-frames for the TUN
 *
 * Theory of operation. Decrypted packets of one receive batch are added in order.
 * A packet that continues the run of its flow (same addresses and ports, next TCP
 * sequence, same flags and options; or for UDP the same size as the first)
 * becomes one more slice of that run; the payload stays where it is and the run is
 * written with one writev(). A packet that does not fit closes its flow's run and
 * opens another, so order within a flow holds; order across flows is free. Packets that
 * can not be merged (fragments, options, ICMP, ...) stand alone and pass untouched.
 *
 * What joins a run is what segmentation gives back: cutting the run at gso_size yields
 * the packets that were added, octet for octet. One exception: a fixed IPv4
 * identification under DF, which means nothing there (RFC 6864), counts up afterwards.
 *
 *   TCP   flags ACK and nothing more but PSH, which closes the run, and an equal ECE;
 *	   equal acknowledgement, window and options; payload as long as the first's, a
 *	   shorter one closes the run; none at all stands alone
 *   UDP   the same for sizes; a checksum must be there
 *   IPv4  equal TOS, TTL and DF; identification counts up by one, or stays under DF;
 *	   no options, no fragments, a correct header checksum
 *   IPv6  equal traffic class, flow label and hop limit; no extension headers
 *
 * A packet's own transport checksum is verified before it may join a run, because a run
 * is written with a partial checksum that the kernel trusts. A packet with a wrong
 * checksum stands alone. The first packet of a run is verified when a second one
 * comes, so a packet that stays alone costs no sum.
 *
 * Memory:  allocated once, fixed. Packet buffers are borrowed until the writes
 *          are done; headers of a run's first packet are rewritten by _finish().
 * Source:  the rules of the kernel's tcp_gro_receive and udp_gro_receive, as behaviour.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "inet/packet.h"

enum {
	INET_MERGE_SLICES = 64, /* packets in one run, at most */
	INET_MERGE_FLOWS = 16,	/* open runs looked at, most recent first */
	INET_MERGE_BYTES_MAX = 65535,
};

/**
 * struct inet_write - One write to the TUN
 * @offload:	All zeroes for a single packet: it carries its own checksum
 * @first_slice, @n_slices: Range of the slices inet_merge_finish() returns; the first
 *		slice begins with the IP header
 * @len:	Octets in all slices
 * @flow_hash:	Same for all packets of a flow, in this process; fragments and packets
 *		without ports are told apart by addresses and protocol
 * @header:	First packet of the run
 */
struct inet_write {
	struct inet_offload offload;
	uint32_t first_slice;
	uint32_t n_slices;
	uint32_t len;
	uint32_t flow_hash;
	uint8_t *header;
};

struct inet_merge;

/**
 * inet_merge_new() - Storage for one worker
 * @packets_max: Most packets added between two inet_merge_reset(), not zero. 84 octets
 *		each are allocated, and 2 KiB
 *
 * Return: 0 or -ENOMEM.
 */
int inet_merge_new(uint32_t packets_max, struct inet_merge **ret);
struct inet_merge *inet_merge_free(struct inet_merge *m); /* takes NULL, returns NULL */
void inet_merge_reset(struct inet_merge *m);

/**
 * inet_merge_allow() - What may be merged at all; both, unless told otherwise
 *
 * A TUN of a kernel before 6.2 takes TCP super-frames and no UDP ones. Holds until
 * the next call; inet_merge_reset() does not change it.
 */
void inet_merge_allow(struct inet_merge *m, bool tcp, bool udp);

/* true: no room for another packet; finish, write out and reset first. */
bool inet_merge_is_full(const struct inet_merge *m);

/**
 * inet_merge_add() - Take one whole, valid IP packet
 * @ip:		From inet_ip_parse(); ip->len octets at @packet count
 * @can_merge:	false: stands alone (the TUN has no offloads)
 *
 * Must not be called when inet_merge_is_full(), nor between _finish() and _reset().
 */
void inet_merge_add(struct inet_merge *m, uint8_t *packet, const struct inet_ip *ip,
		    bool can_merge);

/**
 * inet_merge_finish() - Rewrite headers of runs and return the writes, in order
 * @ret_writes:	@m's memory, valid until reset
 * @ret_slices:	struct iovec array the writes' ranges point into
 *
 * Return: number of writes.
 */
size_t inet_merge_finish(struct inet_merge *m, const struct inet_write **ret_writes,
			 struct iovec **ret_slices);
