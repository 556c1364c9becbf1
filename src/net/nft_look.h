/* SPDX-License-Identifier: Apache-2.0 */
/**
 * nft_look.h - Are our tables as we made them? Asked of the kernel itself, without nft(8)
 *
 * Anybody who may change a firewall may empty all of it: "nft flush ruleset", a restart of
 * nftables.service. The kernel numbers tables, chains and rules, each number once, and says when
 * something of it has changed.
 *
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * struct nft_look - What there is of the tables of one name, "inet" and "arp"
 * @print:	Another one when a table, chain or rule was taken away, added, replaced or switched off.
 *		What is in sets does not count
 * @n_rules:	Of the table "inet"
 * @is_there:	It is, and is not switched off
 */
struct nft_look {
	uint64_t print;
	uint32_t n_rules;
	bool is_there;
};

/** nft_look() - Return: 0, also when there is none; -errno; @ret is zero then */
int nft_look(const char *table, struct nft_look *ret);

/** nft_look_open() - A descriptor that can be read when any table has changed; -errno */
int nft_look_open(void);
void nft_look_drain(int fd); /* all that was said: what it was does not matter */
