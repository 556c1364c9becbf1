/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ephem_state.h - What a client of the users' API keeps: ~/.ephem-vpn
 *
 *	setup.json	{"api_url": "…", "master_key": "…"}: where the gateway is, and the key for it
 *	NAME.conf	a configuration, as the gateway gave it or as it was made here
 *	NAME.key	that user's own key for the API and the proxy
 *
 * The directory is mode 0700, every file 0600, replaced as a whole and synchronised. Nothing of it may
 * be a symbolic link, nor belong to somebody else.
 *
 * Source:  the files of the ephemeral client; user_key, client_id, ca_file, insecure and NAME.key are ours.
 * Threads: none here.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text.h"

enum {
	EPHEM_ID_MAX = 64,
	EPHEM_URL_MAX = 1024,
	EPHEM_KEY_MAX = 512,
	EPHEM_CONF_MAX = 1 << 16,
	EPHEM_NAMES_MAX = 10000, /* configurations that are listed */
};

/**
 * struct ephem_state - An open directory
 * @dir:	Descriptor; -1: none, which ephem_state_close() takes too
 */
struct ephem_state {
	int dir;
	char path[PATH_MAX];
};

/**
 * struct ephem_setup - What setup.json says
 * @key:	The master key, or with @is_user that of one user, whose id is @id
 * @ca_file:	Certificates that HTTPS is verified with; "": the system's
 * @is_insecure: Plain HTTP to another machine was asked for
 */
struct ephem_setup {
	char url[EPHEM_URL_MAX];
	char key[EPHEM_KEY_MAX];
	char id[EPHEM_ID_MAX + 1];
	char ca_file[PATH_MAX];
	bool is_user;
	bool is_insecure;
};

/** ephem_id_ok() - 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with '.': fit to be part of a path */
bool ephem_id_ok(const char *id);
/** ephem_key_ok() - Visible ASCII: fit for a header field */
bool ephem_key_ok(const char *key);

/**
 * ephem_state_open() - Open @path; NULL: .ephem-vpn in the home directory
 * @may_make:	Where there is none, make it
 *
 * One that others may look into is closed to them.
 *
 * Return: 0; -ENOENT; -EPERM: it is somebody else's; -errno; with a sentence in @d.
 */
int ephem_state_open(const char *path, bool may_make, struct ephem_state *ret, struct diag *d);
void ephem_state_close(struct ephem_state *s);

/**
 * ephem_state_read_setup() - setup.json into @ret, to wipe afterwards
 *
 * Return: 0; -ENOENT: not set up; ERR_FORMAT: not understood; -errno; with a sentence in @d.
 */
int ephem_state_read_setup(const struct ephem_state *s, struct ephem_setup *ret,
			   struct diag *d);
/** ephem_state_write_setup() - Return: 0; -errno with a sentence in @d */
int ephem_state_write_setup(const struct ephem_state *s, const struct ephem_setup *setup,
			    struct diag *d);

/**
 * ephem_state_save() - Replace ID.EXTENSION
 * @ret_path:	Of the file
 *
 * Return: 0; ERR_RANGE: no such id can be; -errno; with a sentence in @d.
 */
int ephem_state_save(const struct ephem_state *s, const char *id, const char *extension,
		     const char *data, size_t len, char ret_path[PATH_MAX], struct diag *d);

/** ephem_state_save_new() - The same, and one that is there is kept as ID.EXTENSION.old */
int ephem_state_save_new(const struct ephem_state *s, const char *id, const char *extension,
			 const char *data, size_t len, char ret_path[PATH_MAX], struct diag *d);

/** ephem_state_has() - Is there ID.EXTENSION? Its path is @ret_path in any case */
bool ephem_state_has(const struct ephem_state *s, const char *id, const char *extension,
		     char ret_path[PATH_MAX]);

/**
 * ephem_state_names() - The ids that have a configuration, sorted; free() each and the array
 *
 * Return: 0; ERR_LIMIT; -ENOMEM; -errno; with a sentence in @d.
 */
int ephem_state_names(const struct ephem_state *s, char ***ret, size_t *ret_n, struct diag *d);
