/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/store_option.h"

#include <string.h>

/* "password = …", "sslpassword=…", as a keyword or as a parameter of a URI. */
static bool has_keyword(const char *text)
{
	static const char word[] = "password";

	for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
		const char *end = at + sizeof(word) - 1;
		const char *begin =
			at - text >= 3 && memcmp(at - 3, "ssl", 3) == 0 ? at - 3 : at;

		if (begin != text && !strchr(" \t\n?&", begin[-1]))
			continue;
		if (end[strspn(end, " \t\n")] == '=')
			return true;
	}
	return false;
}

/* postgresql://user:password@host/… */
static bool has_userinfo(const char *text)
{
	const char *at = strstr(text, "://"), *end, *colon;

	if (!at)
		return false;
	at += 3;
	end = at + strcspn(at, "@/?");
	colon = memchr(at, ':', (size_t)(end - at));
	return *end == '@' && colon && colon + 1 != end;
}

static int refuse(const struct options *o, const char *name, const char *why, struct diag *d)
{
	return diag_set(d, ERR_FORMAT, 0, "%s: %s", options_origin(o, name), why);
}

static const char password_text[] =
	"others see a password there: put it into a file, and name that"
	" with passfile= or PGPASSFILE";

int store_option_read(const struct options *o, struct store_option *ret, struct diag *d)
{
	const char *store = options_get(o, "store"), *text = options_get(o, "database");
	const char *status = options_get(o, "status-postgres");
	const char *is_new = options_get(o, "store-new");
	bool is_postgres = strcmp(store, "postgres") == 0;

	if (!is_postgres && strcmp(store, "sqlite") != 0)
		return refuse(o, "store", "this is sqlite or postgres", d);
	if (is_postgres && (!text || !*text))
		return refuse(o, "store",
			      "PostgreSQL needs --database, such as"
			      " \"host=/run/postgresql dbname=culvert\"",
			      d);
	if (!is_postgres && text)
		return refuse(o, "database", "this goes with --store postgres", d);
	if (text && (has_keyword(text) || has_userinfo(text)))
		return refuse(o, "database", password_text, d);
	if (status && (has_keyword(status) || has_userinfo(status)))
		return refuse(o, "status-postgres", password_text, d);
	*ret = (struct store_option){ .is_postgres = is_postgres,
				      .is_new = is_new && *is_new,
				      .conninfo = text };
	return 0;
}
