/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device_environment.h - A whole tunnel in variables, as routers in containers are told of theirs
 *
 * Beside `culvert device --usernet`. WG_PRIVATE_KEY says that the tunnel is configured so: WG_LISTEN_PORT,
 * WG_MTU, WG_PEERS with WG_PEER_<i>_PUBLIC_KEY, _ALLOWED_IPS, _ENDPOINT and _KEEPALIVE,
 * WG_OVERLAY_ROUTING and WG_OVERLAY_EXCLUDE_CIDRS. With or without: WG_DISABLE_IPV6, WG_PCAP, DEBUG, WG_DEBUG.
 * What tells how it does is in device_report.h. Names of no meaning here are left alone.
 *
 * Bounds:  DEVICE_ENVIRONMENT_PEERS peers.
 * Threads: one.
 */
#pragma once

#include <stdbool.h>

#include "conf/uapi.h"
#include "usernet/usernet.h"

enum { DEVICE_ENVIRONMENT_PEERS = 4096 };

/* Before the command line, which has the last word: MTU, IPv6. */
void device_environment_defaults(struct usernet_options *o);

/**
 * device_environment_read() - The rest; names of hosts are resolved, which may take a while
 * @set:	Empty; to be freed with uapi_set_done() in any case
 * @ret_is_whole: It says all there is to say
 *
 * Complains on standard error. Return: an exit code, EXIT_DONE when it is fine.
 */
int device_environment_read(struct uapi_set *set, struct usernet_options *o,
			    bool *ret_is_whole);

/** device_environment_truth() - "1", "true", "yes" and "on" are true, in any case */
bool device_environment_truth(const char *name);
