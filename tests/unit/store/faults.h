/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.h - A disk that is full, or whose fsync fails, when the test says so
 *
 * A VFS between SQLite and the real one: it passes every call on, except those that the
 * switches below make fail. It can also end the process in the middle, and keep what of each file
 * would have survived if the power had failed there.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <unistd.h>

static bool faults_full;       /* every write: no space left */
static bool faults_sync;       /* every fsync: input/output error */
static bool faults_sync_named; /* the same, but not of files without a name */
static int faults_syncs;       /* how many fsyncs were asked for */

/* Octets written to a log, and how many of them an fsync has confirmed. */
static long faults_log_written, faults_log_synced;

static void (*faults_on_sync)(void); /* called once by the next fsync: something in between */

/* Calls that change a file, and at which of them the process ends; 0: at none. */
static long faults_calls, faults_end_at;

static enum faults_end {
	FAULTS_END_BEFORE, /* the call does nothing any more */
	FAULTS_END_HALF,   /* half of what is to be written arrives */
	FAULTS_END_AFTER,
} faults_end;

static bool faults_keeps_synced; /* beside each file, as NAME.synced, what an fsync confirmed */

struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
	const char *name;   /* NULL: without one */
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

/* Is this the call at which the process ends? */
static bool is_the_end(void)
{
	faults_calls++;
	if (faults_calls != faults_end_at)
		return false;
	if (faults_end == FAULTS_END_BEFORE)
		_exit(0);
	return true;
}

static void end_if(bool is_over)
{
	if (is_over)
		_exit(0);
}

static int fault_xWrite(sqlite3_file *f, const void *b, int n, sqlite3_int64 at)
{
	bool is_over;
	int rc;

	if (faults_full)
		return SQLITE_FULL;
	is_over = is_the_end();
	if (((struct faulty_file *)f)->flags & SQLITE_OPEN_WAL)
		faults_log_written += n;
	if (is_over && faults_end == FAULTS_END_HALF)
		n /= 2;
	rc = real_of(f)->pMethods->xWrite(real_of(f), b, n, at);
	end_if(is_over);
	return rc;
}

static int fault_xTruncate(sqlite3_file *f, sqlite3_int64 size)
{
	bool is_over = is_the_end();
	int rc = real_of(f)->pMethods->xTruncate(real_of(f), size);

	end_if(is_over);
	return rc;
}

static void copy_file(const char *from, const char *to)
{
	static char block[65536];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t n;

	if (!in || !out)
		abort();
	while ((n = fread(block, 1, sizeof(block), in)) > 0)
		if (fwrite(block, 1, n, out) != n)
			abort();
	fclose(in);
	if (fclose(out) != 0)
		abort();
}

/* The name of what an fsync has confirmed of @name, in a buffer that the next call uses again. */
static const char *synced_name(const char *name)
{
	static char out[256];

	snprintf(out, sizeof(out), "%s.synced", name);
	return out;
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
	bool is_over = is_the_end();
	int rc = real_of(f)->pMethods->xSync(real_of(f), flags);

	if (of & SQLITE_OPEN_WAL)
		faults_log_synced = faults_log_written;
	if (faults_keeps_synced && ((struct faulty_file *)f)->name)
		copy_file(((struct faulty_file *)f)->name,
			  synced_name(((struct faulty_file *)f)->name));
	end_if(is_over);
	return rc;
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
	file->name = name;
	file->flags = flags;

	int rc = faults_real->xOpen(faults_real, name, file->real, flags, out);

	f->pMethods = file->real->pMethods ? &faulty_methods : NULL;
	return rc;
}

/* With @sync the directory is synced as well: the file is gone for good. */
static int faulty_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	bool is_over = is_the_end();
	int rc = faults_real->xDelete(faults_real, name, sync);

	(void)vfs;
	if (faults_keeps_synced && sync)
		unlink(synced_name(name));
	end_if(is_over);
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
	vfs.xDelete = faulty_delete;
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
		abort();
}
