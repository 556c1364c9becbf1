/* SPDX-License-Identifier: Apache-2.0 */
/**
 * audit_verify.h - Does the audit trail of a database say what was written into it?
 *
 * Read beside a gateway that may be running; nothing is changed. A row that was touched, put in or taken
 * out is found. That rows were cut off at the end can only be seen by whoever knows the newest hash of
 * before.
 *
 * Threads: none here.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "crypto/secret.h"
#include "store/seal.h"

/**
 * struct audit_report - What was found
 * @rows:	Chained rows, of which @broken do not fit
 * @unchained:	Rows of before rows were chained
 * @first_broken: Id of the first that does not fit; 0: none
 * @first, @last: Ids of the oldest and newest row; @head is the newest hash
 */
struct audit_report {
	uint64_t rows;
	uint64_t broken;
	uint64_t unchained;
	int64_t first_broken;
	int64_t first;
	int64_t last;
	uint8_t head[SEAL_CHAIN_LEN];
};

/**
 * audit_verify() - Follow the chain of the database @path
 *
 * Return: 0 with the report, broken or not; ERR_CORRUPT, ERR_VERSION, -errno; reason in @d.
 */
int audit_verify(const char *path, const struct secret_key *master, struct audit_report *ret,
		 struct diag *d);

/**
 * audit_verify_postgres() - The same for the trail of @interface in the database of @conninfo
 *
 * Return: 0 with the report; as pg_target_new() and pg_link_run(); reason in @d.
 */
int audit_verify_postgres(const char *conninfo, const char *interface,
			  const struct secret_key *master, struct audit_report *ret,
			  struct diag *d);
