/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/host_undo.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "net/nft.h"
#include "sys/clock.h"
#include "sys/file.h"

#define RUN_DIR "/run/culvert"
#define LOCK	RUN_DIR "/host-firewall.lock"
#define WAITING RUN_DIR "/host-firewall"

enum {
	LOOK_MS = 200,
	HEAD_MAX = 32, /* the first line: whose file it is */
	WAITING_MAX = NFT_LIST_MAX + HEAD_MAX,
};

/** struct waiting - The file. @token: of the process that waits; @before: a table, or "" */
struct waiting {
	char token[HEAD_MAX];
	char before[NFT_LIST_MAX];
};

static int lock(void)
{
	int fd;

	if (mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int read_waiting(struct waiting *ret)
{
	char in[WAITING_MAX + 1];
	size_t len = 0;
	int err = file_read(AT_FDCWD, WAITING, in, WAITING_MAX, &len);
	const char *newline;

	if (err)
		return err;
	in[len] = '\0';
	newline = strchr(in, '\n');
	if (!newline || newline - in >= HEAD_MAX || strlen(newline + 1) >= NFT_LIST_MAX)
		return ERR_CORRUPT;
	snprintf(ret->token, sizeof(ret->token), "%.*s", (int)(newline - in), in);
	snprintf(ret->before, sizeof(ret->before), "%s", newline + 1);
	return 0;
}

static int write_waiting(const struct waiting *w)
{
	char out[WAITING_MAX + 1];
	int len = snprintf(out, sizeof(out), "%s\n%s", w->token, w->before);

	return file_write(AT_FDCWD, WAITING, out, (size_t)len, FILE_MODE(0600));
}

bool host_undo_waits(void)
{
	return access(WAITING, F_OK) == 0;
}

/* --- The process that waits --- */

static bool is_mine(const struct waiting *w)
{
	struct waiting now;

	return read_waiting(&now) == 0 && strcmp(now.token, w->token) == 0;
}

static int put_back(const char *table, const char *before)
{
	struct text out = { .max = 2 * (size_t)NFT_LIST_MAX };
	struct diag d = { 0 };
	int err;

	text_printf(&out, "table inet %s\ndelete table inet %s\n%s", table, table, before);
	err = out.err ? out.err : nft_run_text(out.data, out.len, &d);
	text_done(&out);
	return err;
}

/* Tried until it works: nobody else will. */
static void take_back(const char *table, const struct waiting *w)
{
	const struct timespec pause = { .tv_sec = 1 };
	int fd = lock();

	while (is_mine(w)) {
		if (put_back(table, w->before) == 0 && unlink(WAITING) == 0)
			break;
		nanosleep(&pause, NULL);
	}
	if (fd >= 0)
		close(fd);
}

static void detach(void)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN); /* of a session that ends */
	if (chdir("/") < 0 || null < 0)
		_exit(1);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	closefrom(3);
}

static _Noreturn void wait_and_undo(const char *table, const struct waiting *w,
				    unsigned int seconds)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	uint64_t end = clock_boot_ns() + (uint64_t)seconds * 1000000000;

	detach();
	while (clock_boot_ns() < end && is_mine(w))
		nanosleep(&pause, NULL);
	take_back(table, w);
	_exit(0);
}

/* The child in between ends at once, so that the one that waits has no parent of ours. */
static int start(const char *table, const struct waiting *w, unsigned int seconds)
{
	int status = -1;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			wait_and_undo(table, w, seconds);
		_exit(pid < 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status == 0 ? 0 : -EAGAIN;
}

/* --- The calls --- */

/* What is there now, unless rules wait already: then what was before those. */
static int take_before(const char *table, struct waiting *w, struct diag *d)
{
	struct waiting earlier;
	int err = read_waiting(&earlier);

	if (err == 0) {
		memcpy(w->before, earlier.before, sizeof(w->before));
		return 0;
	}
	if (err != -ENOENT)
		return diag_set(d, err, 0, "%s: %s", WAITING, err_text(err));
	err = nft_list_table(table, true, w->before, d);
	if (err == ERR_UNKNOWN) { /* no such table */
		w->before[0] = '\0';
		return 0;
	}
	if (!err && strlen(w->before) >= NFT_LIST_MAX - 1)
		return diag_set(d, ERR_LIMIT, 0, "the table inet %s is too long to remember",
				table);
	return err;
}

int host_undo_arm(const char *table, unsigned int seconds, struct diag *d)
{
	struct waiting w = { .before = "" };
	int fd = lock();
	int err;

	if (fd < 0)
		return diag_set(d, fd, 0, LOCK ": %s", err_text(fd));
	snprintf(w.token, sizeof(w.token), "%ld-%llu", (long)getpid(),
		 (unsigned long long)clock_boot_ns());
	err = take_before(table, &w, d);
	if (!err) {
		err = write_waiting(&w);
		if (!err)
			err = start(table, &w, seconds);
		if (err)
			diag_set(d, err, 0, "cannot start what would undo the rules: %s",
				 err_text(err));
	}
	close(fd);
	return err;
}

int host_undo_confirm(struct diag *d)
{
	int fd = lock();
	int err = 0;

	if (fd < 0)
		return diag_set(d, fd, 0, LOCK ": %s", err_text(fd));
	if (unlink(WAITING) < 0)
		err = errno == ENOENT
			      ? diag_set(d, -ENOENT, 0, "no rules wait for a word")
			      : diag_set(d, -errno, 0, WAITING ": %s", err_text(-errno));
	close(fd);
	return err;
}
