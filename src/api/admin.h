/* SPDX-License-Identifier: Apache-2.0 */
/**
 * admin.h - The rest of the gateway contract: health, statistics, administration
 *
 * What this gateway does not have answers as the contract says of gateways that lack it: the mesh is
 * "unavailable", resolvers of its own "not_deployed". What would stop or wipe the machine is in
 * api/actions.h.
 *
 * The contract knows an interface per level of obfuscation, wg0 to wg3; here one interface speaks all
 * levels, and the four names stand for the peers of those levels.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void admin_metrics(struct call *call);
void admin_sync_ips(struct call *call);
void admin_interface_stats(struct call *call);
void admin_health(struct call *call);
void admin_summary(struct call *call);
void admin_health_dns(struct call *call);
void admin_health_dns_all(struct call *call);
void admin_health_dns_level(struct call *call);
void admin_recover_peers(struct call *call);
void admin_reconcile_peers(struct call *call);
void admin_restart_wireguard(struct call *call);
void admin_crl_status(struct call *call);
void admin_crl_check(struct call *call);
