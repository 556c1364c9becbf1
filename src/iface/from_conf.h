/* SPDX-License-Identifier: Apache-2.0 */
/**
 * from_conf.h - The request that makes a running interface what a file says
 *
 * What already is as the file says is not set again. Keys that the interface does not name and
 * the file leaves at their default are not sent, so a device that knows WireGuard alone takes
 * the request for a file of WireGuard.
 *
 * Threads: none here.
 */
#pragma once

#include "conf/wgconf.h"
#include "iface/snapshot.h"

/**
 * struct from_conf - What the request is made of; borrowed
 * @endpoints:	Where the file's peers are, in its order; ADDR_NONE: nowhere
 * @now:	What the interface says of itself
 * @keep_peers:	Only what differs is changed: sessions of peers that stay go on. Else all peers
 *		are replaced, as by `wg setconf`
 */
struct from_conf {
	const struct wgconf *conf;
	const struct endpoint *endpoints;
	const struct iface_snapshot *now;
	bool keep_peers;
};

/**
 * from_conf_make() - Make the request
 * @ret:	All zeroes before; the caller's to free with uapi_set_done(), after a failure too
 *
 * Without ListenPort the port stays, without PrivateKey the key goes. Without FwMark the mark
 * goes, but not where peers are kept: wg-quick sets one of its own for a default route.
 *
 * Return: 0 or -ENOMEM.
 */
int from_conf_make(const struct from_conf *from, struct uapi_set *ret);
