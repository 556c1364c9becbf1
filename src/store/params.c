/* SPDX-License-Identifier: Apache-2.0 */
#include "store/params.h"

#include <string.h>

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool params_name_ok(const char *name)
{
	size_t len = strlen(name), parts = 1;
	bool at_start = true;

	if (len > PARAMS_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '/') {
			if (at_start || ++parts > PARAMS_DEPTH_MAX)
				return false;
			at_start = true;
			continue;
		}
		if (!is_name_char(name[i]) || (at_start && name[i] == '.'))
			return false;
		at_start = false;
	}
	return !at_start;
}

static int refuse(const char *what, struct diag *d)
{
	return diag_set(d, ERR_RANGE, 0, "%s", what);
}

static const char no_name[] = "a parameter's name has parts of A-Z a-z 0-9 . _ - joined by /";

int params_get(struct params *p, const char *name, struct text *ret, struct diag *d)
{
	return params_name_ok(name) ? p->ops->get(p, name, ret, d) : refuse(no_name, d);
}

int params_put(struct params *p, const char *name, const char *value, enum params_type type,
	       bool overwrite, struct diag *d)
{
	size_t len = strlen(value);

	if (!params_name_ok(name))
		return refuse(no_name, d);
	if (len == 0 || len > PARAMS_VALUE_MAX)
		return refuse("a parameter's value has 1 to 4096 octets", d);
	return p->ops->put(p, name, value, type, overwrite, d);
}

int params_list(struct params *p, const char *prefix, params_visitor visit, void *context,
		struct diag *d)
{
	char name[PARAMS_NAME_MAX + 1];
	size_t len = strlen(prefix);

	if (len > PARAMS_NAME_MAX || (len > 0 && prefix[len - 1] != '/'))
		return refuse("a parameter's prefix ends in /", d);
	if (len > 0) {
		memcpy(name, prefix, len - 1);
		name[len - 1] = '\0';
		if (!params_name_ok(name))
			return refuse(no_name, d);
	}
	return p->ops->list(p, prefix, visit, context, d);
}

int params_remove(struct params *p, const char *name, struct diag *d)
{
	return params_name_ok(name) ? p->ops->remove(p, name, d) : refuse(no_name, d);
}

struct params *params_free(struct params *p)
{
	if (p)
		p->ops->free(p);
	return NULL;
}

int params_open(const char *store, struct params **ret, struct diag *d)
{
	if (strncmp(store, "dir:", 4) == 0 && store[4] != '\0')
		return params_open_dir(store + 4, ret, d);
	if (strncmp(store, "ssm:", 4) == 0)
		return params_open_ssm(store + 4, ret, d);
	return diag_set(d, ERR_FORMAT, 0, "a store is dir:PATH or ssm:PREFIX");
}
