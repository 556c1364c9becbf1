/* SPDX-License-Identifier: Apache-2.0 */
/**
 * load.h - Everything a database holds, row by row, for whoever opens it
 *
 * The functions of store.h of the same names, for the interface of the store.
 *
 * Threads: that of store_apply(); load_audit() in any one other.
 */
#pragma once

#include "store/sqlite.h"

int load_peers(struct sqlite *s, store_peer_visitor visit, void *context);
int load_resting(struct sqlite *s, store_resting_visitor visit, void *context);
int load_profiles(struct sqlite *s, store_profile_visitor visit, void *context);
int load_signatures(struct sqlite *s, store_signature_visitor visit, void *context,
		    uint64_t *ret_floor_s);
int load_records(struct sqlite *s, store_record_visitor visit, void *context);
int load_usage(struct sqlite *s, store_usage_visitor visit, void *context);
int load_answered(struct sqlite *s, store_answered_visitor visit, void *context);
int load_audit(struct sqlite *s, int64_t after, size_t limit, store_audit_visitor visit,
	       void *context);

/** load_head() - Where the audit trail goes on, into @s */
int load_head(struct sqlite *s);

/** load_is_sealed_by() - Can one of the secrets be opened, if there is any? 0 or ERR_AUTH */
int load_is_sealed_by(struct sqlite *s);
