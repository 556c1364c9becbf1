/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_child.h - What users find beside a gateway: the CONNECT proxy, and the carrier
 *
 * Each is started once the gateway serves, and again when it ends. It is `culvert proxy` or `culvert
 * carrier` as the gateway's user, with no descriptor of ours and no right; the carrier begins with
 * the right to ports below 1024, which it gives up once they are open. Who may use
 * them the gateway writes to a file that they watch, so that either may end and come back without the other.
 * An upgrade ends them, and what goes through them, before the host process is replaced.
 *
 * Threads: one.
 */
#pragma once

#include "host/child.h"
#include "host/host.h"
#include "host/state_dir.h"
#include "host/view.h"

enum proxy_child_kind { PROXY_CHILD_PROXY, PROXY_CHILD_CARRIER };

/* struct proxy_child - @due_ns: when it is to be started; UINT64_MAX: it runs, or there is to be none */
struct proxy_child {
	enum proxy_child_kind kind;
	const struct host_config *config;
	const struct state_dir *state;
	const struct view *view;
	struct child child;
	uint64_t due_ns;
};

/** proxy_child_tick() - Start it when that is due. @may_begin: the gateway has served */
void proxy_child_tick(struct proxy_child *p, bool may_begin, uint64_t now_ns);
/** proxy_child_bury() - Has it ended? Then it is due again a little later */
void proxy_child_bury(struct proxy_child *p, uint64_t now_ns);
uint64_t proxy_child_deadline_ns(const struct proxy_child *p);
void proxy_child_stop(struct proxy_child *p);
