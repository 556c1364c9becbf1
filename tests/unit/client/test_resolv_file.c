/* SPDX-License-Identifier: Apache-2.0 */
/* In a directory of its own; no mount is made, so "written" is told to be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "client/resolv_file.h"

static char dir[64], path[96], state[64];
static int state_fd = -1;

static struct resolv_file file_of(void)
{
	return (struct resolv_file){ dir, "wg0", state_fd };
}

static struct undo_step step_of(enum undo_resolv how, const char *content)
{
	struct undo_step s = { .kind = UNDO_RESOLV, .resolv = how };

	s.content_len = strlen(content);
	memcpy(s.content, content, s.content_len);
	return s;
}

static void write_file(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

static bool says(const char *text)
{
	char now[4096] = "";
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(now, 1, sizeof(now) - 1, f) : 0;

	if (f)
		fclose(f);
	now[n] = '\0';
	return f && strcmp(now, text) == 0;
}

static bool is_alone(void)
{
	unlink(path);
	return rmdir(dir) == 0 && mkdir(dir, 0700) == 0;
}

static enum undo_resolv chosen(void)
{
	const struct resolv_file f = file_of();
	enum undo_resolv how = UNDO_RESOLV_WRITTEN;

	CHECK(resolv_file_choose(&f, &how) == 0);
	return how;
}

static void a_file_comes_back_as_the_same_inode(void)
{
	const struct resolv_file f = file_of();
	const struct undo_step step = step_of(UNDO_RESOLV_LINKED, "ours\n");
	struct stat before, after;
	bool left = true;

	write_file("theirs\n", 0640);
	CHECK(stat(path, &before) == 0 && chosen() == UNDO_RESOLV_LINKED);
	CHECK(resolv_file_replace(&f, &step) == 0);
	CHECK(says("ours\n") && resolv_file_is_ours(&f, &step));
	CHECK(stat(path, &after) == 0 && (after.st_mode & 07777) == 0644);
	CHECK(resolv_file_restore(&f, &step, &left) == 0 && !left && says("theirs\n"));
	CHECK(stat(path, &after) == 0 && after.st_ino == before.st_ino &&
	      after.st_mode == before.st_mode && after.st_nlink == 1 &&
	      after.st_mtim.tv_sec == before.st_mtim.tv_sec);
	CHECK(resolv_file_restore(&f, &step, &left) == 0 && !left && says("theirs\n"));
	CHECK(is_alone());
}

static void a_symbolic_link_comes_back_as_one(void)
{
	const struct resolv_file f = file_of();
	const struct undo_step step = step_of(UNDO_RESOLV_LINKED, "ours\n");
	char target[64] = "";
	bool left = true;

	CHECK(symlink("../run/resolve/stub.conf", path) == 0);
	CHECK(chosen() == UNDO_RESOLV_LINKED && resolv_file_replace(&f, &step) == 0);
	CHECK(says("ours\n"));
	CHECK(resolv_file_restore(&f, &step, &left) == 0 && !left);
	CHECK(readlink(path, target, sizeof(target) - 1) > 0);
	CHECK(strcmp(target, "../run/resolve/stub.conf") == 0 && is_alone());
}

static void what_was_not_there_is_not_there_again(void)
{
	const struct resolv_file f = file_of();
	const struct undo_step step = step_of(UNDO_RESOLV_CREATED, "ours\n");
	bool left = true;

	CHECK(chosen() == UNDO_RESOLV_CREATED && resolv_file_replace(&f, &step) == 0);
	CHECK(says("ours\n") && resolv_file_restore(&f, &step, &left) == 0 && !left);
	CHECK(access(path, F_OK) < 0 && is_alone());
}

static void a_file_in_place_gets_its_old_content(void)
{
	static const char *const olds[] = { "longer than what we write\n", "o\n", "" };
	const struct resolv_file f = file_of();
	const struct undo_step step = step_of(UNDO_RESOLV_WRITTEN, "ours, in place\n");

	for (size_t i = 0; i < sizeof(olds) / sizeof(olds[0]); i++) {
		struct stat before, after;
		bool left = true;

		write_file(olds[i], 0644);
		CHECK(stat(path, &before) == 0 && resolv_file_replace(&f, &step) == 0);
		CHECK(says("ours, in place\n"));
		CHECK(resolv_file_restore(&f, &step, &left) == 0 && !left && says(olds[i]));
		CHECK(stat(path, &after) == 0 && after.st_ino == before.st_ino);
		CHECK(resolv_file_restore(&f, &step, &left) == 0 && !left && says(olds[i]));
		CHECK(is_alone());
	}
}

static void what_somebody_else_has_written_since_stays(void)
{
	static const enum undo_resolv hows[] = { UNDO_RESOLV_LINKED, UNDO_RESOLV_WRITTEN,
						 UNDO_RESOLV_CREATED };
	const struct resolv_file f = file_of();

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		const struct undo_step step = step_of(hows[i], "ours\n");
		bool left = false;

		if (hows[i] != UNDO_RESOLV_CREATED)
			write_file("theirs\n", 0644);
		CHECK(resolv_file_replace(&f, &step) == 0);
		if (hows[i] != UNDO_RESOLV_WRITTEN)
			unlink(path);
		write_file("a third one's\n", 0644);
		CHECK(!resolv_file_is_ours(&f, &step));
		CHECK(resolv_file_restore(&f, &step, &left) == 0 && left);
		CHECK(says("a third one's\n") && is_alone());
	}
}

static void what_was_written_down_and_not_done_is_no_change(void)
{
	static const enum undo_resolv hows[] = { UNDO_RESOLV_LINKED, UNDO_RESOLV_WRITTEN };
	const struct resolv_file f = file_of();

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		const struct undo_step step = step_of(hows[i], "ours\n");
		bool left = true;

		write_file("theirs\n", 0644);
		CHECK(resolv_file_restore(&f, &step, &left) == 0 && !left && says("theirs\n"));
		CHECK(is_alone());
	}
}

int main(void)
{
	snprintf(dir, sizeof(dir), "/tmp/resolv-XXXXXX");
	snprintf(state, sizeof(state), "/tmp/state-XXXXXX");
	CHECK(mkdtemp(dir) && mkdtemp(state));
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	RUN(a_file_comes_back_as_the_same_inode);
	RUN(a_symbolic_link_comes_back_as_one);
	RUN(what_was_not_there_is_not_there_again);
	RUN(a_file_in_place_gets_its_old_content);
	RUN(what_somebody_else_has_written_since_stays);
	RUN(what_was_written_down_and_not_done_is_no_change);
	close(state_fd);
	rmdir(dir);
	rmdir(state);
	return DONE();
}
