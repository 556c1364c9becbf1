/* SPDX-License-Identifier: Apache-2.0 */
#include "store/group.h"

#include <errno.h>
#include <stdlib.h>

bool group_is_refusal(int err)
{
	return err == ERR_EXISTS || err == ERR_UNKNOWN || err == ERR_LIMIT || err == ERR_FORMAT;
}

struct store_change *group_run_end(struct store_change *first)
{
	struct store_change *c = first->next;

	while (c && c->is_joined)
		c = c->next;
	return c;
}

void group_cancel_run(struct store_change *first, const struct store_change *end)
{
	for (struct store_change *c = first; c != end; c = c->next) {
		c->ret_audit_id = 0;
		if (!group_is_refusal(c->result))
			c->result = -ECANCELED;
	}
}

void group_fail(struct store_change *first, int err)
{
	for (struct store_change *c = first; c; c = c->next) {
		c->result = err;
		c->ret_audit_id = 0;
	}
}

int group_keep_ids(const struct store_change *first, int64_t **ret)
{
	int64_t *ids;
	size_t n = 0;

	for (const struct store_change *c = first; c; c = c->next)
		n++;
	ids = calloc(n ? n : 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	n = 0;
	for (const struct store_change *c = first; c; c = c->next)
		ids[n++] = c->record.id;
	*ret = ids;
	return 0;
}

void group_put_back_ids(struct store_change *first, const int64_t *ids, bool is_all)
{
	size_t n = 0;

	for (struct store_change *c = first; c; c = c->next, n++)
		if (is_all || c->result != 0)
			c->record.id = ids[n];
}
