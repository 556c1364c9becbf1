/* SPDX-License-Identifier: Apache-2.0 */
/* Written and read back; then every octet of it changed, and every part left out. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/err.h"
#include "host/upgrade_state.h"

enum { NUMBERS_AT = 16, TEXTS_AT = NUMBERS_AT + 8 * UPGRADE_NUMBERS };

static struct upgrade_state example(void)
{
	struct upgrade_state s = { .program = "/usr/bin/culvert",
				   .view_state = "/var/lib/culvert",
				   .view_program = "",
				   .options = { "port", "51820", "endpoint", "" } };

	for (int i = 0; i < UPGRADE_NUMBERS; i++)
		s.numbers[i] = (uint64_t)i + 100;
	s.numbers[UPGRADE_HAS_TABLE] = 1;
	s.numbers[UPGRADE_DEVICE_IS_KERNEL] = 1;
	s.numbers[UPGRADE_NETNS] = UINT64_MAX;
	return s;
}

static struct text written(const struct upgrade_state *s)
{
	struct text t = { .max = UPGRADE_OCTETS_MAX };

	upgrade_state_write(s, &t);
	CHECK(t.err == 0);
	return t;
}

static void what_is_written_is_read(void)
{
	struct upgrade_state s = example(), got;
	struct text t = written(&s);
	struct diag d = { 0 };

	CHECK(upgrade_state_read(&got, t.data, t.len, &d) == 0);
	CHECK(memcmp(got.numbers, s.numbers, sizeof(s.numbers)) == 0);
	CHECK(strcmp(got.program, s.program) == 0 &&
	      strcmp(got.view_state, s.view_state) == 0 && got.view_program[0] == '\0');
	for (int i = 0; i < 4; i++)
		CHECK(strcmp(got.options[i], s.options[i]) == 0);
	CHECK(got.options[4] == NULL);
	text_done(&t);
}

/* Laid out by hand, so that a change of the format cannot go unnoticed. */
static void version_1_is_laid_out_as_it_is_described(void)
{
	struct upgrade_state s = example();
	struct text t = written(&s);
	static const char head[] = "culvertU\1\0\0\0\25\0\0\0"
				   "\144\0\0\0\0\0\0\0"
				   "\145\0\0\0\0\0\0\0"
				   "\377\377\377\377\377\377\377\377";
	static const char tail[] = "/usr/bin/culvert\0/var/lib/culvert\0\0"
				   "port\00051820\0endpoint\0\0";

	CHECK(t.len == TEXTS_AT + sizeof(tail));
	CHECK(memcmp(t.data, head, sizeof(head) - 1) == 0);
	CHECK(memcmp(t.data + TEXTS_AT, tail, sizeof(tail)) == 0);
	text_done(&t);
}

static void only_the_stated_versions_are_read(void)
{
	struct upgrade_state s = example(), got;
	struct text t = written(&s);

	for (unsigned int version = 0; version < 256; version++) {
		struct diag d = { 0 };
		bool is_ours = version >= UPGRADE_VERSION_OLDEST && version <= UPGRADE_VERSION;

		t.data[8] = (char)version;
		CHECK(upgrade_state_read(&got, t.data, t.len, &d) ==
		      (is_ours ? 0 : ERR_VERSION));
		CHECK(is_ours || strstr(d.text, "restart instead"));
	}
	text_done(&t);
}

static void nothing_shorter_or_longer_is_taken(void)
{
	struct upgrade_state s = example(), got;
	struct text t = written(&s);
	struct diag d;

	for (size_t len = 0; len < t.len; len++) {
		char *exact = malloc(len + 1); /* for the sanitizer to see its end */

		memcpy(exact, t.data, len);
		exact = realloc(exact, len ? len : 1);
		CHECK(upgrade_state_read(&got, exact, len, &d) == ERR_FORMAT);
		free(exact);
	}
	text_add(&t, "", 1);
	CHECK(upgrade_state_read(&got, t.data, t.len, &d) == ERR_FORMAT);
	text_done(&t);
}

static int read_with(int which, uint64_t number)
{
	struct upgrade_state s = example(), got;
	struct diag d;
	struct text t;
	int err;

	s.numbers[which] = number;
	t = written(&s);
	err = upgrade_state_read(&got, t.data, t.len, &d);
	text_done(&t);
	return err;
}

static void numbers_out_of_their_range_are_refused(void)
{
	CHECK(read_with(UPGRADE_GATEWAY_PID, 2) == 0);
	CHECK(read_with(UPGRADE_GATEWAY_PID, 1) == ERR_RANGE); /* a signal would reach init */
	CHECK(read_with(UPGRADE_GATEWAY_PID, (1 << 22) + 1) == ERR_RANGE);
	CHECK(read_with(UPGRADE_DEVICE_PID, 0) == 0);
	CHECK(read_with(UPGRADE_DEVICE_PID, UINT64_MAX) == ERR_RANGE);
	CHECK(read_with(UPGRADE_UID, UINT32_MAX) == ERR_RANGE); /* "unchanged" to setuid() */
	CHECK(read_with(UPGRADE_HAS_TABLE, 2) == ERR_RANGE);
	CHECK(read_with(UPGRADE_FD_CONTROL, 0) == 0); /* there is no driver */
	CHECK(read_with(UPGRADE_FD_STATE, 0) == ERR_RANGE);
	for (int i = UPGRADE_FD_FIRST; i < UPGRADE_NUMBERS; i++) {
		CHECK(read_with(i, 3) == 0);
		CHECK(read_with(i, 2) == ERR_RANGE);
		CHECK(read_with(i, UINT32_MAX) == ERR_RANGE);
	}
}

static void a_descriptor_has_one_use(void)
{
	for (int i = UPGRADE_FD_FIRST; i < UPGRADE_NUMBERS; i++)
		for (int k = UPGRADE_FD_FIRST; k < UPGRADE_NUMBERS; k++)
			CHECK(read_with(i, (uint64_t)k + 100) == (i == k ? 0 : ERR_RANGE));
}

static void paths_that_would_be_cut_are_refused(void)
{
	struct upgrade_state s = example(), got;
	char path[200];
	struct diag d;
	struct text t;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	s.view_state = path;
	t = written(&s);
	CHECK(upgrade_state_read(&got, t.data, t.len, &d) == ERR_RANGE);
	text_done(&t);
	s.view_state = "";
	t = written(&s);
	CHECK(upgrade_state_read(&got, t.data, t.len, &d) == ERR_RANGE);
	text_done(&t);
}

static void there_are_at_most_64_options(void)
{
	struct upgrade_state s = example(), got;
	struct diag d;
	struct text t;

	for (size_t i = 0; i < 2 * (size_t)UPGRADE_OPTIONS_MAX; i++)
		s.options[i] = "o";
	t = written(&s);
	CHECK(upgrade_state_read(&got, t.data, t.len, &d) == 0);
	CHECK(!got.options[2 * UPGRADE_OPTIONS_MAX]);
	t.len--;
	text_add(&t, "o\0o\0", 5);
	CHECK(upgrade_state_read(&got, t.data, t.len, &d) == ERR_FORMAT);
	text_done(&t);
}

int main(void)
{
	RUN(what_is_written_is_read);
	RUN(version_1_is_laid_out_as_it_is_described);
	RUN(only_the_stated_versions_are_read);
	RUN(nothing_shorter_or_longer_is_taken);
	RUN(numbers_out_of_their_range_are_refused);
	RUN(a_descriptor_has_one_use);
	RUN(paths_that_would_be_cut_are_refused);
	RUN(there_are_at_most_64_options);
	return DONE();
}
