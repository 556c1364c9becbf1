/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.h - A disk that is full, or whose fsync fails, when the test says so
 *
 * A VFS between SQLite and the real one: it passes every call on, except those that the
 * switches below make fail.
 */
#pragma once

#include <stdbool.h>
#include <stdlib.h>

#include <sqlite3.h>

static bool faults_full;       /* every write: no space left */
static bool faults_sync;       /* every fsync: input/output error */
static bool faults_sync_named; /* the same, but not of files without a name */
static int faults_syncs;       /* how many fsyncs were asked for */

/* Octets written to a log, and how many of them an fsync has confirmed. */
static long faults_log_written, faults_log_synced;

static void (*faults_on_sync)(void); /* called once by the next fsync: something in between */

struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
	int flags;
};

static sqlite3_vfs *faults_real;

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct faulty_file *)f)->real;
}

#define PASS(name, parameters, ...)                                         \
	static int fault_##name parameters                                  \
	{                                                                   \
		return real_of(f)->pMethods->name(real_of(f), __VA_ARGS__); \
	}

PASS(xRead, (sqlite3_file * f, void *b, int n, sqlite3_int64 at), b, n, at)
PASS(xTruncate, (sqlite3_file * f, sqlite3_int64 size), size)
PASS(xFileSize, (sqlite3_file * f, sqlite3_int64 *size), size)
PASS(xLock, (sqlite3_file * f, int lock), lock)
PASS(xUnlock, (sqlite3_file * f, int lock), lock)
PASS(xCheckReservedLock, (sqlite3_file * f, int *out), out)
PASS(xFileControl, (sqlite3_file * f, int op, void *argument), op, argument)
PASS(xShmMap, (sqlite3_file * f, int at, int size, int extend, void volatile **out), at, size,
     extend, out)
PASS(xShmLock, (sqlite3_file * f, int at, int n, int flags), at, n, flags)
PASS(xShmUnmap, (sqlite3_file * f, int remove_it), remove_it)

static int fault_xClose(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int fault_xWrite(sqlite3_file *f, const void *b, int n, sqlite3_int64 at)
{
	if (faults_full)
		return SQLITE_FULL;
	if (((struct faulty_file *)f)->flags & SQLITE_OPEN_WAL)
		faults_log_written += n;
	return real_of(f)->pMethods->xWrite(real_of(f), b, n, at);
}

static int fault_xSync(sqlite3_file *f, int flags)
{
	void (*between)(void) = faults_on_sync;
	int of = ((struct faulty_file *)f)->flags;

	faults_syncs++;
	faults_on_sync = NULL;
	if (between)
		between();
	if (faults_sync || (faults_sync_named && !(of & SQLITE_OPEN_DELETEONCLOSE)))
		return SQLITE_IOERR_FSYNC;
	if (of & SQLITE_OPEN_WAL)
		faults_log_synced = faults_log_written;
	return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int fault_xSectorSize(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int fault_xDeviceCharacteristics(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static void fault_xShmBarrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static const sqlite3_io_methods faulty_methods = {
	.iVersion = 2,
	.xClose = fault_xClose,
	.xRead = fault_xRead,
	.xWrite = fault_xWrite,
	.xTruncate = fault_xTruncate,
	.xSync = fault_xSync,
	.xFileSize = fault_xFileSize,
	.xLock = fault_xLock,
	.xUnlock = fault_xUnlock,
	.xCheckReservedLock = fault_xCheckReservedLock,
	.xFileControl = fault_xFileControl,
	.xSectorSize = fault_xSectorSize,
	.xDeviceCharacteristics = fault_xDeviceCharacteristics,
	.xShmMap = fault_xShmMap,
	.xShmLock = fault_xShmLock,
	.xShmBarrier = fault_xShmBarrier,
	.xShmUnmap = fault_xShmUnmap,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct faulty_file *file = (struct faulty_file *)f;

	(void)vfs;
	file->real = (sqlite3_file *)(file + 1);
	file->flags = flags;

	int rc = faults_real->xOpen(faults_real, name, file->real, flags, out);

	f->pMethods = file->real->pMethods ? &faulty_methods : NULL;
	return rc;
}

/* Make the faulty disk the one that every later sqlite3_open() uses. */
static void faults_install(void)
{
	static sqlite3_vfs vfs;

	faults_real = sqlite3_vfs_find(NULL);
	vfs = *faults_real;
	vfs.zName = "faulty";
	vfs.szOsFile = (int)sizeof(struct faulty_file) + faults_real->szOsFile;
	vfs.xOpen = faulty_open;
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
		abort();
}
