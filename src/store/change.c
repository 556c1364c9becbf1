/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store.h"

static const char *const kind_words[STORE_RECORD_KINDS] = {
	[STORE_ACCOUNT] = "account", [STORE_KEY] = "key",	[STORE_WEBHOOK] = "webhook",
	[STORE_LINK] = "link",	     [STORE_ACCESS] = "access", [STORE_SETTING] = "setting",
	[STORE_OUTBOX] = "event",    [STORE_USER] = "user",
};

const char *store_subject(const struct store_change *c, char out[STORE_SUBJECT_MAX + 1])
{
	size_t size = STORE_SUBJECT_MAX + 1;

	if (c->subject[0] || c->kind == STORE_NO_CHANGE)
		return c->subject;
	if (c->kind == STORE_PUT_RECORD || c->kind == STORE_DROP_RECORD)
		snprintf(out, size, "%s %" PRId64 " %s", kind_words[c->record.kind],
			 c->record.id, c->record.name);
	else
		snprintf(out, size, "peer %" PRId64 "%s%s", c->peer.id,
			 c->peer.name[0] ? " " : "", c->peer.name);
	return out;
}
