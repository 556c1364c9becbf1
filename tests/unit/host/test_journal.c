/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "host/journal.h"
#include "sys/file.h"

static const char sample[] = "culvert-journal 1 boot-7\n"
			     "setting 18446744073709551615 net/ipv4/ip_forward 0\n"
			     "holder 5 100 200 wg0\n"
			     "child 5 101 201 100\n"
			     "holder 5 300 400 wg1\n"
			     "child 5 301 401 300\n"
			     "setting 5 net/ipv6/conf/eth0.100/accept_ra 1\n";

static int parse(struct journal *j, const char *text, struct diag *d)
{
	*j = (struct journal){ .dir_fd = -1, .lock_fd = -1 };
	return journal_parse(j, text, strlen(text), d);
}

static bool formats_as(const struct journal *j, const char *expected)
{
	struct text t = { 0 };
	bool same;

	journal_format(j, &t);
	same = t.err == 0 && strcmp(t.data, expected) == 0;
	if (!same)
		printf("# %s\n", t.data);
	text_done(&t);
	return same;
}

static void reads_what_it_writes(void)
{
	struct diag d = { 0 };
	struct journal j;

	CHECK(parse(&j, sample, &d) == 0 && j.n == 6);
	CHECK(j.entries[0].kind == JOURNAL_SETTING && j.entries[0].netns == UINT64_MAX);
	CHECK(strcmp(j.entries[0].name, "net/ipv4/ip_forward") == 0);
	CHECK(j.entries[2].kind == JOURNAL_CHILD && j.entries[2].holder == 100);
	CHECK(formats_as(&j, sample));
	journal_close(&j);
	CHECK(parse(&j, "", &d) == 0 && j.n == 0);
	journal_close(&j);
}

static void refuses_a_damaged_line_and_names_it(void)
{
	static const char *const bad[] = {
		"",
		"holder",
		"holder 5 100 200",
		"holder 5 100 200 wg0 more",
		"holder 5 0 200 wg0",
		"holder 5 99999999999 200 wg0",
		"holder -5 100 200 wg0",
		"holder 5  100 200 wg0",
		"holder 5 100 200 ",
		"holder 18446744073709551616 100 200 wg0",
		"child 5 101 201 x",
		"setting 5 net/ipv4/ip_forward",
		"setting 5 net/ipv4/ip_forward 0 0",
		"setting 5 net/ipv4/ip_forward 1234567890123456789012345",
		"setting 5 kernel/core_pattern x",
		"setting 5 net/../kernel/core_pattern x",
		"setting 5 /net/ipv4/ip_forward 0",
		"something 5 1 2 3",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct diag d = { 0 };
		struct journal j;

		snprintf(text, sizeof(text), "culvert-journal 1 b\nholder 5 1 2 a\n%s\n",
			 bad[i]);
		CHECK(parse(&j, text, &d) == ERR_CORRUPT);
		CHECK(d.line == 3 && strstr(d.text, "line 3"));
		journal_close(&j);
	}
}

static void refuses_a_wrong_head_and_a_cut_end(void)
{
	static const char *const bad[] = { "culvert-journal 2 b\n", "culvert-journal 1\n",
					   "x\n", "culvert-journal 1 b", "\n" };
	struct diag d = { 0 };
	struct journal j;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(parse(&j, bad[i], &d) == ERR_CORRUPT);
		journal_close(&j);
	}
	/* Every cut of a good text is refused or shorter by whole lines. */
	for (size_t len = 1; len < sizeof(sample) - 1; len++) {
		int err;

		j = (struct journal){ .dir_fd = -1, .lock_fd = -1 };
		err = journal_parse(&j, sample, len, &d);
		CHECK((err == 0) == (sample[len - 1] == '\n'));
		journal_close(&j);
	}
}

static void a_holder_leaves_with_its_children_only(void)
{
	struct diag d = { 0 };
	struct journal j;

	CHECK(parse(&j, sample, &d) == 0);
	journal_remove_holder(&j, 100, 999); /* another process with that number */
	CHECK(j.n == 5);		     /* its child lines name the number alone */
	journal_close(&j);
	CHECK(parse(&j, sample, &d) == 0);
	journal_remove_holder(&j, 100, 200);
	CHECK(j.n == 4 && journal_has_holder(&j, 5) && !journal_has_holder(&j, 6));
	journal_remove_holder(&j, 300, 400);
	CHECK(!journal_has_holder(&j, 5));
	journal_remove_settings(&j, 5);
	CHECK(formats_as(&j, "culvert-journal 1 boot-7\n"
			     "setting 18446744073709551615 net/ipv4/ip_forward 0\n"));
	journal_close(&j);
}

static void has_a_bound(void)
{
	struct journal_entry e = { .kind = JOURNAL_HOLDER, .pid = 1, .name = "a" };
	struct journal j = { .dir_fd = -1, .lock_fd = -1 };

	for (int i = 0; i < JOURNAL_ENTRIES_MAX; i++)
		CHECK(journal_add(&j, &e) == 0);
	CHECK(journal_add(&j, &e) == ERR_LIMIT && j.n == JOURNAL_ENTRIES_MAX);
	journal_close(&j);
}

static char dir[] = "/tmp/culvert-test-XXXXXX";

static void keeps_its_entries_in_a_file_until_there_are_none(void)
{
	struct journal_entry e = {
		.kind = JOURNAL_HOLDER, .pid = 7, .started = 8, .name = "wg0"
	};
	struct diag d = { 0 };
	struct journal j;
	char path[64];

	snprintf(path, sizeof(path), "%s/run", dir);
	CHECK(journal_open(&j, path, &d) == 0 && j.n == 0);
	CHECK(journal_add(&j, &e) == 0 && journal_save(&j) == 0);
	journal_close(&j);
	CHECK(journal_open(&j, path, &d) == 0 && j.n == 1 && j.entries[0].started == 8);
	journal_remove(&j, 0);
	CHECK(journal_save(&j) == 0);
	CHECK(faccessat(j.dir_fd, "journal", F_OK, 0) < 0 && errno == ENOENT);
	journal_close(&j);
}

static void forgets_what_was_written_before_the_machine_started(void)
{
	struct diag d = { 0 };
	struct journal j;
	char path[64];

	snprintf(path, sizeof(path), "%s/run/journal", dir);
	CHECK(file_write(AT_FDCWD, path, sample, sizeof(sample) - 1, FILE_MODE(0600)) == 0);
	path[strlen(path) - strlen("/journal")] = '\0';
	CHECK(journal_open(&j, path, &d) == 0 && j.n == 0);
	journal_close(&j);
}

static void a_damaged_file_is_not_overwritten(void)
{
	struct diag d = { 0 };
	struct journal j;
	char path[64];

	snprintf(path, sizeof(path), "%s/run/journal", dir);
	CHECK(file_write(AT_FDCWD, path, "junk\n", 5, FILE_MODE(0600)) == 0);
	path[strlen(path) - strlen("/journal")] = '\0';
	CHECK(journal_open(&j, path, &d) == ERR_CORRUPT && strstr(d.text, "/run/journal: "));
	CHECK(j.lock_fd < 0);
}

/* Two processes that each read, wait, add one, write: without a lock some get lost. */
static void processes_take_turns(void)
{
	struct diag d = { 0 };
	struct journal j;
	char path[64];
	pid_t pids[4];

	snprintf(path, sizeof(path), "%s/turns", dir);
	for (int p = 0; p < 4; p++) {
		pids[p] = fork();
		for (int i = 0; pids[p] == 0 && i < 25; i++) {
			struct journal_entry e = { .kind = JOURNAL_HOLDER,
						   .pid = p + 1,
						   .started = (uint64_t)i,
						   .name = "x" };

			if (journal_open(&j, path, &d) < 0 || journal_add(&j, &e) < 0 ||
			    journal_save(&j) < 0)
				_exit(1);
			journal_close(&j);
		}
		if (pids[p] == 0)
			_exit(0);
	}
	for (int p = 0; p < 4; p++) {
		int status = -1;

		CHECK(waitpid(pids[p], &status, 0) == pids[p] && status == 0);
	}
	CHECK(journal_open(&j, path, &d) == 0 && j.n == 100);
	j.n = 0;
	CHECK(journal_save(&j) == 0);
	journal_close(&j);
}

static void tells_processes_apart_by_their_start(void)
{
	uint64_t ours = journal_process_started(getpid());
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK(ours > 0 && journal_process_started(getpid()) == ours);
	CHECK(journal_process_started(pid) >= ours);
	kill(pid, SIGKILL);
	CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
	CHECK(journal_process_started(pid) == 0); /* a zombie is not alive */
	waitpid(pid, NULL, 0);
	CHECK(journal_process_started(pid) == 0);
}

static void each_network_namespace_has_its_own_name(void)
{
	uint64_t before = journal_netns();

	CHECK(before != 0 && journal_netns() == before);
	if (unshare(CLONE_NEWNET) < 0) {
		printf("# skipped the second half: no rights\n");
		return;
	}
	CHECK(journal_netns() != before && journal_netns() != 0);
}

static void clean(void)
{
	static const char *const names[] = { "run/journal", "run/journal.lock", "run",
					     "turns/journal.lock", "turns" };
	char path[80];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	CHECK(rmdir(dir) == 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mkdtemp(dir))
		return 1;
	RUN(reads_what_it_writes);
	RUN(refuses_a_damaged_line_and_names_it);
	RUN(refuses_a_wrong_head_and_a_cut_end);
	RUN(a_holder_leaves_with_its_children_only);
	RUN(has_a_bound);
	RUN(keeps_its_entries_in_a_file_until_there_are_none);
	RUN(forgets_what_was_written_before_the_machine_started);
	RUN(a_damaged_file_is_not_overwritten);
	RUN(processes_take_turns);
	RUN(tells_processes_apart_by_their_start);
	RUN(each_network_namespace_has_its_own_name);
	clean();
	return DONE();
}
