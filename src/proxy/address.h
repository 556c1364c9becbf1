/* SPDX-License-Identifier: Apache-2.0 */
/**
 * address.h - Addresses as the kernel's calls take them, and back
 *
 * A mapped address stays what it is in a socket of IPv6, and becomes IPv4 as a value: what is judged is where
 * packets would really go.
 *
 * Threads: any.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/addr.h"

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} u;
	socklen_t len;
};

struct address address_write(const struct endpoint *e);
/** address_read() - @any is at least as long as its family says. Its @ip.family is ADDR_NONE for others */
struct endpoint address_read(const struct sockaddr *any);
