/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store.h"
#include "sys/log.h"

static const char *const kind_words[STORE_RECORD_KINDS] = {
	[STORE_ACCOUNT] = "account", [STORE_KEY] = "key",	[STORE_WEBHOOK] = "webhook",
	[STORE_LINK] = "link",	     [STORE_ACCESS] = "access", [STORE_SETTING] = "setting",
	[STORE_OUTBOX] = "event",    [STORE_USER] = "user",	[STORE_ENROLMENT] = "enrolment",
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

int store_check_body(const struct store_record *one, bool is_sealed, bool must_be)
{
	bool is_known = one->kind > 0 && one->kind < STORE_RECORD_KINDS;

	if (is_sealed == must_be)
		return 0;
	log_error("record %" PRId64 " of the database (%s) is %s, and its kind is not: somebody"
		  " else wrote it",
		  one->id, is_known ? kind_words[one->kind] : "of an unknown kind",
		  is_sealed ? "sealed" : "plain");
	return ERR_CORRUPT;
}
