/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backup_file.h - culvert backup: what its actions share, and each of them
 *
 * An action complains by itself and returns an exit code.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/audit_verify.h"
#include "store/backup.h"
#include "store/backup_database.h"

enum { BACKUP_PATH_MAX = 512 };

/**
 * struct backup_call - One call of the command
 * @file:	The backup, or for create a directory
 * @keep:	How many of its own create leaves in a directory; 0: all
 * @work:	A directory in memory, where verify unpacks the database
 */
struct backup_call {
	const char *file;
	const char *state;
	const char *work;
	uint64_t keep;
	bool json;
	bool force;
	struct backup_secret secret;
};

/**
 * struct backup_found - What a backup held
 * @files:	Bits of backup_names
 * @has_audit:	@audit was followed: the master key was in the backup
 */
struct backup_found {
	unsigned int files;
	struct backup_counts counts;
	bool has_audit;
	struct audit_report audit;
};

/** backup_complain() - "culvert backup: ..." on standard error. Return: @code */
__attribute__((format(printf, 2, 3))) int backup_complain(int code, const char *format, ...);
/** backup_note() - What takes a while, and how much of it, to whoever looks on; quiet below 16 MiB */
void backup_note(const char *doing, const char *what, uint64_t octets);
/** backup_code() - The exit code for what the format or the disk said */
int backup_code(int err);

int backup_create(const struct backup_call *c);
int backup_verify(const struct backup_call *c);
int backup_restore(const struct backup_call *c);
