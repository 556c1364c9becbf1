/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hub.h - A hub with its spokes: the plan, the texts made from it, the files of one node
 *
 * Spokes call the hub, and it forwards between them: from the tunnel back into the tunnel,
 * nothing else. It originates nothing into the overlay, and spokes drop what claims to come
 * from it. Every node makes its own private key; only public keys travel.
 *
 * The hub's file is the list of its spokes: a [Peer] each, with the name in a comment.
 *
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <net/if.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/text.h"
#include "conf/wgconf.h"
#include "crypto/secret.h"

enum {
	HUB_NAME_MAX = 32,
	HUB_PATH_MAX = 512,
	HUB_FILE_MAX = 1 << 20,
	HUB_KEEPALIVE_S = 25,
	HUB_SPOKES_MAX = 200,
	HUB_FIRST_SPOKE = 10, /* spoke n is host 10 + n */
};

enum hub_role {
	HUB_ROLE_HUB,
	HUB_ROLE_SPOKE,
};

/* struct hub_cloud - What a program of the operator's is told; see hub_hook.h */
struct hub_cloud {
	const char *region;
	const char *size;
	const char *nodes;
};

/**
 * struct hub_request - One call of culvert hub, its words checked
 * @network:	Of the overlay; the hub is its first host
 * @dir:	Above hub/ and the nodes' directories
 * @installed:	A file that wins over what we would make, or NULL
 * @name:	The word after the verb, or --name; NULL: none
 * @by_number:	The layout with nodes/node1.key instead of node-a/private.key
 */
struct hub_request {
	struct ip_prefix network;
	struct ip_addr hub;
	struct ip_addr address; /* ADDR_NONE: the next one */
	const char *verb;
	const char *interface;
	const char *dir;
	const char *installed;
	const char *name;
	const char *public_key;
	const char *hub_public_key;
	const char *hub_endpoint;
	const char *hook;
	const char *role;
	const char *archive; /* directory of backups; NULL: beside --dir */
	const struct hub_cloud *cloud;
	uint64_t keep;
	uint16_t port;
	bool by_number;
	bool from_environment;
	bool force;
	bool dry_run;
	bool json;
};

/* "culvert hub: …" on standard error. Return: @code. */
__attribute__((format(printf, 2, 3))) int hub_complain(int code, const char *format, ...);

/* --- Texts; hub_text.c --- */

/** hub_host() - Host @n of the overlay */
struct ip_addr hub_host(const struct hub_request *r, unsigned int n);

/* Which host of the overlay @address is; 0: none. */
unsigned int hub_host_number(const struct hub_request *r, const struct ip_addr *address);

/** hub_is_name() - 1 to HUB_NAME_MAX small letters, digits and '-', not "hub" or "nodes" */
bool hub_is_name(const char *name);

/* node-a is 1, node-z 26; 0: the name says no number. */
unsigned int hub_name_number(const char *name);

void hub_text_hub(struct text *out, const struct hub_request *r, const struct secret_key *key);
void hub_text_peer(struct text *out, const char *name, const uint8_t key[32],
		   const struct ip_addr *address);
/* @hub_key, @endpoint and @address are checked already. */
void hub_text_spoke(struct text *out, const struct hub_request *r, const struct secret_key *key,
		    const char *hub_key, const char *endpoint, const struct ip_addr *address);

/** hub_text_policy() - A file for nft(8): the table "inet filter" of a node, replaced whole */
void hub_text_policy(struct text *out, const struct hub_request *r, enum hub_role role);

/** hub_text_table() - The same policy about the tunnel alone, in our own table */
void hub_text_table(struct text *out, const struct hub_request *r, enum hub_role role);
#define HUB_TABLE "culvert_hub"

/* --- Files of a node; hub_node.c --- */

/* Which of a node's files. */
enum hub_file {
	HUB_FILE_PRIVATE_KEY,
	HUB_FILE_PUBLIC_KEY,
	HUB_FILE_CONF,
	HUB_FILE_POLICY,
};

/**
 * hub_path() - Where a file lies
 * @name:	Of the spoke; NULL: the hub
 * @number:	Of the spoke, for the layout by number
 */
void hub_path(const struct hub_request *r, const char *name, unsigned int number,
	      enum hub_file file, char out[HUB_PATH_MAX]);

/* Write a file below --dir, making the directories; only say so in a dry run. EXIT_… */
int hub_write(const struct hub_request *r, const char *path, const struct text *text,
	      bool is_secret);

/* A spoke's is in the overlay and above HUB_FIRST_SPOKE: EXIT_DONE, or a complaint's code. */
int hub_check_address(const struct hub_request *r, const struct ip_addr *address);

int hub_init(const struct hub_request *r);
int hub_join(const struct hub_request *r);

/* --- The list of spokes; hub_spokes.c --- */

int hub_add_spoke(const struct hub_request *r);
int hub_rotate_spoke(const struct hub_request *r);
int hub_remove_spoke(const struct hub_request *r);
int hub_show(const struct hub_request *r);
int hub_health(const struct hub_request *r); /* 1 where no spoke is alive */

/* --- hub_firewall.c --- */

int hub_firewall(const struct hub_request *r); /* @r->name is the word: apply, show, remove */
