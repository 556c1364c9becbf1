/* SPDX-License-Identifier: Apache-2.0 */
#include "host/access_desk.h"

#include "sys/log.h"

static int set_list(struct access *a, const struct host_access *body, struct diag *d)
{
	struct access_rule rules[ACCESS_RULES_MAX];

	for (size_t i = 0; i < body->n; i++)
		rules[i] = host_access_read_rule(&body->rules[i]);
	return access_set_list(a, body->list, rules, body->n, d);
}

static int change_members(struct access *a, const struct host_access *body, struct diag *d)
{
	struct nft_element changes[HOST_ACCESS_CHANGES_MAX];

	for (size_t i = 0; i < body->n; i++)
		changes[i] = host_access_read_change(&body->changes[i]);
	return access_apply(a, changes, body->n, d);
}

static int act(struct access *a, const struct host_message *m, struct diag *d)
{
	switch ((enum host_access_type)m->type) {
	case HOST_ACCESS_CLEAR:
		return access_clear(a, d);
	case HOST_ACCESS_STAGE:
		return access_stage(a, d);
	case HOST_ACCESS_ENFORCE:
		return access_enforce(a, d);
	case HOST_ACCESS_CHECK:
		return access_check(a);
	case HOST_ACCESS_LIST:
		return set_list(a, &m->access, d);
	case HOST_ACCESS_REMOVE:
		return access_remove_list(a, m->access.list, d);
	case HOST_ACCESS_MEMBERS:
		return change_members(a, &m->access, d);
	case HOST_ACCESS_DONE:
		break;
	}
	return ERR_UNKNOWN;
}

uint32_t access_desk_do(struct access *a, const struct host_message *m)
{
	struct diag d = { .text = "" };
	int err = act(a, m, &d);

	if (err < 0 && d.text[0])
		log_warning("%s", d.text);
	return (uint32_t)-err;
}
