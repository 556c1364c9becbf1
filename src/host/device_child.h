/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device_child.h - The tunnel process as the host keeps it: started, keyed, addressed
 *
 * Threads: one.
 */
#pragma once

#include <stdint.h>

#include "host/child.h"
#include "host/claim.h"
#include "host/host.h"
#include "host/signals.h"
#include "host/state_dir.h"
#include "net/netlink.h"

/**
 * struct device_child - All zeroes is none
 * @index:	Of the interface; 0: not there yet
 * @due_ns:	When a dead one is to be started again
 */
struct device_child {
	const struct host_config *config;
	const struct state_dir *state;
	const struct claim *claim;
	struct signals *signals;
	struct netlink *nl;
	struct child child;
	uint64_t due_ns;
	uint32_t index;
};

/**
 * device_child_start() - From nothing to an interface that is up and has its addresses
 *
 * Waits up to 10 s for the process. After a failure it may be running: stop it.
 *
 * Return: 0; -ECANCELED when a signal came; -EACCES when the process said it lacks a
 *	   privilege; other codes. With a sentence in @d, empty when the process said why.
 */
int device_child_start(struct device_child *t, struct diag *d);

/* End it; the interface and its addresses go with it. The socket as well if it could not. */
void device_child_stop(struct device_child *t);
