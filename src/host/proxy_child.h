/* SPDX-License-Identifier: Apache-2.0 */
/**
 * proxy_child.h - The CONNECT proxy beside a gateway: started once that serves, and again when it ends
 *
 * It is `culvert proxy` as the gateway's user, with no right and no descriptor of ours. Who may use it the
 * gateway writes to a file that it watches, so that either may end and come back without the other.
 * An upgrade ends it, and the tunnels through it, before the host process is replaced.
 *
 * Threads: one.
 */
#pragma once

#include "host/child.h"
#include "host/host.h"
#include "host/state_dir.h"
#include "host/view.h"

/* struct proxy_child - @due_ns: when it is to be started; UINT64_MAX: it runs, or there is to be none */
struct proxy_child {
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
