/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of clients' files, and a panel's JSON: both hold clients' private keys, of which nothing but
 * the public half leaves this file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include "api/key_text.h"
#include "cmd/import_rows.h"
#include "cmd/input.h"
#include "crypto/suite.h"
#include "http/json.h"

enum {
	CLIENT_FILE_MAX = 1 << 20,
	PATH_LEN = 4096,
	ADDRESSES_MAX = 34,
};

/* --- One client's file --- */

/* "phone" of "phone.conf" and of "wg0-client-phone.conf". */
static struct wgconf_span name_of_file(const char *file)
{
	static const char middle[] = "-client-";
	const char *cut = strstr(file, middle);
	struct wgconf_span s = { .at = cut ? cut + sizeof(middle) - 1 : file };

	s.len = strlen(s.at) - strlen(".conf");
	return s;
}

/* Every address of the client is one host to the server, whatever length it says. */
static size_t list_hosts(const struct wgconf *c, struct ip_prefix out[ADDRESSES_MAX])
{
	size_t n = 0;

	for (; n < c->n_addresses && n < ADDRESSES_MAX; n++)
		out[n] = (struct ip_prefix){ c->addresses[n].ip,
					     (uint8_t)ip_addr_bits(&c->addresses[n].ip) };
	return n;
}

static int add_client(struct import_rows *l, struct suite *suite, const struct wgconf *c,
		      const char *path, const char *file, struct diag *d)
{
	struct import_row row = { .is_enabled = true, .level = FRAME_LEVELS };
	struct ip_prefix hosts[ADDRESSES_MAX];
	int err;

	if (!c->interface.has_private_key || c->n_peers != 1 || c->n_addresses == 0)
		return diag_set(d, ERR_FORMAT, 0,
				"%s is no client's file: one has PrivateKey, Address and one"
				" [Peer]",
				path);
	row.file = import_rows_keep_name(l, path);
	if (!row.file)
		return -ENOMEM;
	dh_public(suite, row.public_key, &c->interface.private_key);
	memcpy(row.server_key, c->peers[0].public_key, 32);
	row.has_server_key = true;
	row.preshared_key = c->peers[0].preshared_key;
	err = import_rows_add(l, &row, name_of_file(file), hosts, list_hosts(c, hosts));
	secret_key_done(&row.preshared_key);
	return err;
}

static int read_client(struct import_rows *l, struct suite *suite, const char *dir,
		       const char *file, struct diag *d)
{
	struct text text = { .data = NULL };
	struct wgconf c = { .text = NULL };
	struct diag why = { .text = "" };
	char path[PATH_LEN];
	int err;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	err = input_read(path, CLIENT_FILE_MAX, &text);
	if (err == 0)
		err = wgconf_parse(text.data ? text.data : "", text.len, &c, &why);
	if (err != 0)
		diag_set(d, err, why.line, "%.150s:%u: %.90s", path, why.line,
			 why.text[0] ? why.text : err_text(err));
	else
		err = add_client(l, suite, &c, path, file, d);
	wgconf_done(&c);
	text_done(&text);
	return err;
}

/* --- The directory --- */

static int ends_in_conf(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > 5 && e->d_name[0] != '.' && strcmp(e->d_name + len - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int import_rows_read_clients(struct import_rows *l, const char *dir, struct diag *d)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, ends_in_conf, by_name);
	struct suite *suite = NULL;
	int err = n < 0 ? -errno : suite_new(SUITE_OPENSSL, &suite);

	if (n == 0)
		err = diag_set(d, ERR_FORMAT, 0, "%s has no file that ends in .conf", dir);
	else if (n > IMPORT_CLIENTS_MAX)
		err = diag_set(d, ERR_LIMIT, 0, "%s has more than %d files", dir,
			       (int)IMPORT_CLIENTS_MAX);
	for (int i = 0; i < n && err == 0; i++)
		err = read_client(l, suite, dir, entries[i]->d_name, d);
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	suite_free(suite);
	return err;
}

/* --- A panel's JSON --- */

static const char *member(const json_t *client, const char *name)
{
	const char *text = json_string_value(json_object_get(client, name));

	return text ? text : "";
}

/* {"name", "address", "publicKey", "preSharedKey", "enabled", …} */
static int add_entry(struct import_rows *l, const char *file, const json_t *client)
{
	const char *key = member(client, "publicKey"), *psk = member(client, "preSharedKey");
	struct import_row row = { .file = file, .level = FRAME_LEVELS };
	const char *addresses[] = { member(client, "address"), member(client, "address6") };
	struct ip_prefix hosts[2];
	const char *name = member(client, "name");
	size_t n = 0;
	int err;

	row.is_enabled = !json_is_false(json_object_get(client, "enabled"));
	if (key_text_read(key, strlen(key), row.public_key) != 0 ||
	    (psk[0] && key_text_read(psk, strlen(psk), row.preshared_key.b) != 0))
		return ERR_FORMAT;
	for (size_t i = 0; i < 2; i++) {
		if (addresses[i][0] && ip_prefix_parse(addresses[i], false, &hosts[n++]) != 0)
			return ERR_FORMAT;
	}
	err = import_rows_add(l, &row, (struct wgconf_span){ name, strlen(name) }, hosts, n);
	secret_key_done(&row.preshared_key);
	return err;
}

int import_rows_read_json(struct import_rows *l, const char *path, const struct text *text,
			  struct diag *d)
{
	const char *file = import_rows_keep_name(l, input_name(path));
	json_t *all = NULL, *client;
	struct diag why = { .text = "" };
	const char *id;
	int err = file ? json_parse(text->data, text->len, &all, &why) : -ENOMEM;

	if (err != 0)
		return diag_set(d, err, why.line, "%s:%u: %.150s", input_name(path), why.line,
				why.text[0] ? why.text : err_text(err));
	if (!json_is_object(json_object_get(all, "clients")))
		err = diag_set(d, ERR_FORMAT, 0,
			       "%s: a panel's JSON has its clients in an object \"clients\"",
			       input_name(path));
	json_object_foreach(json_object_get(all, "clients"), id, client)
	{
		if (err == 0)
			err = add_entry(l, file, client);
		if (err == ERR_FORMAT && !d->text[0])
			diag_set(d, err, 0, "%s: client %.60s: a key or an address is wrong",
				 file, id);
	}
	json_decref(all);
	return err;
}
