/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access_lists.h - /api/v1/access: lists of destinations that peers may reach
 *
 * {"name": "office", "rules": [{"to": "10.9.0.0/24", "protocol": "tcp", "ports": "443"}]}: what no
 * rule allows is refused. A peer names its list by the number, or has its account's. "protocol"
 * is any, tcp, udp or icmp; "ports" of tcp and udp are one or a range, "8000-8100". In a path a list is
 * named by its number. Keys of an account neither see nor choose lists.
 *
 * Threads: the main loop's; access_list_readers any.
 */
#pragma once

#include "api/call.h"
#include "gateway/access_sync.h"

void access_lists_list(struct call *call);
void access_lists_create(struct call *call);
void access_lists_show(struct call *call);
void access_lists_change(struct call *call);
void access_lists_delete(struct call *call);

/* For whoever carries the stored lists to the host. */
extern const struct access_readers access_list_readers;
