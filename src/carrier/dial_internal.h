/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dial_internal.h - The steps behind the connection: who does what
 *
 * dial.c connects, dial_http.c speaks HTTP: to a proxy in the way, and to a server of connect-udp.
 */
#pragma once

#include "carrier/dial.h"

/* struct call - A dial on its way. @ret->stream is open */
struct call {
	const struct dial_to *to;
	struct dialed *ret;
	uint64_t deadline_ns;
	struct diag *d;
};

/* Return: as carrier_dial() */
int carrier_dial_through_proxy(struct call *c);
int carrier_dial_upgrade(struct call *c);
