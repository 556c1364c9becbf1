/* SPDX-License-Identifier: Apache-2.0 */
/**
 * policy.h - Which addresses clients may reach: the rules of usernet/egress.h, and this host's own addresses
 *
 * The host's addresses are read when the kernel says that they change, and now and then besides. A
 * connection of which both ends are one address is taken for one to this host in any case.
 *
 * Bounds:  EGRESS_OWN_MAX addresses of this host.
 * Threads: any for policy_judge() and policy_is_ourselves(); one for the rest.
 */
#pragma once

#include "usernet/egress.h"

enum { POLICY_REFRESH_S = 5 };

struct policy;

/** policy_new() - @allowed: private networks that are open, at most EGRESS_ALLOWED_MAX */
int policy_new(const struct ip_prefix *allowed, size_t n, struct policy **ret);
struct policy *policy_free(struct policy *p); /* takes NULL, returns NULL */

/** policy_fd() - Readable: call policy_refresh(). -1: the kernel does not tell */
int policy_fd(const struct policy *p);

/** policy_refresh() - Read the host's addresses again. Return: 0 or -errno, and those of before count */
int policy_refresh(struct policy *p);

enum egress_verdict policy_judge(struct policy *p, const struct ip_addr *to);

/** policy_is_ourselves() - Does connection @fd end where it begins? */
bool policy_is_ourselves(int fd);
