/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's store: what every store does, and what concerns this one alone (files, versions,
 * faults of the disk).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"
#include "faults.h"
#include "store/schema.h"

static char directory[] = "/dev/shm/culvert-store-XXXXXX"; /* else /tmp */
static char path[64];
static int files;

static void fresh_place(void)
{
	snprintf(path, sizeof(path), "%s/%d.db", directory, files++);
}

static int open_place(const struct store_config *config, struct store **ret, struct diag *d)
{
	return store_open_sqlite(path, config, ret, d);
}

static void run_sql(const char *sql)
{
	sqlite3 *db = NULL;

	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		abort();
	sqlite3_close(db);
}

static int count_sql(const char *sql)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int n;

	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		abort();
	n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

/* --- SQLite alone --- */

static void the_file_is_the_owners_alone(void)
{
	struct stat st;

	umask(0);
	store_free(fresh());
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	umask(022);
}

static int open_error(struct diag *d)
{
	struct store_config config = config_of(7);
	struct store *s = NULL;
	int err = store_open_sqlite(path, &config, &s, d);

	store_free(s);
	return err;
}

static long read_file(char *out, size_t size)
{
	int fd = open(path, O_RDONLY);
	long n = read(fd, out, size);

	close(fd);
	return n;
}

static void a_newer_schema_is_refused_and_left_untouched(void)
{
	static char before[1 << 20], after[1 << 20];
	struct diag d = { .line = 0 };

	store_free(fresh());
	run_sql("PRAGMA user_version = 99");

	long n = read_file(before, sizeof(before));

	CHECK(open_error(&d) == ERR_VERSION);
	CHECK(strstr(d.text, "newer culvert") && strstr(d.text, "99"));
	CHECK(n > 0 && read_file(after, sizeof(after)) == n);
	CHECK(memcmp(before, after, (size_t)n) == 0);
}

static void peers_of_the_first_version_are_at_level_off(void)
{
	struct seen *seen;
	struct store *s;

	fresh_place();
	run_sql(schema_text[0]);
	run_sql("INSERT INTO interface VALUES (1, 'wg0', randomblob(32), 5);"
		"INSERT INTO peer VALUES (3, 1, NULL, zeroblob(32), 'old', 1, 3, 51820, 'd1',"
		" NULL, 5, 5);"
		"PRAGMA user_version = 1; PRAGMA application_id = 0x43756c76");
	s = reopen();
	seen = look(s);
	CHECK(seen->n_peers == 1 && seen->peers[0].level == FRAME_OFF);
	CHECK(strcmp(seen->peers[0].name, "old") == 0 && seen->n_profiles == 0);
	store_free(s);
}

/* struct kept_key - The key of the next test, as the store tells it */
struct kept_key {
	unsigned int n;
	bool is_right;
};

static int see_key(void *context, const struct store_record *one)
{
	struct kept_key *k = context;

	k->n++;
	k->is_right = one->kind == STORE_KEY && strcmp(one->name, "ops") == 0 &&
		      strcmp(one->body, "{\"role\":\"admin\"}") == 0 && one->created_ns == 5 &&
		      one->changed_ns == 6;
	return 0;
}

static struct kept_key read_key(bool has_sealed_keys, int *ret_err, struct diag *d)
{
	struct store_config config = config_of(7);
	struct kept_key k = { .n = 0 };
	struct store *s = NULL;

	config.has_sealed_keys = has_sealed_keys;
	*ret_err = store_open_sqlite(path, &config, &s, d);
	if (*ret_err == 0)
		*ret_err = store_load_records(s, see_key, &k);
	store_free(s);
	return k;
}

static void make_plain_key(void)
{
	run_sql("INSERT INTO record (kind, name, body, created_ns, changed_ns)"
		" VALUES (2, 'ops', '{\"role\":\"admin\"}', 5, 6)");
}

static void keys_of_before_are_sealed_and_a_plain_one_afterwards_is_refused(void)
{
	struct diag d = { .line = 0 };
	struct kept_key k;
	int err;

	store_free(fresh());
	make_plain_key();
	run_sql("PRAGMA user_version = 3");
	k = read_key(false, &err, &d);
	CHECK(err == 0 && k.n == 1 && k.is_right);
	CHECK(count_sql("SELECT count(*) FROM record WHERE sealed IS NOT NULL") == 1);
	CHECK(count_sql("SELECT count(*) FROM audit") == 0);
	k = read_key(true, &err, &d);
	CHECK(err == 0 && k.n == 1 && k.is_right);
	run_sql("DELETE FROM record");
	make_plain_key();
	run_sql("PRAGMA user_version = 3"); /* however old the file claims to be */
	read_key(true, &err, &d);
	CHECK(err == ERR_CORRUPT && strstr(d.text, "ops") && strstr(d.text, "somebody else"));
	CHECK(count_sql("SELECT count(*) FROM record WHERE body IS NOT NULL") == 1);
}

static void a_plain_key_of_a_running_store_is_corruption(void)
{
	struct store *s = fresh();
	struct kept_key k = { .n = 0 };

	make_plain_key();
	CHECK(store_load_records(s, see_key, &k) == ERR_CORRUPT && k.n == 0);
	store_free(s);
}

static void a_level_nobody_knows_is_corruption(void)
{
	struct store *s = fresh();
	struct store_profile list[STORE_PROFILES_MAX];
	struct store_change c = profiles(list, 0);
	struct seen seen = { .n_peers = 0 };

	CHECK(store_apply(s, &c) == 0);
	run_sql("PRAGMA ignore_check_constraints = 1; UPDATE profile SET level = 'utmost'");
	CHECK(store_load_profiles(s, see_profile, &seen) == ERR_CORRUPT);
	store_free(s);
}

static void a_file_of_somebody_else_is_refused(void)
{
	struct diag d = { .line = 0 };

	fresh_place();
	run_sql("CREATE TABLE theirs (x)");
	CHECK(open_error(&d) == ERR_CORRUPT);
	CHECK(strstr(d.text, "another program"));

	fresh_place();
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	CHECK(fd >= 0 &&
	      write(fd, "this is a letter to my aunt, not a database at all", 50) == 50);
	close(fd);
	CHECK(open_error(&d) == ERR_CORRUPT);
}

static void a_symbolic_link_is_not_followed(void)
{
	char target[64];

	store_free(fresh());
	memcpy(target, path, sizeof(target));
	fresh_place();
	CHECK(symlink(target, path) == 0);
	CHECK(open_error(NULL) == -ELOOP);
}

static void a_full_disk_refuses_and_recovers_by_itself(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3), c = addition(4);

	CHECK(store_apply(s, &a) == 0);
	faults_full = true;
	b.next = &c;
	CHECK(store_apply(s, &b) == -ENOSPC);
	CHECK(b.result == -ENOSPC && c.result == -ENOSPC);
	CHECK(look(s)->n_peers == 1);
	faults_full = false;
	CHECK(store_apply(s, &b) == 0 && b.result == 0 && c.result == 0);
	store_free(s);
	s = reopen();
	CHECK(look(s)->n_peers == 3);
	store_free(s);
}

/* One that never saw the disk work says so late: what fails whoever opens it must not cost a
 * process all the time. */
static void live_for_five_minutes(struct store *s)
{
	for (int i = 2; i < 300; i++)
		CHECK(store_maintain(s) != -ESTALE);
}

static void a_failed_fsync_ends_all_acknowledging(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3), c = addition(4);

	CHECK(store_apply(s, &a) == 0);
	CHECK(store_maintain(s) == 0); /* it saw the disk work */
	faults_sync = true;
	CHECK(store_apply(s, &b) == -EIO && b.result == -EIO);
	CHECK(store_maintain(s) == -EIO);
	faults_sync = false;
	/* The next fsync would succeed, and prove nothing about the pages before it. */
	CHECK(store_apply(s, &c) == -EIO && c.result == -EIO);
	CHECK(store_maintain(s) == -ESTALE); /* the disk works: somebody else may try */
	CHECK(store_apply(s, &c) == -EIO);
	faults_full = true;
	CHECK(store_maintain(s) == -EIO);
	faults_full = false;
	faults_sync_named = true; /* the disk works, but not where our files are */
	CHECK(store_maintain(s) == -EIO);
	faults_sync_named = false;
	store_free(s);
	s = reopen();
	CHECK(look(s)->n_peers >= 1); /* @a, and @b perhaps */
	CHECK(store_apply(s, &c) == 0 && c.result == 0);
	store_free(s);
}

static long log_size(void)
{
	char name[96];
	struct stat st;

	snprintf(name, sizeof(name), "%s-wal", path);
	return stat(name, &st) == 0 ? (long)st.st_size : -1;
}

/* A fresh file with one peer, whose process ended without closing: the log stays. */
static void leave_a_log(void)
{
	struct store_change a = addition(2);
	pid_t pid;

	store_free(fresh());
	pid = fork();
	if (pid == 0) {
		struct store *s = reopen();

		_exit(store_apply(s, &a) != 0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(log_size() > 0);
	faults_log_written = faults_log_synced = 0;
}

/* What the log has may have been shown by the kernel and never written: see sqlite.c. */
static void opening_writes_the_whole_log_again(void)
{
	long len;

	leave_a_log();
	len = log_size();
	struct store *s = reopen();

	CHECK(faults_log_synced == len); /* all of it, and nothing else yet */
	CHECK(log_size() == len);
	CHECK(look(s)->n_peers == 1);
	store_free(s);
}

static sqlite3 *begin_reading(void)
{
	sqlite3 *db = NULL;

	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, "BEGIN; SELECT count(*) FROM peer", NULL, NULL, NULL) != SQLITE_OK)
		abort();
	return db;
}

static void a_reader_that_stays_hinders_no_change(void)
{
	struct store_change b = addition(3);

	leave_a_log();
	sqlite3 *reader = begin_reading();
	struct store *s = reopen();

	CHECK(faults_log_synced > 0);
	CHECK(store_apply(s, &b) == 0 && b.result == 0);
	CHECK(look(s)->n_peers == 2);
	store_free(s);
	s = reopen();
	CHECK(look(s)->n_peers == 2);
	sqlite3_close(reader);
	store_free(s);
}

static void a_disk_that_is_full_at_the_start_is_read_and_recovers(void)
{
	struct store_config config = config_of(8);
	struct store_change b = addition(3);
	struct store *other = NULL;
	struct diag d = { .line = 0 };
	long len;

	leave_a_log();
	len = log_size();
	sqlite3 *reader = begin_reading(); /* it also keeps the log where it is */
	faults_full = true;
	struct store *s = reopen();

	CHECK(look(s)->n_peers == 1);
	CHECK(store_apply(s, &b) == -ENOSPC);
	/* What opening itself would write does not go behind an unsure log either. */
	CHECK(store_open_sqlite(path, &config, &other, &d) == -ENOSPC);
	CHECK(faults_log_written == 0);
	faults_full = false;
	CHECK(store_apply(s, &b) == 0 && b.result == 0);
	CHECK(faults_log_synced > len);
	sqlite3_close(reader);
	store_free(s);
}

/* A bad block: it fails for every process, and before the change nobody noticed. */
static void a_file_that_cannot_be_written_again_is_read_but_not_changed(void)
{
	struct store_change b = addition(3);

	leave_a_log();
	faults_sync_named = true; /* nothing is taken for granted that was not written */
	struct store *s = reopen();

	CHECK(look(s)->n_peers == 1);
	CHECK(store_apply(s, &b) == -EIO && b.result == -EIO);
	faults_sync_named = false;
	CHECK(store_apply(s, &b) == -EIO);
	CHECK(store_maintain(s) == -EIO);
	live_for_five_minutes(s);
	faults_sync_named = true;
	CHECK(store_maintain(s) == -EIO);
	faults_sync_named = false;
	CHECK(store_maintain(s) == -ESTALE);
	store_free(s);
	s = reopen();
	CHECK(store_apply(s, &b) == 0 && b.result == 0);
	store_free(s);
}

/* The log takes changes, the file does not take the log. */
static void a_file_that_does_not_take_the_log_is_no_reason_to_hurry(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	CHECK(store_apply(s, &a) == 0 && a.result == 0);
	faults_sync = true;
	CHECK(store_maintain(s) == -EIO);
	faults_sync = false;
	live_for_five_minutes(s);
	CHECK(store_maintain(s) == -ESTALE);
	store_free(s);
}

static void a_group_costs_one_fsync(void)
{
	struct store *s = fresh();
	static struct store_change group[100];

	for (uint8_t i = 0; i < 100; i++) {
		group[i] = addition((uint8_t)(i + 2));
		group[i].next = i < 99 ? &group[i + 1] : NULL;
	}
	/* The first commit into a new log also writes its header. */
	struct store_change first = addition(200);

	CHECK(store_apply(s, &first) == 0);
	faults_syncs = 0;
	CHECK(store_apply(s, &group[0]) == 0);
	CHECK(faults_syncs == 1);
	store_free(s);
}

static struct store *busy_store;
static unsigned int busy_n;

static void commit_one(void)
{
	struct store_change c = addition(0);

	memcpy(c.peer.public_key, &busy_n, sizeof(busy_n));
	busy_n++;
	c.peer.name[0] = '\0';
	c.peer.v4 = c.peer.v6 = (struct ip_addr){ .family = ADDR_NONE };
	CHECK(store_apply(busy_store, &c) == 0 && c.result == 0);
}

/* Under load there is always a commit while the log is being moved. */
static long log_after(unsigned int commits)
{
	for (unsigned int n = 0; n < commits; n++) {
		commit_one();
		if (n % 100 != 99)
			continue;
		faults_on_sync = commit_one;
		CHECK(store_maintain(busy_store) == 0);
		CHECK(!faults_on_sync);
	}
	return log_size();
}

static void the_log_does_not_grow_for_ever(void)
{
	long first, last;

	busy_store = fresh();
	first = log_after(2400);
	last = log_after(4800);
	printf("# the log after 2400 and 7200 commits: %ld, %ld KiB\n", first >> 10,
	       last >> 10);
	CHECK(first > 0 && last < first + (4 << 20));
	store_free(busy_store);
}

/* It cannot begin anew while somebody reads from it; no change waits for that. */
static void a_reader_does_not_hold_up_the_log(void)
{
	struct timespec begin, end;

	busy_store = fresh();
	commit_one();
	sqlite3 *reader = begin_reading();

	while (log_size() < (17 << 20))
		commit_one();
	CHECK(store_maintain(busy_store) == 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	commit_one();
	clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK(end.tv_sec - begin.tv_sec < 4);
	sqlite3_close(reader);
	store_free(busy_store);
}

static void an_ill_placed_bit_is_noticed(void)
{
	struct diag d = { .line = 0 };
	struct store *s = fresh();
	struct store_change a = addition(2);

	CHECK(store_apply(s, &a) == 0);
	store_free(s);

	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 &&
	      pwrite(fd, "\xff\xff\xff\xff", 4, 100) == 4); /* the first page's header */
	close(fd);
	CHECK(open_error(&d) == ERR_CORRUPT);
}

static void no_secret_is_readable_in_the_file(void)
{
	struct store *s = fresh();
	struct store_change peer = addition(2);
	struct store_change hook =
		record(STORE_WEBHOOK, "h", "{\"secret\":\"PLANTED-SECRET\"}");
	char everything[1 << 18];
	FILE *f;
	size_t len = 0;

	memcpy(peer.peer.preshared_key.b, "PLANTED-PRESHARED-KEY-PLANTED-PR", 32);
	peer.next = &hook;
	CHECK(store_apply(s, &peer) == 0 && hook.result == 0);
	store_free(s); /* moves the log into the file */
	f = fopen(path, "rb");
	CHECK(f != NULL);
	if (f) {
		len = fread(everything, 1, sizeof(everything), f);
		fclose(f);
	}
	CHECK(len > 4096 && len < sizeof(everything));
	CHECK(!memmem(everything, len, "PLANTED", 7));
	CHECK(memmem(everything, len, "peer2", 5)); /* it is the right file */
}

int main(void)
{
	if (!mkdtemp(directory)) { /* memory is enough: the faults of a disk are made here */
		snprintf(directory, sizeof(directory), "/tmp/culvert-store-XXXXXX");
		if (!mkdtemp(directory))
			abort();
	}
	faults_install();
	conformance_run();
	RUN(the_file_is_the_owners_alone);
	RUN(a_newer_schema_is_refused_and_left_untouched);
	RUN(peers_of_the_first_version_are_at_level_off);
	RUN(keys_of_before_are_sealed_and_a_plain_one_afterwards_is_refused);
	RUN(a_plain_key_of_a_running_store_is_corruption);
	RUN(a_level_nobody_knows_is_corruption);
	RUN(no_secret_is_readable_in_the_file);
	RUN(a_file_of_somebody_else_is_refused);
	RUN(a_symbolic_link_is_not_followed);
	RUN(a_full_disk_refuses_and_recovers_by_itself);
	RUN(a_failed_fsync_ends_all_acknowledging);
	RUN(opening_writes_the_whole_log_again);
	RUN(a_reader_that_stays_hinders_no_change);
	RUN(a_disk_that_is_full_at_the_start_is_read_and_recovers);
	RUN(a_file_that_cannot_be_written_again_is_read_but_not_changed);
	RUN(a_file_that_does_not_take_the_log_is_no_reason_to_hurry);
	RUN(a_group_costs_one_fsync);
	RUN(the_log_does_not_grow_for_ever);
	RUN(a_reader_does_not_hold_up_the_log);
	RUN(an_ill_placed_bit_is_noticed);

	char name[96];

	for (int i = 0; i < files; i++) {
		static const char *const suffix[] = { "", "-wal", "-shm" };

		for (int j = 0; j < 3; j++) {
			snprintf(name, sizeof(name), "%s/%d.db%s", directory, i, suffix[j]);
			unlink(name);
		}
	}
	rmdir(directory);
	return DONE();
}
