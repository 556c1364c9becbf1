/* SPDX-License-Identifier: Apache-2.0 */
#include "store/disk.h"

#include <stdlib.h>

/* @which: SQLITE_FCNTL_FILE_POINTER or SQLITE_FCNTL_JOURNAL_POINTER. NULL: not open */
static sqlite3_file *file_of(sqlite3 *db, int which)
{
	sqlite3_file *f = NULL;

	if (sqlite3_file_control(db, "main", which, &f) != SQLITE_OK)
		return NULL;
	return f && f->pMethods ? f : NULL;
}

int disk_write_again(sqlite3 *db, int *ret_os_error)
{
	sqlite3_file *f = file_of(db, SQLITE_FCNTL_JOURNAL_POINTER);
	unsigned char block[16384];
	sqlite3_int64 size = 0;
	int n, rc;

	*ret_os_error = 0;
	if (!f)
		return SQLITE_OK;
	rc = f->pMethods->xFileSize(f, &size);
	for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += n) {
		n = (int)sizeof(block);
		if (size - at < n)
			n = (int)(size - at);
		rc = f->pMethods->xRead(f, block, n, at);
		if (rc == SQLITE_OK)
			rc = f->pMethods->xWrite(f, block, n, at);
	}
	if (rc == SQLITE_OK)
		rc = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
	if (rc != SQLITE_OK)
		f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, ret_os_error);
	return rc;
}

/* Write a file beside the database and wait for the disk; it has no name any more meanwhile. */
static bool probe_works(sqlite3 *db)
{
	static const char block[4096];
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
	char *path = sqlite3_mprintf("%s-probe", sqlite3_db_filename(db, "main"));
	int rc = SQLITE_NOMEM;

	if (file && path)
		rc = vfs->xOpen(vfs, path, file,
				SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
					SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TRANSIENT_DB,
				NULL);
	if (rc == SQLITE_OK)
		rc = file->pMethods->xWrite(file, block, sizeof(block), 0);
	if (rc == SQLITE_OK)
		rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
	if (file && file->pMethods)
		file->pMethods->xClose(file);
	sqlite3_free(path);
	free(file);
	return rc == SQLITE_OK;
}

/* Can what stands in that file still reach the disk? */
static bool syncs(sqlite3 *db, int which)
{
	sqlite3_file *f = file_of(db, which);

	return !f || f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) == SQLITE_OK;
}

bool disk_works(sqlite3 *db)
{
	return syncs(db, SQLITE_FCNTL_FILE_POINTER) &&
	       syncs(db, SQLITE_FCNTL_JOURNAL_POINTER) && probe_works(db);
}
