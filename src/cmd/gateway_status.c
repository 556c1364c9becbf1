/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/gateway_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"

enum { CONNINFO_MAX = 2048 };

/* " name='value'", quoted as libpq wants it. Nothing where there is no value; false: no room. */
static bool add(char out[CONNINFO_MAX], const char *name, const char *value)
{
	size_t len = strlen(out);

	if (!value || !*value)
		return true;
	if (len + strlen(name) + 2 * strlen(value) + 5 > CONNINFO_MAX)
		return false;
	len += (size_t)snprintf(out + len, CONNINFO_MAX - len, " %s='", name);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			out[len++] = '\\';
		out[len++] = *value;
	}
	out[len++] = '\'';
	out[len] = '\0';
	return true;
}

/* As the images of PostgreSQL read them: a database that is not named has the user's name. */
static int open_local(const char *user, const char *database, struct postgres_watch **ret,
		      struct diag *d)
{
	char *password = getenv("POSTGRES_PASSWORD");
	char where[CONNINFO_MAX] = "host=127.0.0.1";
	int err;

	if (!user || !*user)
		user = "postgres";
	if (!add(where, "user", user) || !add(where, "dbname", database) ||
	    !add(where, "password", password))
		err = diag_set(d, ERR_LIMIT, 0,
			       "POSTGRES_USER, POSTGRES_DB or"
			       " POSTGRES_PASSWORD is too long");
	else
		err = postgres_watch_new(where, ret, d);
	if (password) {
		secret_wipe(password, strlen(password));
		unsetenv("POSTGRES_PASSWORD");
	}
	secret_wipe(where, sizeof(where));
	return err;
}

int gateway_status_open(const struct options *o, struct postgres_watch **ret, struct diag *d)
{
	const char *where = options_get(o, "status-postgres");
	const char *user = getenv("POSTGRES_USER"), *database = getenv("POSTGRES_DB");

	*ret = NULL;
	if (strcmp(options_get(o, "listen-status"), "off") == 0)
		return 0;
	if (where)
		return postgres_watch_new(where, ret, d);
	if ((user && *user) || (database && *database))
		return open_local(user, database, ret, d);
	return 0;
}
