/* SPDX-License-Identifier: Apache-2.0 */
/**
 * nft.h - Our firewall table, changed in one transaction each time
 *
 * nft(8) is run directly, with JSON on its input (libnftables-json(5)); the library is
 * not linked because of its licence. Everything of ours lives in one table, named after
 * the interface: "inet culvert_wg0". Removing the table removes it all.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"

enum { NFT_TABLE_NAME_MAX = 32 };

/** nft_table_name() - "culvert_wg0"; octets nft would not take in a name become '_' */
void nft_table_name(const char *interface, char out[NFT_TABLE_NAME_MAX]);

/**
 * struct nft_gateway - What the table of a gateway says
 * @subnets:	Sources whose packets leave under the address of the way out, except back
 *		into @interface
 * @port:	UDP port of the tunnel. No translated TCP or UDP flow leaves from it, or from a port
 *		below 1024: packets to the services of this host would else match that flow and
 *		go to the peer (CVE-2021-3773)
 * @isolate:	Peers do not reach each other
 *
 * TCP handshakes through @interface get their segment size clamped to the path's MTU.
 */
struct nft_gateway {
	const char *interface;
	const struct ip_prefix *subnets;
	size_t n;
	uint16_t port;
	bool isolate;
};

/**
 * nft_gateway() - (Re)place the table of a gateway
 *
 * Return: 0; -ENOENT when nft is not installed; ERR_UNKNOWN with nft's reason in @d.
 */
int nft_gateway(const struct nft_gateway *g, struct diag *d);

/**
 * nft_lists_name() - "culvert_wg0/lists-a": the table beside it, of host/access.h
 * @letter:	'a' or 'b'; no interface has a '/' in its name
 */
void nft_lists_name(const char *interface, char letter, char out[NFT_TABLE_NAME_MAX]);

/** nft_remove() - Remove the tables of @interface; 0 also when there were none */
int nft_remove(const char *interface, struct diag *d);

/** nft_put_string() - A JSON string: names of interfaces hold almost anything but '/' and blanks */
void nft_put_string(struct text *t, const char *s);

/**
 * nft_run() - Apply commands, all or none
 * @json:	A whole object {"nftables": […]}
 */
int nft_run(const char *json, size_t len, struct diag *d);

/** nft_run_text() - The same for commands in the language of nft(8) */
int nft_run_text(const char *text, size_t len, struct diag *d);

enum { NFT_LIST_MAX = 4096 };

/**
 * nft_list_table() - What a table of ours, "inet NAME", holds; cut at the bound
 * @rules_only:	Without counters and what sets learned: text that makes the table anew
 *
 * Return: 0; ERR_UNKNOWN when there is none; -ENOENT when nft is not installed; -errno.
 */
int nft_list_table(const char *name, bool rules_only, char out[NFT_LIST_MAX], struct diag *d);
