/* SPDX-License-Identifier: Apache-2.0 */
/**
 * objects.h - /api/v1/accounts and /api/v1/keys: small objects beside peers
 *
 * An account owns peers; switched off, none of them is served; those that name no access list have
 * the account's. A key is what a caller shows instead of a signature: it has a role, may belong to an account, may expire, and is told once, when it is
 * made. Both are named in a path by their number.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void accounts_list(struct call *call);
void accounts_create(struct call *call);
void accounts_show(struct call *call);
void accounts_change(struct call *call);
void accounts_delete(struct call *call);

void keys_list(struct call *call);
void keys_create(struct call *call);
void keys_show(struct call *call);
void keys_delete(struct call *call);

/** account_is_enabled() - By the body of its record */
bool account_is_enabled(const struct record *account);

/** account_access_list() - Which list its peers have, by the body of its record; 0: none */
int64_t account_access_list(const char *body);

/* --- What every kind has in common; also links, webhooks and access lists --- */

const struct records *object_records(const struct call *call);

/** object_find() - The one whose number is in the path; NULL: none */
struct record *object_find(const struct call *call, enum store_record_kind kind);

/** object_page() - A list of them, as the query wants it; NULL: the call was answered
 * @name:	Of the member that has them */
json_t *object_page(struct call *call, enum store_record_kind kind, const char *name,
		    json_t *(*show)(const struct record *record));
void object_show(struct call *call, enum store_record_kind kind,
		 json_t *(*to_json)(const struct record *record));
void object_drop(struct call *call, enum store_record_kind kind, const char *action,
		 const char *in_use);
/** object_drop_one() - The same of @one; NULL: there is none that the caller may know of */
void object_drop_one(struct call *call, const struct record *one, const char *action,
		     const char *in_use);
/** object_made() - The one that the body names, or @call->id; NULL: @err, or it is gone: answered */
const struct record *object_made(struct call *call, enum store_record_kind kind, int err);
void object_refuse_unknown(struct call *call);

const char *object_read_name(struct json_reader *r, bool required);

/** object_has_room() - May one more of @kind be made? If not, that is answered */
bool object_has_room(struct call *call, enum store_record_kind kind);

/** object_follow_put() - What became of handing a record to the gateway */
void object_follow_put(struct call *call, int err);
