/* SPDX-License-Identifier: Apache-2.0 */
/**
 * load.h - Everything a database holds, row by row, for whoever opens it
 *
 * The functions of store.h of the same names, for the interface @interface_id.
 *
 * Threads: that of @w->db.
 */
#pragma once

#include "store/store.h"
#include "store/wal.h"

int load_peers(struct wal *w, int64_t interface_id, store_peer_visitor visit, void *context);
int load_resting(struct wal *w, int64_t interface_id, store_resting_visitor visit,
		 void *context);
int load_profiles(struct wal *w, int64_t interface_id, store_profile_visitor visit,
		  void *context);
int load_signatures(struct wal *w, store_signature_visitor visit, void *context,
		    uint64_t *ret_floor_s);
