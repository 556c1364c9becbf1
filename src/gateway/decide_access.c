/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "gateway/internal.h"

static int64_t list_of_body(const struct gateway *g, const char *body)
{
	return g->config.account_list && body ? g->config.account_list(body) : 0;
}

/* --- Accounts that name a list --- */

static void refer(struct gateway *g, int64_t list, int by)
{
	struct record *record = records_find_id(g->records, STORE_ACCESS, list);

	if (record)
		record->n_accounts += (size_t)by;
}

void decide_access_refer(struct gateway *g, const char *account_body, int by)
{
	refer(g, list_of_body(g, account_body), by);
}

/* Its peers get that list unless they name one: none may have networks behind it. */
static int judge_peers(const struct gateway *g, int64_t account_id)
{
	const struct peer *peer = peers_after(g->peers, 0);

	for (; peer; peer = peer->next) {
		if (peer->account_id != account_id || peer->access_id != 0)
			continue;
		if (peer->is_busy)
			return -EBUSY;
		if (peer->routes)
			return -EOPNOTSUPP;
	}
	return 0;
}

int decide_access_judge_account(const struct gateway *g, const struct record *account,
				const char *body)
{
	int64_t list = list_of_body(g, body);
	const struct record *record = records_find_id(g->records, STORE_ACCESS, list);

	if (list == 0 || (account && list == list_of_body(g, account->body)))
		return 0;
	if (!record || record->is_busy)
		return record ? -EBUSY : ERR_UNKNOWN;
	return account ? judge_peers(g, account->id) : 0;
}

/* --- Peers --- */

int decide_access_judge_peer(const struct gateway *g, const struct peer *peer)
{
	const struct record *account =
		records_find_id(g->records, STORE_ACCOUNT, peer->account_id);

	if (!peer->routes || !peer->routes[0])
		return 0;
	return peer->access_id != 0 || (account && list_of_body(g, account->body) != 0)
		       ? -EOPNOTSUPP
		       : 0;
}
