/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hub_backup.h - The files of a node in one archive, and back
 *
 * The archive is DIR/culvert-hub-YYYYMMDDTHHMMSSZ-NN.backup, mode 0600, for it holds the node's private key.
 * Text: a line "culvert-backup 1", the files as conf/archive.h keeps them, and at the end "blake2s HEX" over all before. It is read again and compared
 * before older archives are removed.
 *
 * Bounds: BACKUP_FILES_MAX files, BACKUP_SIZE_MAX octets.
 */
#pragma once

#include "cmd/hub.h"

enum {
	BACKUP_FILES_MAX = 1024,
	BACKUP_SIZE_MAX = 4 << 20,
};

int hub_backup(const struct hub_request *r);
int hub_restore(const struct hub_request *r); /* @r->name is the archive */
