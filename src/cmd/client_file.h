/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client_file.h - What NAME|FILE|vpn://… of connect, disconnect and status means
 *
 * A word with a slash, or that is there, is a file. A name is looked for as NAME.conf in ~/.ephem-vpn of the
 * user, or of who called sudo; then in /etc/wireguard, /etc/amnezia/amneziawg and
 * /etc/culvert/client.
 */
#pragma once

#include <limits.h>

#include "base/err.h"
#include "net/netlink.h"

/**
 * struct client_file - What was meant
 * @path:	The file, or the link itself (which holds a key); borrowed from the word, or @buffer
 * @name:	For people and the journal: the file's name without ".conf"; "link"
 * @interface:	The name as an interface can have it: cut to 15 characters, others become '_'
 */
struct client_file {
	const char *path;
	char buffer[PATH_MAX];
	char name[NAME_MAX + 1];
	char interface[LINK_NAME_MAX];
};

/** client_file_find() - Return: 0; ERR_UNKNOWN when there is none, with a sentence in @d */
int client_file_find(struct client_file *f, const char *word, struct diag *d);

/** client_file_interface() - Which connection a word means: by name, file or interface
 *
 * @ret is what connect would call it when none of @state's connections fits.
 */
void client_file_interface(const char *state, const char *word, char ret[LINK_NAME_MAX]);
