/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uapi_apply.h - From UAPI requests to the engine, and from the engine to UAPI text
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "conf/uapi.h"
#include "engine/engine.h"
#include "usernet/usernet.h"

/**
 * struct uapi_ready - What was made for a request before anything of it is applied
 * @framing:	The profiles there will be; NULL: they stay
 *
 * All zeroes is empty.
 */
struct uapi_ready {
	struct engine_framing *framing;
};

/**
 * uapi_prepare() - Judge a request as a whole and reserve the memory it needs
 *
 * Before anything of it is applied, ports included: what is refused here changed nothing.
 * A parameter of AmneziaWG that breaks a rule is refused with the rule's name.
 *
 * Return: 0 or a positive UAPI_E...; @ret is to be freed with uapi_ready_done() after success.
 */
int uapi_prepare(struct engine *e, struct engine_worker *w, const struct uapi_set *set,
		 struct uapi_ready *ret, struct diag *d);
void uapi_ready_done(struct uapi_ready *r);

/**
 * uapi_apply() - Carry out the profiles, the peers and the key of a request that is ready
 * @ready:	From uapi_prepare(); what is used of it is taken out
 *
 * Return: 0 or a positive UAPI_E....
 */
int uapi_apply(struct engine *e, struct engine_worker *w, uint64_t now_ns,
	       const struct uapi_set *set, struct uapi_ready *ready, struct diag *d);

/**
 * struct uapi_outside - What get=1 tells of what lies around the engine
 * @send_failed:	Datagrams the kernel refused to send
 * @write_failed:	Packets the TUN refused
 * @cut:		Datagrams longer than any message, dropped
 * @usernet:	NULL: there is an interface
 */
struct uapi_outside {
	uint16_t listen_port;
	uint32_t fwmark;
	uint64_t send_failed;
	uint64_t write_failed;
	uint64_t cut;
	const struct usernet *usernet;
};

/**
 * uapi_dump() - The reply to get=1, without errno
 * @with_private_key: false leaves it out
 */
void uapi_dump(struct engine *e, struct text *out, enum uapi_dialect dialect,
	       const struct uapi_outside *outside, bool with_private_key);

/**
 * uapi_dump_changes() - One block for each peer that changed since the last call
 *
 * A block: public_key, event=handshake and event=endpoint where they happened,
 * endpoint, last_handshake_time_sec and _nsec, tx_bytes, rx_bytes, culvert_drops, an empty line.
 */
void uapi_dump_changes(struct engine *e, struct text *out);
