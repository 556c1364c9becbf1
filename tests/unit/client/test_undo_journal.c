/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "client/undo_journal.h"

static const char sample[] = "culvert-client 1 boot-7 18446744073709551615\n"
			     "keeper 100 200\n"
			     "plan 51820 1 home full\n"
			     "endpoint vpn.example.net 203.0.113.2:51820\n"
			     "endpoint 2001:db8::2 [2001:db8::2]:443\n"
			     "table\n"
			     "device 101 201\n"
			     "setting 100 200\n"
			     "route 51820 2147483647 1 0.0.0.0/0\n"
			     "route 51820 0 0 2001:db8:1::/48\n"
			     "rule 4 5182 254 0 0 0 0 - 192.168.0.0/16\n"
			     "rule 6 5183 51820 51820 4294967295 1 - - -\n"
			     "rule 4 5183 51820 0 4294967295 0 - 1000 -\n"
			     "dns resolvconf\n"
			     "resolv linked 6e616d65736572766572203130\n"
			     "resolv created \n";

static int parse(struct undo_journal *j, const char *text, struct diag *d)
{
	*j = (struct undo_journal){ .dir_fd = -1, .lock_fd = -1 };
	return undo_journal_parse(j, text, strlen(text), d);
}

static void reads_what_it_writes(void)
{
	struct diag d = { 0 };
	struct undo_journal j;
	struct text t = { 0 };

	CHECK(parse(&j, sample, &d) == 0 && j.n_steps == 11 && j.n_pins == 2);
	CHECK(j.keeper == 100 && j.keeper_started == 200 && j.has_kill_switch);
	CHECK(j.has_scope && j.scope == CLIENT_FULL);
	CHECK(undo_journal_find(&j, UNDO_DEVICE)->started == 201);
	CHECK(undo_journal_find(&j, UNDO_RULE)->rule.has_uid);
	CHECK(undo_journal_find(&j, UNDO_RULE)->rule.uid == 1000);
	CHECK(undo_journal_pinned(&j, "2001:db8::2", 443) != NULL);
	CHECK(undo_journal_pinned(&j, "vpn.example.net", 443) == NULL);
	undo_journal_format(&j, &t);
	CHECK(t.err == 0 && strcmp(t.data, sample) == 0);
	text_done(&t);
	undo_journal_close(&j);
}

static void reads_a_plan_of_before_scopes_as_one_without(void)
{
	static const char old[] = "culvert-client 1 b 1\nkeeper 1 1\nplan 51820 1 home\n";
	struct diag d = { 0 };
	struct undo_journal j;
	struct text t = { 0 };

	CHECK(parse(&j, old, &d) == 0 && j.has_kill_switch && !j.has_scope);
	undo_journal_format(&j, &t);
	CHECK(t.err == 0 && strcmp(t.data, old) == 0);
	text_done(&t);
	undo_journal_close(&j);
}

static void refuses_a_damaged_line_and_names_it(void)
{
	static const char *const lines[] = {
		"table 1\n",
		"device 1\n",
		"device -1 2\n",
		"rule 5 1 2 3 4 0 - - -\n",
		"rule 4 1 2 3 4 0 - - ::/0\n",
		"rule 4 1 2 3 4 0 129 - -\n",
		"rule 4 1 2 3 4 2 - - -\n",
		"route 1 0 1 10.0.0.0\n",
		"dns mine\n",
		"resolv linked 6\n",
		"resolv moved 66\n",
		"endpoint host 1.2.3.4\n",
		"keeper 1\n",
		"plan 1 1 home most\n",
		"plan 1 1 home full 1\n",
		"something\n",
		"\n",
		"table", /* cut short */
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[200];
		struct diag d = { 0 };
		struct undo_journal j;

		snprintf(text, sizeof(text), "culvert-client 1 b 1\nkeeper 1 1\n%s", lines[i]);
		if (parse(&j, text, &d) != ERR_CORRUPT || d.line != 3)
			FAIL(lines[i]);
		undo_journal_close(&j);
	}
}

/* A directory of its own, ending with NUL. */
static void make_dir(char out[64])
{
	snprintf(out, 64, "/tmp/undo-XXXXXX");
	CHECK(mkdtemp(out) != NULL);
}

static void remove_dir(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "%s/client/lock", dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/client/wg0.journal", dir);
	unlink(command);
	snprintf(command, sizeof(command), "%s/client", dir);
	rmdir(command);
	CHECK(rmdir(dir) == 0);
}

static void count(void *context, const char *interface)
{
	CHECK(strcmp(interface, "wg0") == 0);
	(*(int *)context)++;
}

static void keeps_steps_in_a_file_of_root_alone_until_the_last_is_gone(void)
{
	const struct undo_step step = { .kind = UNDO_TABLE };
	struct undo_journal j, again;
	struct diag d = { 0 };
	char dir[64], path[96];
	struct stat st;
	int seen = 0;

	make_dir(dir);
	CHECK(undo_journal_peek(&again, dir, "wg0", &d) == -ENOENT);
	CHECK(undo_journal_open(&j, dir, "wg0", 0, &d) == 0 && j.n_steps == 0);
	CHECK(undo_journal_begin(&j) == 0 && undo_journal_is_kept(&j));
	CHECK(undo_journal_add(&j, &step) == 0 && undo_journal_save(&j) == 0);
	snprintf(path, sizeof(path), "%s/client/wg0.journal", dir);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
	snprintf(path, sizeof(path), "%s/client", dir);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(undo_journal_peek(&again, dir, "wg0", &d) == 0 && again.n_steps == 1);
	CHECK(undo_journal_is_of_this_boot(&again) && undo_journal_is_kept(&again));
	undo_journal_close(&again);
	CHECK(undo_journal_interfaces(dir, count, &seen) == 0 && seen == 1);
	undo_journal_remove(&j, 0);
	CHECK(undo_journal_save(&j) == 0);
	CHECK(undo_journal_peek(&again, dir, "wg0", &d) == -ENOENT);
	undo_journal_close(&j);
	remove_dir(dir);
}

static void lets_one_process_at_a_time_change_it(void)
{
	struct undo_journal j, other;
	struct diag d = { 0 };
	char dir[64];

	make_dir(dir);
	CHECK(undo_journal_open(&j, dir, "wg0", 0, &d) == 0);
	CHECK(undo_journal_open(&other, dir, "wg1", 0, &d) == -EBUSY);
	undo_journal_unlock(&j);
	CHECK(undo_journal_open(&other, dir, "wg1", 0, &d) == 0);
	CHECK(undo_journal_lock(&j, 0) == -EBUSY && j.lock_fd == -1);
	undo_journal_close(&other);
	CHECK(undo_journal_lock(&j, 0) == 0);
	undo_journal_close(&j);
	remove_dir(dir);
}

static void refuses_a_directory_that_others_may_write_and_a_name_that_is_none(void)
{
	struct undo_journal j;
	struct diag d = { 0 };
	char dir[64], path[96];

	make_dir(dir);
	snprintf(path, sizeof(path), "%s/client", dir);
	CHECK(mkdir(path, 0700) == 0 && chmod(path, 0777) == 0);
	CHECK(undo_journal_open(&j, dir, "wg0", 0, &d) == -EPERM);
	CHECK(chmod(path, 0700) == 0);
	CHECK(undo_journal_open(&j, dir, "../x", 0, &d) == -EINVAL);
	CHECK(undo_journal_open(&j, dir, "", 0, &d) == -EINVAL);
	remove_dir(dir);
}

static void holds_no_more_than_its_bound(void)
{
	const struct undo_step step = { .kind = UNDO_TABLE };
	struct undo_journal j = { .dir_fd = -1, .lock_fd = -1 };
	struct endpoint at = { .port = 1 };

	for (int i = 0; i < UNDO_STEPS_MAX; i++)
		CHECK(undo_journal_add(&j, &step) == 0);
	CHECK(undo_journal_add(&j, &step) == ERR_LIMIT);
	for (int i = 0; i < UNDO_PINS_MAX; i++)
		CHECK(undo_journal_pin(&j, "h", &at) == 0);
	CHECK(undo_journal_pin(&j, "h", &at) == ERR_LIMIT);
	undo_journal_close(&j);
}

int main(void)
{
	RUN(reads_what_it_writes);
	RUN(reads_a_plan_of_before_scopes_as_one_without);
	RUN(refuses_a_damaged_line_and_names_it);
	RUN(keeps_steps_in_a_file_of_root_alone_until_the_last_is_gone);
	RUN(lets_one_process_at_a_time_change_it);
	RUN(refuses_a_directory_that_others_may_write_and_a_name_that_is_none);
	RUN(holds_no_more_than_its_bound);
	return DONE();
}
