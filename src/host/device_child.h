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
 * @successor:	Is taking the tunnel over from @child, if it runs
 */
struct device_child {
	const struct host_config *config;
	const struct state_dir *state;
	const struct claim *claim;
	struct signals *signals;
	struct netlink *nl;
	struct child child;
	struct child successor;
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

/**
 * device_child_succeed() - Start @program, to take the tunnel over from the one that runs
 *
 * Packets, interface and addresses stay; see device/handover.h.
 */
int device_child_succeed(struct device_child *t, const char *program, struct diag *d);

enum device_succession {
	DEVICE_PENDING,
	DEVICE_SUCCEEDED, /* the old one ended, @child is the new one */
	DEVICE_REMAINS,	  /* the new one ended, @child is as it was */
	DEVICE_LOST,	  /* neither runs; @due_ns says when to start one */
};

/** device_child_succession() - How far it is; call it instead of reaping @child meanwhile */
enum device_succession device_child_succession(struct device_child *t);

/* End the one that takes too long. */
void device_child_dismiss(struct device_child *t);

/* End it; the interface and its addresses go with it. The socket as well if it could not. */
void device_child_stop(struct device_child *t);
