/* SPDX-License-Identifier: Apache-2.0 */
/**
 * disk.h - The files of an open database, below what SQL can say
 *
 * Through the connection's own descriptors: closing another one of the same file would drop
 * the locks that SQLite holds on it.
 *
 * Threads: that of the connection.
 */
#pragma once

#include <stdbool.h>

#include <sqlite3.h>

/**
 * disk_write_again() - Write the log over itself, the same octets, and wait for the disk
 *
 * What the kernel shows of a file is on the disk afterwards, even where an fsync had failed.
 * To be interrupted at any point does no harm. The caller keeps others from writing to it:
 * a transaction is enough, for it is the writer who begins a log anew.
 *
 * Return: an SQLITE_... code, with errno in @ret_os_error. No log: SQLITE_OK
 */
int disk_write_again(sqlite3 *db, int *ret_os_error);

/** disk_works() - Do the database, its log and a new file beside them reach the disk? */
bool disk_works(sqlite3 *db);
