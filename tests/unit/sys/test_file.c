/* SPDX-License-Identifier: Apache-2.0 */
/* In a directory of its own; write failures come from RLIMIT_FSIZE and from a directory in the way. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "base/err.h"
#include "sys/file.h"

static int dir; /* the test's directory */

static int count_entries(void)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY));
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

static void reads_back_what_was_written_with_its_mode(void)
{
	char text[16] = { 0 };
	struct stat st;
	size_t len = 0;

	umask(077);
	CHECK(file_write(dir, "a", "hello", 5, FILE_MODE(0644)) == 0);
	CHECK(file_read(dir, "a", text, sizeof(text), &len) == 0);
	CHECK(len == 5 && memcmp(text, "hello", 5) == 0);
	CHECK(fstatat(dir, "a", &st, 0) == 0 && (st.st_mode & 07777) == 0644);
	CHECK(file_write(dir, "a", "key", 3, FILE_MODE(0600)) == 0);
	CHECK(file_read(dir, "a", text, sizeof(text), &len) == 0 && len == 3);
	CHECK(fstatat(dir, "a", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(count_entries() == 1);
}

static void takes_a_file_of_exactly_the_bound_and_not_one_more(void)
{
	char text[5];
	size_t len = 99;

	CHECK(file_write(dir, "a", "12345", 5, FILE_MODE(0600)) == 0);
	CHECK(file_read(dir, "a", text, 5, &len) == 0 && len == 5);
	len = 99;
	CHECK(file_read(dir, "a", text, 4, &len) == ERR_LIMIT && len == 99);
}

static void follows_no_link_and_reads_no_fifo_or_directory(void)
{
	char text[64];
	size_t len;

	CHECK(symlinkat("/etc/hostname", dir, "link") == 0);
	CHECK(file_read(dir, "link", text, sizeof(text), &len) == -ELOOP);
	CHECK(mkfifoat(dir, "fifo", 0600) == 0);
	CHECK(file_read(dir, "fifo", text, sizeof(text), &len) == -EINVAL);
	CHECK(mkdirat(dir, "sub", 0700) == 0);
	CHECK(file_read(dir, "sub", text, sizeof(text), &len) == -EINVAL);
	CHECK(file_read(dir, "missing", text, sizeof(text), &len) == -ENOENT);
}

static void a_link_is_replaced_and_what_it_points_to_stays(void)
{
	char text[16];
	size_t len = 0;

	CHECK(file_write(dir, "target", "old", 3, FILE_MODE(0600)) == 0);
	CHECK(symlinkat("target", dir, "to-target") == 0);
	CHECK(file_write(dir, "to-target", "new", 3, FILE_MODE(0600)) == 0);
	CHECK(file_read(dir, "target", text, sizeof(text), &len) == 0 &&
	      memcmp(text, "old", 3) == 0);
	CHECK(file_read(dir, "to-target", text, sizeof(text), &len) == 0);
	CHECK(len == 3 && memcmp(text, "new", 3) == 0);
}

static void what_an_operator_names_may_be_a_link(void)
{
	char path[64], text[16];
	size_t len = 0;

	CHECK(file_write(dir, "renewed", "pem", 3, FILE_MODE(0600)) == 0);
	CHECK(symlinkat("renewed", dir, "live") == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/live", dir);
	CHECK(file_read(dir, "live", text, sizeof(text), &len) == -ELOOP);
	CHECK(file_read_named(path, text, sizeof(text), &len) == 0 && len == 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/fifo", dir);
	CHECK(file_read_named(path, text, sizeof(text), &len) == -EINVAL);
	CHECK(unlinkat(dir, "live", 0) == 0 && unlinkat(dir, "renewed", 0) == 0);
}

static void a_refused_rename_leaves_nothing_behind(void)
{
	int before = count_entries();

	CHECK(file_write(dir, "sub", "x", 1, FILE_MODE(0600)) == -EISDIR);
	CHECK(file_write(dir, "no/such", "x", 1, FILE_MODE(0600)) == -ENOENT);
	CHECK(count_entries() == before);
}

static int write_past_the_limit(void)
{
	static char big[8192];
	const struct rlimit limit = { 4096, 4096 };

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	return file_write(dir, "a", big, sizeof(big), FILE_MODE(0600)) == -EFBIG ? 42 : 1;
}

static void a_write_that_fails_half_way_keeps_the_old_content(void)
{
	int before = count_entries();
	char text[16];
	size_t len = 0;
	int status = 0;
	pid_t pid;

	CHECK(file_write(dir, "a", "old", 3, FILE_MODE(0600)) == 0);
	pid = fork();
	if (pid == 0)
		_exit(write_past_the_limit());
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42);
	CHECK(file_read(dir, "a", text, sizeof(text), &len) == 0);
	CHECK(len == 3 && memcmp(text, "old", 3) == 0);
	CHECK(count_entries() == before);
}

static void writes_below_a_path_as_well(void)
{
	char text[16];
	size_t len = 0;

	CHECK(file_write(dir, "sub/deep", "x", 1, FILE_MODE(0600)) == 0);
	CHECK(file_read(dir, "sub/deep", text, sizeof(text), &len) == 0 && len == 1);
	unlinkat(dir, "sub/deep", 0);
}

static void clean(const char *path)
{
	static const char *const names[] = { "a", "link", "fifo", "target", "to-target" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(dir, names[i], 0);
	unlinkat(dir, "sub", AT_REMOVEDIR);
	close(dir);
	CHECK(rmdir(path) == 0);
}

int main(void)
{
	char path[] = "/tmp/culvert-test-XXXXXX";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mkdtemp(path))
		return 1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	RUN(reads_back_what_was_written_with_its_mode);
	RUN(takes_a_file_of_exactly_the_bound_and_not_one_more);
	RUN(follows_no_link_and_reads_no_fifo_or_directory);
	RUN(a_link_is_replaced_and_what_it_points_to_stays);
	RUN(what_an_operator_names_may_be_a_link);
	RUN(a_refused_rename_leaves_nothing_behind);
	RUN(a_write_that_fails_half_way_keeps_the_old_content);
	RUN(writes_below_a_path_as_well);
	clean(path);
	return DONE();
}
