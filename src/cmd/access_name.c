/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/access_name.h"

#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/local_api.h"

int access_name_all(const char *state, json_t **ret, struct diag *d)
{
	json_t *all = json_array(), *page = NULL;
	long long after = 0;
	int code = EXIT_DONE;

	while (code == EXIT_DONE && after >= 0) {
		const json_t *next;
		char path[64];

		snprintf(path, sizeof(path), "/api/v1/access?after=%lld", after);
		code = local_api_ask(state, "GET", path, NULL, &page, d);
		if (code != EXIT_DONE)
			break;
		json_array_extend(all, json_object_get(page, "access"));
		next = json_object_get(page, "next");
		after = json_is_integer(next) ? json_integer_value(next) : -1;
		json_decref(page);
	}
	if (code == EXIT_DONE)
		*ret = all;
	else
		json_decref(all);
	return code;
}

int access_name_find(const char *state, const char *name, json_t **ret, struct diag *d)
{
	json_t *all = NULL, *list, *found = NULL;
	int code = access_name_all(state, &all, d);
	size_t i;

	if (code != EXIT_DONE)
		return code;
	json_array_foreach(all, i, list)
	{
		const char *own = json_string_value(json_object_get(list, "name"));

		if (own && strcmp(own, name) == 0)
			found = json_incref(list);
	}
	json_decref(all);
	if (!found)
		return diag_set(d, 0, 0, "there is no access list of that name"), EXIT_REFUSED;
	*ret = found;
	return EXIT_DONE;
}
