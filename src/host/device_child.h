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

enum {
	USERNET_CHILD_PATH_MAX = 108, /* of a Unix socket */

	/* What fits a path of 1500 octets over either family at the level that adds most to a
	 * packet: 80, and padding of 24. Clients at other levels may send larger ones. */
	DEVICE_CHILD_MTU = 1396,
};

/**
 * struct device_child - All zeroes is none
 * @index:	Of the interface; 0: not there yet
 * @is_kernel:	The interface is the kernel's, and the process a driver of it (kernel_child.h)
 * @is_usernet:	There is no interface (usernet_child.h), because of @why
 * @socket:	With usernet: where the process listens, or ""
 * @control_fd:	For handing connections to that driver; 0: none
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
	uint64_t repaired_ns; /* last time that device_child_repair() did something */
	uint32_t index;
	int control_fd;
	bool is_kernel;
	bool is_usernet;
	const char *why;
	char socket[USERNET_CHILD_PATH_MAX];
};

/**
 * device_child_choose() - Which kind of interface it is to be; a kernel one is made at once
 *
 * Return: 0; -EOPNOTSUPP when the kernel's was asked for and there is none; -errno. With a
 *	   sentence in @d.
 */
int device_child_choose(struct device_child *t, struct diag *d);

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
 * Packets, interface and addresses stay; see device/handover.h. A driver of the kernel's is
 * replaced at once.
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
/** device_child_connect_limited() - A connection to hand to the gateway; as tunnel_connect_limited() */
int device_child_connect_limited(const struct device_child *t);

/**
 * device_child_repair() - Somebody changed key or port behind our back: set them again
 *
 * At most once a second; more often it does nothing.
 */
void device_child_repair(struct device_child *t);

/* End it; the interface and its addresses go with it. The socket as well if it could not. */
void device_child_stop(struct device_child *t);
