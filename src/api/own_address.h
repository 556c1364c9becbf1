/* SPDX-License-Identifier: Apache-2.0 */
/**
 * own_address.h - Under which address clients may find this machine
 *
 * Threads: any.
 */
#pragma once

#include "base/addr.h"

/**
 * own_address_towards_internet() - The address this machine would send from
 *
 * Asks the kernel for a route; nothing is sent. IPv4 first. Return: 0 or -errno.
 */
int own_address_towards_internet(struct ip_addr *ret);

/**
 * own_address_any() - The first address of an interface that is up, no loopback, not @except
 *
 * Return: 0, ERR_UNKNOWN when there is none, -errno.
 */
int own_address_any(const char *except, struct ip_addr *ret);
