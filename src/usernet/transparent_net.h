/* SPDX-License-Identifier: Apache-2.0 */
/**
 * transparent_net.h - A network namespace of our own, whose TCP is whoever a peer calls
 *
 * Theory of operation. A child makes a user namespace and a network namespace, where it may do what
 * outside needs privileges: it makes a TUN, routes everything that comes out of it to the host itself,
 * and listens there on behalf of any address. It hands over the descriptors and ends; the
 * namespace lives for as long as they do. This process never enters it.
 *
 * Nothing leads from the namespace to the outside. What is written to the TUN is seen by its TCP and
 * nobody else.
 *
 * Source:  user_namespaces(7); ip(7) on IP_TRANSPARENT; Linux Documentation/networking/tproxy.
 * Threads: call transparent_net_open() before other threads start: it forks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/tun.h"

enum {
	/* Each tells 65535 connections apart, by the port that they seem to come from. */
	TRANSPARENT_LISTENERS_MAX = 17,
	TRANSPARENT_PORT = 40000, /* of the first listener; the next ones follow */
};

struct transparent_net {
	struct tun_queue tun;
	int listeners[TRANSPARENT_LISTENERS_MAX];
	size_t n_listeners;
};

/**
 * transparent_net_open() - Make it
 * @mtu:	Of the TUN
 * @n_listeners: At most TRANSPARENT_LISTENERS_MAX; they do not block
 *
 * Return: 0, or an error with its sentence in @d: this host allows no such namespace, no /dev/net/tun, …
 */
int transparent_net_open(uint32_t mtu, size_t n_listeners, struct transparent_net *ret,
			 struct diag *d);

/* Close what is open. */
void transparent_net_done(struct transparent_net *net);
