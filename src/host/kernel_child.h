/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kernel_child.h - An interface of the kernel's WireGuard, and the small process that drives it
 *
 * The interface is made here. The driver (`culvert kernel-serve IF`) then speaks UAPI for it, as
 * the tunnel process does for an interface of its own, on connections that it is handed over one
 * socket; it has CAP_NET_ADMIN and nothing else. When it dies, the interface and its tunnels stay
 * and another driver goes on. When this process dies, the driver removes the interface.
 *
 * An interface of ours has an alias that says so: one that was left behind, by both being
 * killed, is known by it, and removed at the next start. Any other is never touched.
 *
 * Threads: one.
 */
#pragma once

#include "host/device_child.h"

struct netlink_link;

/** kernel_child_is_ours() - Is it one that a gateway made, and no other can be using? */
bool kernel_child_is_ours(const struct netlink_link *link);

/**
 * kernel_child_make() - Make the interface, unless it is there already, and learn its index
 *
 * Return: 0; -EOPNOTSUPP: this kernel has no WireGuard; -EEXIST: the name is somebody else's;
 *	   -errno. With a sentence in @d.
 */
int kernel_child_make(struct device_child *t, struct diag *d);

/** kernel_child_start() - Start a driver. Return: 0 or -errno with a sentence in @d */
int kernel_child_start(struct device_child *t, struct diag *d);

/**
 * kernel_child_succeed() - Put a driver of @program in the place of the one that runs
 *
 * Waits up to 10 s for its first answer; the old one ends after that, without touching the
 * interface. Return: 0, or -errno with a sentence in @d and the old one in its place.
 */
int kernel_child_succeed(struct device_child *t, const char *program, struct diag *d);

enum kernel_child_right {
	KERNEL_CHILD_FULL,    /* for this process: key and port */
	KERNEL_CHILD_LIMITED, /* for the gateway */
};

/**
 * kernel_child_connect() - Another connection to the driver
 *
 * Does not wait for it: what it may do travels along as the @serial of a HOST_UAPI. A driver that
 * has too many connections hangs up.
 *
 * Return: the connection; -EAGAIN when the driver does not listen; -errno.
 */
int kernel_child_connect(const struct device_child *t, enum kernel_child_right right);
