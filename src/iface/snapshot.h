/* SPDX-License-Identifier: Apache-2.0 */
/**
 * snapshot.h - All that a running interface says about itself, at one moment
 *
 * Threads: none here.
 */
#pragma once

#include "iface/iface.h"

/**
 * struct iface_snapshot - All zeroes is empty; iface_snapshot_done() wipes and frees
 * @private_key:	Zero: none, or the interface does not tell
 * @listen_port, @fwmark: 0: none
 * @framing:		The default profile
 * @peers:		In the order of their keys; their allowed IPs are in @allowed_ips
 */
struct iface_snapshot {
	struct secret_key private_key;
	uint32_t fwmark;
	uint16_t listen_port;
	struct frame_parameters framing;
	struct uapi_profile *profiles;
	struct uapi_get_peer *peers;
	struct ip_prefix *allowed_ips;
	size_t n_profiles, profiles_capacity;
	size_t n_peers, peers_capacity;
	size_t n_allowed_ips, allowed_ips_capacity;
};

/**
 * iface_snapshot_take() - Ask a userspace interface
 * @ret:	All zeroes before; after a failure too
 *
 * Return: 0; as iface_get(); ERR_FORMAT when it says what cannot be; -ENOMEM.
 */
int iface_snapshot_take(struct iface *i, struct iface_snapshot *ret, struct diag *d);
void iface_snapshot_done(struct iface_snapshot *s);

/** iface_snapshot_find() - A peer by its key, or NULL */
const struct uapi_get_peer *iface_snapshot_find(const struct iface_snapshot *s,
						const uint8_t public_key[32]);
