/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_store.h"

#include <unistd.h>

#include "store/kind.h"
#include "sys/log.h"

/* Once it is open no key in it is plain. Without the note of that a later start would take a plain one for
 * one of before, as this one did. */
static int open_sqlite(const char *state, const char *path, const struct store_config *config,
		       struct store **ret, struct diag *d)
{
	struct store_config with_note = *config;
	struct diag why = { .text = "" };
	int err;

	with_note.has_sealed_keys = kind_has_sealed_keys(state);
	err = store_open_sqlite(path, &with_note, ret, d);
	if (err == 0 && kind_set_sealed_keys(state, &why) != 0)
		log_warning("%s", why.text);
	return err;
}

int gateway_store_open(const struct store_option *o, const char *state, const char *path,
		       const struct store_config *config, struct store **ret, struct diag *d)
{
	struct store *s = NULL;
	int err;

	if (!o->is_postgres && kind_is_postgres(state))
		return diag_set(
			d, ERR_EXISTS, 0,
			"this gateway kept its peers in PostgreSQL: say --store postgres"
			" again, or remove %s/store to begin anew",
			state);
	if (!o->is_postgres)
		return open_sqlite(state, path, config, ret, d);
	/* Whoever adds an option to a gateway that has peers would find none of them. */
	if (!kind_is_postgres(state) && !o->is_new && access(path, F_OK) == 0)
		return diag_set(
			d, ERR_EXISTS, 0,
			"%s has this gateway's peers, and PostgreSQL would have none: leave"
			" --store away, or say --store-new to begin anew",
			path);
	err = store_open_postgres(o->conninfo, config, &s, d);
	if (err == 0)
		err = kind_set_postgres(state, d);
	if (err != 0) {
		store_free(s);
		return err;
	}
	if (access(path, F_OK) == 0)
		log_warning("%s is not used: the store is PostgreSQL", path);
	*ret = s;
	return 0;
}
