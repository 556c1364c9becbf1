/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal.h"

#include <errno.h>
#include <stddef.h>

#include <stdatomic.h>

#include "base/err.h"
#include "store/disk.h"

enum {
	/* Calls of wal_maintain(), one a second: a disk that fails whoever opens the file must
	 * not cost a process every few seconds, for reading goes on meanwhile. One that saw it
	 * work need not live so long. */
	STALE_AFTER = 300,
};

/* Beyond this length the log is begun anew, so that it overwrites itself instead of growing:
 * a file that grows costs metadata with every fsync. */
static const int LOG_FRAMES_MAX = 4096; /* 16 MiB */

/* --- Outcomes --- */

static int code_with(struct wal *w, int rc, int os_error)
{
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY) /* who is referred to is not there */
		return ERR_UNKNOWN;
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		atomic_store(&w->is_corrupt, true);
		atomic_store(&w->failed, true);
		return ERR_CORRUPT;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		/* A quota, or no room for the index of the log: full by another name. */
		if (os_error == ENOSPC || os_error == EDQUOT)
			return -ENOSPC;
		break;
	default:
		break;
	}
	atomic_store(&w->failed, true);
	return -EIO;
}

int wal_code(struct wal *w, sqlite3 *db, int rc)
{
	return code_with(w, rc, sqlite3_system_errno(db));
}

/* --- Beginning a change --- */

/* Meanwhile nobody else may write to the log, or begin it anew; who reads is no matter. */
static int write_log_again(struct wal *w)
{
	int os_error = 0, rc, err;

	if (!w->is_unsure)
		return 0;
	err = wal_code(w, w->db, sqlite3_exec(w->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
	if (err != 0)
		return err;
	rc = disk_write_again(w->db, &os_error);
	err = code_with(w, rc, os_error);
	sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
	w->is_unsure = err != 0;
	return err;
}

int wal_be_sure(struct wal *w)
{
	return atomic_load(&w->failed) ? -EIO : write_log_again(w);
}

/* --- Keeping it short --- */

static int move_log(struct wal *w, sqlite3 *db, int how, int *ret_frames, int *ret_moved)
{
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, how, ret_frames, ret_moved);
	int err = wal_code(w, db, rc);

	return err == -EBUSY ? 0 : err; /* next time */
}

/* Under steady load the writer is always a few frames ahead of the other thread, and the log
 * would never end. What is left to move is little, so whoever writes does it: if the other
 * thread did, the writer would wait for a lock, and SQLite waits by sleeping. A reader that
 * stands in the way is not waited for: then it is done another time. */
int wal_begin_anew(struct wal *w)
{
	int frames = 0, moved = 0, err;

	if (!atomic_exchange(&w->is_long, false))
		return 0;
	sqlite3_busy_timeout(w->db, 0);
	err = move_log(w, w->db, SQLITE_CHECKPOINT_RESTART, &frames, &moved);
	sqlite3_busy_timeout(w->db, WAL_BUSY_MS);
	return err;
}

void wal_committed(struct wal *w)
{
	atomic_store(&w->has_committed, true);
}

static int after_failure(struct wal *w)
{
	if (atomic_load(&w->is_corrupt) || (!w->saw_it_work && w->maintained < STALE_AFTER))
		return -EIO;
	return disk_works(w->second) ? -ESTALE : -EIO;
}

int wal_maintain(struct wal *w)
{
	bool has_committed = atomic_load(&w->has_committed);
	int frames = 0, moved = 0, err;

	w->maintained += w->maintained < STALE_AFTER;
	if (atomic_load(&w->failed))
		return after_failure(w);
	err = move_log(w, w->second, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
	w->saw_it_work |= err == 0 && has_committed && frames > 0 && moved == frames;
	atomic_store(&w->is_long, frames > LOG_FRAMES_MAX);
	return err;
}
