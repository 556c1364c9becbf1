/* SPDX-License-Identifier: Apache-2.0 */
/**
 * usernet_child.h - A tunnel process without an interface, for a host process without rights
 *
 * `culvert device --usernet` carries peers through ordinary sockets (usernet/usernet.h): there are no
 * addresses, routes or firewall rules to set, and nothing to take back but the file of a control
 * socket. It lies where `wg` looks, /var/run/wireguard, if this user may write there, else in
 * the run directory. The host makes it and lets the process have it, so the process needs no
 * directory; whoever is connected when the process ends is told so.
 *
 * Connections of peers end with the process: there is no succession.
 *
 * Threads: one.
 */
#pragma once

#include "host/device_child.h"

/**
 * usernet_child_choose() - Is it to be one?
 * @ret_why:	A clause for people, static, when it is
 *
 * Return: 1 or 0; -EPERM or -errno with a sentence in @d, when another kind was asked for that cannot be had.
 */
int usernet_child_choose(const struct host_config *config, const char **ret_why,
			 struct diag *d);

/** usernet_child_start() - Make the socket and start the process
 * Return: 0; -EADDRINUSE when somebody answers on the socket; -errno. With a sentence in @d */
int usernet_child_start(struct device_child *t, struct diag *d);

void usernet_child_remove_socket(struct device_child *t);
