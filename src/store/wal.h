/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wal.h - The write-ahead log of an open database, and what the disk under it is known to do
 *
 * Moving the log into the file (a checkpoint) costs writes all over the file and another fsync,
 * so all but the last of it is kept away from the thread that commits: wal_maintain() does it
 * through a connection of its own. Others may read the file as long as they like (a backup, a
 * shell): nothing here waits for a reader.
 *
 * Every outcome of SQLite passes through wal_code(), which remembers when the disk failed: from
 * then on nobody knows what it holds, and wal_be_sure() lets no change begin.
 *
 * Threads: wal_maintain() in one, everything else in that of @db; at the same time.
 */
#pragma once

#include <stdbool.h>

#include <sqlite3.h>

/* How long a lock is waited for: a backup or a curious sqlite3 may hold the file. */
enum { WAL_BUSY_MS = 5000 };

/**
 * struct wal - All zeroes but the connections is a log that nothing is known of
 * @db:		Of the thread that commits and loads; borrowed
 * @second:	Of the thread that maintains; borrowed
 * @is_unsure:	What the log holds may be on no disk: see wal_be_sure()
 * @maintained:	Calls of wal_maintain(), up to a bound; of its thread
 * @saw_it_work: A change reached log and file; of that thread too
 * @failed:	An I/O error: what the disk holds is not known
 * @is_corrupt:	A new process would not help
 */
struct wal {
	sqlite3 *db;
	sqlite3 *second;
	bool is_unsure;
	unsigned int maintained;
	bool saw_it_work;
	_Atomic bool has_committed;
	_Atomic bool is_long;
	_Atomic bool failed;
	_Atomic bool is_corrupt;
};

/**
 * wal_code() - What SQLite's @rc on @db means
 *
 * Return: 0; ERR_EXISTS (a constraint), ERR_UNKNOWN (a reference), ERR_CORRUPT, -ENOSPC, -EBUSY,
 *	   -ENOMEM, -EIO.
 */
int wal_code(struct wal *w, sqlite3 *db, int rc);

/**
 * wal_be_sure() - May a change begin? Every one asks
 *
 * After a failed fsync the kernel shows the next process what it never wrote, and takes it for
 * written. What is acknowledged from then on would stand in the log behind a hole: so all of
 * the log of a file that was just opened is written once more before the first change.
 *
 * Return: 0; -EIO when the disk failed; or why the log could not be written.
 */
int wal_be_sure(struct wal *w);

/** wal_begin_anew() - Cut a log that has grown long, if nobody is in the way. Before a group */
int wal_begin_anew(struct wal *w);

/** wal_committed() - A group reached the log */
void wal_committed(struct wal *w);

/** wal_maintain() - As store_maintain() */
int wal_maintain(struct wal *w);
