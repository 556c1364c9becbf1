/* SPDX-License-Identifier: Apache-2.0 */
/**
 * preflight.h - Can a gateway run here? Asked before anything is changed
 *
 * Every refusal is a sentence that says what to do. Threads: one.
 */
#pragma once

#include <sys/types.h>

#include "host/host.h"
#include "net/netlink.h"

/** preflight_config() - The interface's name, and subnets a gateway can live in */
enum host_end preflight_config(const struct host_config *config, struct diag *d);

/** preflight_network() - Nobody has the interface, the subnets or the port yet */
enum host_end preflight_network(const struct host_config *config, struct netlink *nl,
				struct diag *d);

/** preflight_port() - What of that counts without an interface
 * Says so where a subnet is one of the host's: usernet hides that from peers. */
enum host_end preflight_port(const struct host_config *config, struct diag *d);

/**
 * preflight_user() - Whom the gateway runs as
 *
 * Where that user cannot be had (in a user namespace that does not know it) the gateway
 * stays with our own, and that is a gap.
 */
void preflight_user(uid_t *ret_uid, gid_t *ret_gid);
