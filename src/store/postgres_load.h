/* SPDX-License-Identifier: Apache-2.0 */
/**
 * postgres_load.h - Everything a database holds for an interface, row by row
 *
 * The functions of store.h of the same names.
 *
 * Threads: that of store_apply(); postgres_read_audit() in any one other.
 */
#pragma once

#include "store/postgres.h"

int postgres_load_peers(struct store *s, store_peer_visitor visit, void *context);
int postgres_load_resting(struct store *s, store_resting_visitor visit, void *context);
int postgres_load_profiles(struct store *s, store_profile_visitor visit, void *context);
int postgres_load_signatures(struct store *s, store_signature_visitor visit, void *context,
			     uint64_t *ret_floor_s);
int postgres_load_records(struct store *s, store_record_visitor visit, void *context);
int postgres_load_usage(struct store *s, store_usage_visitor visit, void *context);
int postgres_load_answered(struct store *s, store_answered_visitor visit, void *context);
int postgres_read_audit(struct store *s, int64_t after, size_t limit, store_audit_visitor visit,
			void *context);

/** postgres_load_head() - Where the audit trail goes on, into @s */
int postgres_load_head(struct postgres *s);
