/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kernel.h - The kernel's WireGuard in the words of UAPI
 *
 * A request becomes what wg_genl.h sends, a snapshot becomes the answer to get=1. What only our
 * own tunnel can do is refused before anything is sent: obfuscation, a profile to hear or pin,
 * an interval drawn from a range, a rate. A budget is taken and not kept: whoever set it must
 * look at the counters and remove the peer.
 *
 * Threads: none here; pure.
 */
#pragma once

#include "base/text.h"
#include "conf/uapi.h"
#include "crypto/short_hash.h"
#include "iface/wg_genl.h"

/** struct kernel_change - A request, ready to send. All zeroes is empty; kernel_change_done() wipes */
struct kernel_change {
	struct wg_genl_set set;
	struct wg_genl_set_peer *peers;
	struct ip_prefix *prefixes;
};

/**
 * kernel_change_make() - Judge a request, and translate it
 * @ret:	Written on success
 *
 * Return: 0; UAPI_EINVAL for what a kernel cannot do, UAPI_EOTHER without memory; reason in @d.
 */
int kernel_change_make(const struct uapi_set *set, struct kernel_change *ret, struct diag *d);
void kernel_change_done(struct kernel_change *c);

/** kernel_write() - The answer to get=1, without errno and without the private key */
void kernel_write(struct text *out, const struct wg_genl_snapshot *s);

/**
 * kernel_print() - One number for all that a request can set of the peers
 *
 * Keys, preshared keys, intervals and prefixes, in whatever order; not where peers are and what
 * they have moved. Equal numbers under one secret @key mean that nothing was changed.
 */
uint64_t kernel_print(const struct wg_genl_snapshot *s, const uint8_t key[SHORT_HASH_KEY_LEN]);
