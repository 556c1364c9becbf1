/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ifstate.h"

#include <string.h>

static const char record_name[] = "interface";
static const char *const bodies[IFSTATES] = { "{\"state\":\"up\"}", "{\"state\":\"down\"}",
					      "{\"state\":\"deleted\"}" };
static const char *const actions[IFSTATES] = { "interface.enable", "interface.disable",
					       "interface.delete" };

bool ifstate_is_record(enum store_record_kind kind, const char *name)
{
	return kind == STORE_SETTING && strcmp(name, record_name) == 0;
}

enum ifstate ifstate_read(const char *body)
{
	for (enum ifstate state = 0; state < IFSTATES; state++)
		if (strcmp(body, bodies[state]) == 0)
			return state;
	return IFSTATE_DOWN;
}

enum ifstate ifstate_of(const struct gateway *g)
{
	const struct record *one =
		records_find_name(gateway_records(g), STORE_SETTING, record_name);

	return one ? ifstate_read(one->body) : IFSTATE_UP;
}

int ifstate_set(struct gateway *g, enum ifstate to, const struct gateway_grant *grant,
		gateway_done done, void *context)
{
	const struct record *one =
		records_find_name(gateway_records(g), STORE_SETTING, record_name);

	return gateway_put_record(g, STORE_SETTING, one ? one->id : 0, record_name, bodies[to],
				  actions[to], grant, done, context);
}
