/* SPDX-License-Identifier: Apache-2.0 */
/**
 * firewall.h - The rules of a connected client, as text for nft(8)
 *
 * Table "inet culvert_client_IF" and, for the one thing that is no IP, "arp culvert_client_IF".
 * The text makes both anew in one transaction, whatever was there before.
 *
 * What leaves a host whose whole traffic goes through the tunnel, and nothing else:
 *   - loopback; the tunnel's interface
 *   - UDP with the tunnel's mark to one of the endpoints, or TCP to a proxy: only who has CAP_NET_ADMIN marks
 *   - TCP with that mark to where a carrier of this host leads, if that was said
 *   - DHCP, to broadcast, to private addresses and to the groups of DHCPv6
 *   - router and neighbour discovery of IPv6 and its group membership, none of which a router
 *     passes on
 *   - with --lan: private networks, link-local addresses and groups, but no DNS
 *   - with --exclude: those networks, but no DNS
 * Everything in IPv6-in-IPv4 (protocol 41) is dropped, whatever allows it.
 *
 * In come: answers of the endpoints, DHCP, router and neighbour discovery, "packet too big",
 * and with --lan or --exclude what comes from there. Nothing for the tunnel's own addresses comes from
 * elsewhere, by ARP neither: somebody beside us could find out what we are connected to.
 *
 * Threads: none here; pure.
 */
#pragma once

#include "base/text.h"
#include "client/plan.h"
#include "net/nft.h"

/** client_firewall_name() - Of both tables */
void client_firewall_name(const char *interface, char out[NFT_TABLE_NAME_MAX]);

/** client_firewall_put() - The text that makes the tables of @p */
void client_firewall_put(struct text *out, const struct client_plan *p);

/** client_firewall_put_removal() - The text that removes them, also when they are not there */
void client_firewall_put_removal(struct text *out, const char *interface);

/** client_firewall_put_endpoint() - Let marked packets go to one more endpoint */
void client_firewall_put_endpoint(struct text *out, const char *interface,
				  const struct endpoint *endpoint);

/** client_firewall_put_lockdown() - Make or remove table "inet culvert_lockdown" (client/lockdown.h) */
void client_firewall_put_lockdown(struct text *out, bool on);
