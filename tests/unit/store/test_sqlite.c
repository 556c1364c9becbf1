/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance test of a store. What concerns SQLite alone (files, versions, faults of
 * the disk) comes last.
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

#include "../test.h"
#include "faults.h"
#include "store/schema.h"
#include "store/store.h"

static char directory[] = "/dev/shm/culvert-store-XXXXXX"; /* else /tmp */
static char path[64];
static int files;

static const struct secret_key master = { { 9, 9, 9 } };

static struct store_config config_of(uint8_t gateway)
{
	return (struct store_config){
		.interface = "wg0", .public_key = { gateway }, .now_ns = 1000, .master = &master
	};
}

static void fresh_path(void)
{
	snprintf(path, sizeof(path), "%s/%d.db", directory, files++);
}

static struct store *reopen(void)
{
	struct store *s = NULL;
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };

	if (store_open_sqlite(path, &config, &s, &d) != 0) {
		printf("# %s\n", d.text);
		abort();
	}
	return s;
}

static struct store *fresh(void)
{
	fresh_path();
	return reopen();
}

static struct store_change addition(uint8_t n)
{
	struct store_change c = {
		.kind = STORE_ADD_PEER,
		.now_ns = 5000,
		.who = "test",
		.action = "peer.create",
		.peer = {
			.public_key = { n, 1, 2, 3 },
			.v4 = { ADDR_V4, { 10, 0, 1, n } },
			.v6 = { ADDR_V6, { 0xfd, [15] = n } },
			.status = STORE_PEER_ACTIVE,
			.families = STORE_IPV4 | STORE_IPV6,
			.port = 40001,
			.dns = "d2",
			.keepalive_s = 25,
		},
	};

	snprintf(c.peer.name, sizeof(c.peer.name), "peer%u", n);
	return c;
}

/* All of the peer that @c has added, once more. */
static struct store_change change_of(const struct store_change *c, uint64_t now_ns)
{
	return (struct store_change){ .kind = STORE_CHANGE_PEER,
				      .now_ns = now_ns,
				      .who = "test",
				      .action = "peer.update",
				      .peer = c->peer };
}

static struct store_change signed_with(uint8_t digest, uint64_t signed_s)
{
	return (struct store_change){
		.kind = STORE_NO_CHANGE,
		.has_signature = true,
		.digest = { digest },
		.signed_s = signed_s,
	};
}

/* All profiles there shall be: "low" and as many of level high as @n says. */
static struct store_change profiles(struct store_profile list[STORE_PROFILES_MAX], size_t n)
{
	list[0] = (struct store_profile){ .name = "low",
					  .level = FRAME_LOW,
					  .parameters = "jc=4 jmin=8 i1=<b 0x00><r 5>",
					  .created_ns = 11 };
	for (size_t i = 1; i <= n; i++) {
		list[i] = (struct store_profile){ .level = FRAME_HIGH,
						  .parameters = "jc=9",
						  .until_ns = i };
		snprintf(list[i].name, sizeof(list[i].name), "high.%zu", i);
	}
	return (struct store_change){ .kind = STORE_SET_PROFILES,
				      .now_ns = 7000,
				      .who = "test",
				      .action = "level.rotate",
				      .subject = "level high",
				      .profiles = list,
				      .n_profiles = n + 1 };
}

/* --- What a store holds, collected --- */

struct seen {
	struct store_peer peers[300];
	struct store_resting resting[300];
	struct store_signature signatures[300];
	struct store_profile profiles[STORE_PROFILES_MAX];
	char parameters[STORE_PROFILES_MAX][64];
	unsigned int n_peers, n_resting, n_signatures, n_profiles;
	uint64_t floor_s;
};

static int see_peer(void *context, const struct store_peer *p)
{
	struct seen *seen = context;

	seen->peers[seen->n_peers++] = *p;
	return 0;
}

static int see_resting(void *context, const struct store_resting *r)
{
	struct seen *seen = context;

	seen->resting[seen->n_resting++] = *r;
	return 0;
}

static int see_profile(void *context, const struct store_profile *p)
{
	struct seen *seen = context;
	char *parameters = seen->parameters[seen->n_profiles];

	snprintf(parameters, sizeof(seen->parameters[0]), "%s", p->parameters);
	seen->profiles[seen->n_profiles] = *p;
	seen->profiles[seen->n_profiles++].parameters = parameters;
	return 0;
}

static int see_signature(void *context, const struct store_signature *one)
{
	struct seen *seen = context;

	seen->signatures[seen->n_signatures++] = *one;
	return 0;
}

static struct seen *look(struct store *s)
{
	static struct seen seen;

	memset(&seen, 0, sizeof(seen));
	CHECK(store_load_peers(s, see_peer, &seen) == 0);
	CHECK(store_load_resting(s, see_resting, &seen) == 0);
	CHECK(store_load_profiles(s, see_profile, &seen) == 0);
	CHECK(store_load_signatures(s, see_signature, &seen, &seen.floor_s) == 0);
	return &seen;
}

/* --- Any store --- */

static void what_was_applied_is_there_after_reopening(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	snprintf(b.peer.obfuscation, sizeof(b.peer.obfuscation), "{\"jc\":4}");
	b.peer.name[0] = '\0';
	b.peer.level = FRAME_EXTREME;
	b.peer.v6.family = ADDR_NONE;
	memset(b.peer.v6.b, 0, sizeof(b.peer.v6.b));
	a.next = &b;
	CHECK(store_apply(s, &a) == 0);
	CHECK(a.result == 0 && b.result == 0);
	CHECK(a.peer.id > 0 && b.peer.id > a.peer.id);
	store_free(s);

	s = reopen();
	struct seen *seen = look(s);

	CHECK(seen->n_peers == 2);
	CHECK(seen->peers[0].id == a.peer.id && seen->peers[1].id == b.peer.id);
	CHECK(memcmp(seen->peers[0].public_key, a.peer.public_key, 32) == 0);
	CHECK(strcmp(seen->peers[0].name, "peer2") == 0 && seen->peers[1].name[0] == '\0');
	CHECK(ip_addr_equal(&seen->peers[0].v4, &a.peer.v4));
	CHECK(ip_addr_equal(&seen->peers[0].v6, &a.peer.v6));
	CHECK(seen->peers[1].v6.family == ADDR_NONE);
	CHECK(seen->peers[0].port == 40001 && seen->peers[0].families == 3);
	CHECK(strcmp(seen->peers[0].dns, "d2") == 0);
	CHECK(strcmp(seen->peers[1].obfuscation, "{\"jc\":4}") == 0);
	CHECK(seen->peers[0].level == FRAME_OFF && seen->peers[1].level == FRAME_EXTREME);
	CHECK(seen->peers[0].created_ns == 5000 && seen->peers[0].changed_ns == 5000);
	store_free(s);
}

static void a_refused_change_does_not_spoil_its_group(void)
{
	struct store *s = fresh();
	struct store_change first = addition(2), same_key = addition(3),
			    same_name = addition(4);
	struct store_change same_ip = addition(5), last = addition(6), unknown = addition(7);

	memcpy(same_key.peer.public_key, first.peer.public_key, 32);
	memcpy(same_name.peer.name, first.peer.name, sizeof(first.peer.name));
	same_ip.peer.v6 = first.peer.v6;
	unknown.kind = STORE_CHANGE_PEER;
	unknown.peer.id = 4711;
	first.next = &same_key;
	same_key.next = &same_name;
	same_name.next = &same_ip;
	same_ip.next = &unknown;
	unknown.next = &last;
	CHECK(store_apply(s, &first) == 0);
	CHECK(first.result == 0 && last.result == 0);
	CHECK(same_key.result == ERR_EXISTS);
	CHECK(same_name.result == ERR_EXISTS);
	CHECK(same_ip.result == ERR_EXISTS);
	CHECK(unknown.result == ERR_UNKNOWN);

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 2); /* nothing half: same_ip had its IPv4 row already */
	CHECK(seen->peers[1].v4.b[3] == 6);

	/* The IPv4 address of the refused one is still free. */
	struct store_change again = addition(5);

	CHECK(store_apply(s, &again) == 0 && again.result == 0);
	store_free(s);
}

static void a_signature_stands_or_falls_with_its_change(void)
{
	struct store *s = fresh();
	struct store_change first = addition(2), refused = addition(3),
			    plain = signed_with(3, 70);

	first.has_signature = refused.has_signature = true;
	first.digest[0] = 1;
	first.signed_s = 60;
	refused.digest[0] = 2;
	memcpy(refused.peer.public_key, first.peer.public_key, 32);
	first.next = &refused;
	refused.next = &plain;
	CHECK(store_apply(s, &first) == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_signatures == 2);
	CHECK(seen->signatures[0].digest[0] == 1 && seen->signatures[0].signed_s == 60);
	CHECK(seen->signatures[1].digest[0] == 3 && seen->signatures[1].signed_s == 70);
	store_free(s);
}

static void status_changes_and_removal_last(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	a.next = &b;
	CHECK(store_apply(s, &a) == 0);

	struct store_change suspend = change_of(&a, 6000);

	suspend.peer.status = STORE_PEER_SUSPENDED;

	struct store_change drop = { .kind = STORE_REMOVE_PEER, .peer = { .id = b.peer.id } };

	suspend.next = &drop;
	CHECK(store_apply(s, &suspend) == 0);
	CHECK(suspend.result == 0 && drop.result == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 1 && seen->n_resting == 0);
	CHECK(seen->peers[0].status == STORE_PEER_SUSPENDED);
	CHECK(seen->peers[0].changed_ns == 6000 && seen->peers[0].created_ns == 5000);

	drop.next = NULL;
	CHECK(store_apply(s, &drop) == 0 && drop.result == ERR_UNKNOWN);
	store_free(s);
}

static void removed_addresses_rest_and_then_serve_again(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), early = addition(2), late = addition(2);

	CHECK(store_apply(s, &a) == 0);

	struct store_change drop = { .kind = STORE_REMOVE_PEER,
				     .rest_until_ns = 9000,
				     .peer = { .id = a.peer.id } };

	CHECK(store_apply(s, &drop) == 0 && drop.result == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 0 && seen->n_resting == 2);
	CHECK(seen->resting[0].until_ns == 9000);

	early.now_ns = 8999;
	CHECK(store_apply(s, &early) == 0 && early.result == ERR_EXISTS);
	late.now_ns = 9000;
	CHECK(store_apply(s, &late) == 0 && late.result == 0);
	CHECK(look(s)->n_resting == 0);
	store_free(s);
}

static void profiles_are_replaced_as_a_whole_beside_other_changes(void)
{
	struct store *s = fresh();
	struct store_profile first[STORE_PROFILES_MAX], second[STORE_PROFILES_MAX];
	struct store_change many = profiles(first, 3), fewer = profiles(second, 1);
	struct store_change a = addition(2);

	CHECK(look(s)->n_profiles == 0);
	many.next = &a;
	CHECK(store_apply(s, &many) == 0 && many.result == 0 && a.result == 0);
	CHECK(look(s)->n_profiles == 4 && look(s)->n_peers == 1);
	second[1].until_ns = 0;
	CHECK(store_apply(s, &fewer) == 0 && fewer.result == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_profiles == 2);
	CHECK(strcmp(seen->profiles[0].name, "high.1") == 0 && seen->profiles[0].until_ns == 0);
	CHECK(seen->profiles[0].level == FRAME_HIGH);
	CHECK(strcmp(seen->profiles[1].name, "low") == 0 && seen->profiles[1].created_ns == 11);
	CHECK(strcmp(seen->profiles[1].parameters, "jc=4 jmin=8 i1=<b 0x00><r 5>") == 0);
	store_free(s);
}

static void profiles_that_contradict_each_other_change_nothing(void)
{
	struct store *s = fresh();
	struct store_profile good[STORE_PROFILES_MAX], bad[STORE_PROFILES_MAX];
	struct store_change first = profiles(good, 1), refused = profiles(bad, 2);
	struct store_change a = addition(2);

	memcpy(bad[2].name, bad[1].name, sizeof(bad[2].name));
	CHECK(store_apply(s, &first) == 0);
	refused.next = &a;
	CHECK(store_apply(s, &refused) == 0);
	CHECK(refused.result == ERR_EXISTS && a.result == 0);
	CHECK(look(s)->n_profiles == 2 && look(s)->n_peers == 1);
	store_free(s);
}

static void ids_are_never_used_again(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);

	CHECK(store_apply(s, &a) == 0);

	struct store_change drop = { .kind = STORE_REMOVE_PEER, .peer = { .id = a.peer.id } };

	CHECK(store_apply(s, &drop) == 0);
	CHECK(store_apply(s, &b) == 0);
	CHECK(b.peer.id > a.peer.id);
	store_free(s);
}

static void old_signatures_are_forgotten_and_leave_a_floor(void)
{
	struct store *s = fresh();
	struct store_change one = signed_with(1, 100), two = signed_with(2, 250);
	struct store_change three = signed_with(3, 300);

	one.next = &two;
	CHECK(store_apply(s, &one) == 0);
	CHECK(look(s)->n_signatures == 2 && look(s)->floor_s == 0);
	three.forget_before_s = 240;
	CHECK(store_apply(s, &three) == 0);
	store_free(s);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_signatures == 2 && seen->signatures[0].digest[0] == 2);
	CHECK(seen->floor_s == 100);
	store_free(s);
}

static void a_killed_process_loses_nothing_acknowledged(void)
{
	enum { RUNS = 10 };

	for (int run = 0; run < RUNS; run++) {
		int acknowledged[2];
		uint8_t n = 2, last = 0;

		fresh_path();
		store_free(reopen());
		if (pipe(acknowledged) != 0)
			abort();

		pid_t child = fork();

		if (child == 0) {
			struct store *s = reopen();

			for (; n < 250; n++) {
				struct store_change c = addition(n);

				if (store_apply(s, &c) != 0 || c.result != 0 ||
				    write(acknowledged[1], &n, 1) != 1)
					_exit(1);
				if (n % 16 == 0)
					store_maintain(s);
			}
			pause();
		}
		close(acknowledged[1]);
		/* Kill after a certain number of acknowledgements, at no certain point. */
		for (int i = 0; i < 5 + 17 * run && read(acknowledged[0], &last, 1) == 1; i++)
			;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(acknowledged[0], &n, 1) == 1)
			last = n;
		close(acknowledged[0]);

		struct store *s = reopen();
		struct seen *seen = look(s);

		CHECK(seen->n_peers >= last - 1U && seen->n_peers <= last + 0U);
		for (unsigned int i = 0; i < seen->n_peers; i++)
			CHECK(seen->peers[i].v4.b[3] == i + 2);
		store_free(s);
	}
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

	fresh_path();
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

static void a_changed_level_lasts(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	CHECK(store_apply(s, &a) == 0);

	struct store_change level = change_of(&a, 6000);

	level.peer.level = FRAME_EXTREME;

	CHECK(store_apply(s, &level) == 0 && level.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM audit WHERE action = 'peer.update' AND"
			" subject = 'peer 1 peer2'") == 1);
	s = reopen();

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 1 && seen->peers[0].level == FRAME_EXTREME);
	CHECK(seen->peers[0].status == STORE_PEER_ACTIVE && seen->peers[0].changed_ns == 6000);
	level.peer.id++;
	CHECK(store_apply(s, &level) == 0 && level.result == ERR_UNKNOWN);
	store_free(s);
}

static void a_dropped_profile_leaves_a_row_for_the_audit(void)
{
	struct store *s = fresh();
	struct store_profile list[STORE_PROFILES_MAX];
	struct store_change c = profiles(list, 1);

	snprintf(c.action, sizeof(c.action), "profile.drop");
	snprintf(c.subject, sizeof(c.subject), "profile high.2");
	CHECK(store_apply(s, &c) == 0 && c.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM audit WHERE action = 'profile.drop' AND"
			" subject = 'profile high.2'") == 1);
}

static void a_rotated_level_leaves_a_row_for_the_audit(void)
{
	struct store *s = fresh();
	struct store_profile list[STORE_PROFILES_MAX];
	struct store_change c = profiles(list, 1), silent = profiles(list, 1);

	silent.who[0] = '\0'; /* what the gateway draws for itself at its first start */
	silent.next = &c;
	CHECK(store_apply(s, &silent) == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM audit") == 1);
	CHECK(count_sql("SELECT count(*) FROM audit WHERE time_ns = 7000 AND who = 'test' AND"
			" action = 'level.rotate' AND subject = 'level high'") == 1);
}

static void a_file_of_somebody_else_is_refused(void)
{
	struct diag d = { .line = 0 };

	fresh_path();
	run_sql("CREATE TABLE theirs (x)");
	CHECK(open_error(&d) == ERR_CORRUPT);
	CHECK(strstr(d.text, "another program"));

	fresh_path();
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
	fresh_path();
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

/* --- Runs, secrets, records, usage, the audit trail --- */

static void joined_changes_stand_or_fall_together(void)
{
	struct store *s = fresh();
	struct store_change before = addition(2), one = addition(3), two = addition(4),
			    three = addition(5), after = addition(6);

	memcpy(two.peer.name, before.peer.name, sizeof(two.peer.name)); /* taken */
	two.is_joined = three.is_joined = true;
	before.next = &one;
	one.next = &two;
	two.next = &three;
	three.next = &after;
	CHECK(store_apply(s, &before) == 0);
	CHECK(before.result == 0 && after.result == 0);
	CHECK(one.result == -ECANCELED && two.result == ERR_EXISTS &&
	      three.result == -ECANCELED);
	CHECK(look(s)->n_peers == 2);

	struct store_change again = addition(3), more = addition(4);

	more.is_joined = true;
	again.next = &more;
	CHECK(store_apply(s, &again) == 0 && again.result == 0 && more.result == 0);
	CHECK(look(s)->n_peers == 4);
	store_free(s);
}

static void a_moved_peer_leaves_its_address_to_rest(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	CHECK(store_apply(s, &a) == 0);

	struct store_change move = change_of(&a, 6000);

	move.is_moved = true;
	move.rest_until_ns = 9000;
	move.peer.v4.b[3] = 77; /* and its IPv6 address stays */
	CHECK(store_apply(s, &move) == 0 && move.result == 0);

	struct seen *seen = look(s);

	CHECK(seen->n_peers == 1 && seen->peers[0].v4.b[3] == 77);
	CHECK(seen->peers[0].v6.b[15] == 2);
	CHECK(seen->n_resting == 1 && seen->resting[0].ip.b[3] == 2);
	store_free(s);
}

static void a_peer_keeps_what_it_may(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);
	struct seen *seen;

	a.peer.expires_ns = 11;
	a.peer.quota_bytes = 12;
	a.peer.quota_period = STORE_PERIOD_WEEK;
	a.peer.rate_bps = 13;
	a.peer.keepalive_s = 14;
	a.peer.blocked = STORE_BLOCK_QUOTA;
	a.peer.routes = "10.9.0.0/16";
	a.peer.note = "the blue one";
	CHECK(store_apply(s, &a) == 0);
	store_free(s);
	s = reopen();
	seen = look(s);
	CHECK(seen->peers[0].expires_ns == 11 && seen->peers[0].quota_bytes == 12);
	CHECK(seen->peers[0].quota_period == STORE_PERIOD_WEEK &&
	      seen->peers[0].rate_bps == 13);
	CHECK(seen->peers[0].keepalive_s == 14 && seen->peers[0].blocked == STORE_BLOCK_QUOTA);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM peer WHERE routes = '10.9.0.0/16' AND"
			" note = 'the blue one' AND schedule IS NULL") == 1);
}

static void a_preshared_key_survives_changes_that_do_not_name_it(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2);

	a.peer.preshared_key.b[0] = 0xab;
	CHECK(store_apply(s, &a) == 0);

	struct store_change other_key = change_of(&a, 6000);

	other_key.peer.preshared_key = (struct secret_key){ .b = { 0 } };
	other_key.peer.public_key[0] = 0x99; /* its place in the seal */
	CHECK(store_apply(s, &other_key) == 0 && other_key.result == 0);
	CHECK(other_key.peer.preshared_key.b[0] == 0xab); /* whoever carries it on needs it */
	CHECK(look(s)->peers[0].preshared_key.b[0] == 0xab);

	struct store_change none = change_of(&other_key, 7000);

	none.sets_preshared_key = true;
	none.peer.preshared_key = (struct secret_key){ .b = { 0 } };
	CHECK(store_apply(s, &none) == 0);
	CHECK(look(s)->peers[0].preshared_key.b[0] == 0);
	store_free(s);
}

static struct store_change record(enum store_record_kind kind, const char *name,
				  const char *body)
{
	struct store_change c = { .kind = STORE_PUT_RECORD,
				  .now_ns = 5000,
				  .who = "test",
				  .action = "record.put",
				  .record = { .kind = kind, .body = body } };

	snprintf(c.record.name, sizeof(c.record.name), "%s", name);
	return c;
}

struct seen_records {
	unsigned int n;
	struct store_record last;
	char body[64];
};

static int see_record(void *context, const struct store_record *one)
{
	struct seen_records *seen = context;

	seen->n++;
	seen->last = *one;
	snprintf(seen->body, sizeof(seen->body), "%s", one->body);
	return 0;
}

static void records_are_made_changed_and_dropped(void)
{
	struct store *s = fresh();
	struct seen_records seen = { .n = 0 };
	struct store_change a = record(STORE_ACCOUNT, "acme", "{\"a\":1}");
	struct store_change twice = record(STORE_ACCOUNT, "acme", "{}");
	struct store_change hook = record(STORE_WEBHOOK, "acme", "{\"secret\":\"PLAIN\"}");

	a.next = &twice;
	twice.next = &hook;
	CHECK(store_apply(s, &a) == 0);
	CHECK(a.result == 0 && twice.result == ERR_EXISTS && hook.result == 0);
	a.next = NULL;
	a.record.body = "{\"a\":2}";
	CHECK(store_apply(s, &a) == 0 && a.result == 0);
	store_free(s);
	s = reopen();
	CHECK(store_load_records(s, see_record, &seen) == 0);
	CHECK(seen.n == 2 && strcmp(seen.body, "{\"secret\":\"PLAIN\"}") == 0);

	struct store_change drop = { .kind = STORE_DROP_RECORD,
				     .record = { .id = hook.record.id,
						 .kind = STORE_WEBHOOK } };

	CHECK(store_apply(s, &drop) == 0 && drop.result == 0);
	CHECK(store_apply(s, &drop) == 0 && drop.result == ERR_UNKNOWN);
	seen.n = 0;
	CHECK(store_load_records(s, see_record, &seen) == 0);
	CHECK(seen.n == 1 && strcmp(seen.body, "{\"a\":2}") == 0);
	store_free(s);
}

static void a_peer_cannot_name_an_account_that_is_not_there(void)
{
	struct store *s = fresh();
	struct store_change peer = addition(2), account = record(STORE_ACCOUNT, "a", "{}");
	struct store_change drop = { .kind = STORE_DROP_RECORD };

	peer.peer.account_id = 4711;
	CHECK(store_apply(s, &peer) == 0 && peer.result == ERR_UNKNOWN);
	CHECK(store_apply(s, &account) == 0);
	peer.peer.account_id = account.record.id;
	CHECK(store_apply(s, &peer) == 0 && peer.result == 0);
	CHECK(look(s)->peers[0].account_id == account.record.id);
	drop.record = account.record;
	CHECK(store_apply(s, &drop) == 0 && drop.result == ERR_UNKNOWN);
	store_free(s);
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

static void another_master_key_is_refused_at_once(void)
{
	static const struct secret_key wrong = { { 1 } };
	struct store *s = fresh();
	struct store_change peer = addition(2);
	struct store_config config = config_of(7);
	struct diag d = { .text = "" };

	peer.peer.preshared_key.b[0] = 1;
	CHECK(store_apply(s, &peer) == 0);
	store_free(s);
	s = NULL;
	config.master = &wrong;
	CHECK(store_open_sqlite(path, &config, &s, &d) == ERR_AUTH && !s);
	CHECK(strstr(d.text, "master key"));
}

static int see_usage(void *context, const struct store_usage *u)
{
	memcpy(context, u->data, u->len);
	return u->len == 3 ? 0 : ERR_CORRUPT;
}

static void usage_is_kept_for_peers_that_exist(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);
	char data[4] = "";

	a.next = &b;
	CHECK(store_apply(s, &a) == 0);

	const struct store_usage usage[] = { { a.peer.id, "one", 3 }, { 4711, "two", 3 } };
	struct store_change set = { .kind = STORE_SET_USAGE, .usage = usage, .n_usage = 2 };

	CHECK(store_apply(s, &set) == 0 && set.result == 0);
	CHECK(store_load_usage(s, see_usage, data) == 0 && strcmp(data, "one") == 0);
	struct store_change drop = { .kind = STORE_REMOVE_PEER, .peer = { .id = a.peer.id } };

	CHECK(store_apply(s, &drop) == 0 && drop.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM usage") == 0);
}

static int see_answered(void *context, const struct store_answered *one)
{
	*(struct store_answered *)context = *one;
	return 0;
}

static void an_idempotency_key_is_good_for_one_change(void)
{
	static const uint64_t day_ns = (uint64_t)STORE_ANSWERED_S * 1000000000;
	struct store *s = fresh();
	struct store_change a = addition(2), again = addition(3), late = addition(4);
	struct store_answered one = { .subject = 0 };

	a.has_answered = again.has_answered = late.has_answered = true;
	a.now_ns = again.now_ns = day_ns;
	a.answered_digest[0] = again.answered_digest[0] = late.answered_digest[0] = 5;
	late.now_ns = 2 * day_ns + 1;
	CHECK(store_apply(s, &a) == 0 && a.result == 0);
	CHECK(store_apply(s, &again) == 0 && again.result == ERR_EXISTS);
	CHECK(store_load_answered(s, see_answered, &one) == 0);
	CHECK(one.subject == a.peer.id && one.digest[0] == 5 && look(s)->n_peers == 1);
	CHECK(store_apply(s, &late) == 0 && late.result == 0); /* forgotten after a day */
	store_free(s);
}

/* struct chain - Follows the trail as whoever verifies it would */
struct chain {
	struct seal *seal;
	uint8_t prev[SEAL_CHAIN_LEN];
	unsigned int n;
	unsigned int broken;
};

static int see_audit(void *context, const struct store_audit *one)
{
	struct chain *chain = context;
	uint8_t hash[SEAL_CHAIN_LEN];

	seal_chain(chain->seal, one->prev, &one->row, hash);
	if (!one->is_chained || memcmp(hash, one->hash, sizeof(hash)) != 0 ||
	    (chain->n > 0 && memcmp(chain->prev, one->prev, sizeof(hash)) != 0))
		chain->broken++;
	memcpy(chain->prev, one->hash, sizeof(hash));
	chain->n++;
	return 0;
}

static struct chain follow_chain(struct store *s)
{
	struct chain chain = { .n = 0 };

	if (seal_new(&master, &chain.seal) != 0)
		abort();
	CHECK(store_read_audit(s, 0, 1000, see_audit, &chain) == 0);
	seal_free(chain.seal);
	return chain;
}

static void rows_of_the_audit_trail_are_chained(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), refused = addition(2), b = addition(3);
	struct chain chain;

	a.next = &refused;
	refused.next = &b;
	CHECK(store_apply(s, &a) == 0 && refused.result == ERR_EXISTS);
	CHECK(a.ret_audit_id == 1 && refused.ret_audit_id == 0 && b.ret_audit_id == 2);
	store_free(s);
	s = reopen();
	b = addition(4);
	CHECK(store_apply(s, &b) == 0 && b.ret_audit_id == 3);
	chain = follow_chain(s);
	CHECK(chain.n == 3 && chain.broken == 0);
	run_sql("UPDATE audit SET who = 'tesu' WHERE id = 2");
	CHECK(follow_chain(s).broken == 1);
	run_sql("UPDATE audit SET who = 'test' WHERE id = 2; DELETE FROM audit WHERE id = 2");
	CHECK(follow_chain(s).broken == 1);
	store_free(s);
}

int main(void)
{
	if (!mkdtemp(directory)) { /* memory is enough: the faults of a disk are made here */
		snprintf(directory, sizeof(directory), "/tmp/culvert-store-XXXXXX");
		if (!mkdtemp(directory))
			abort();
	}
	faults_install();
	RUN(what_was_applied_is_there_after_reopening);
	RUN(a_refused_change_does_not_spoil_its_group);
	RUN(a_signature_stands_or_falls_with_its_change);
	RUN(status_changes_and_removal_last);
	RUN(removed_addresses_rest_and_then_serve_again);
	RUN(profiles_are_replaced_as_a_whole_beside_other_changes);
	RUN(profiles_that_contradict_each_other_change_nothing);
	RUN(ids_are_never_used_again);
	RUN(old_signatures_are_forgotten_and_leave_a_floor);
	RUN(a_killed_process_loses_nothing_acknowledged);
	RUN(the_file_is_the_owners_alone);
	RUN(a_newer_schema_is_refused_and_left_untouched);
	RUN(peers_of_the_first_version_are_at_level_off);
	RUN(a_level_nobody_knows_is_corruption);
	RUN(a_rotated_level_leaves_a_row_for_the_audit);
	RUN(a_changed_level_lasts);
	RUN(a_dropped_profile_leaves_a_row_for_the_audit);
	RUN(joined_changes_stand_or_fall_together);
	RUN(a_moved_peer_leaves_its_address_to_rest);
	RUN(a_peer_keeps_what_it_may);
	RUN(a_preshared_key_survives_changes_that_do_not_name_it);
	RUN(records_are_made_changed_and_dropped);
	RUN(a_peer_cannot_name_an_account_that_is_not_there);
	RUN(no_secret_is_readable_in_the_file);
	RUN(another_master_key_is_refused_at_once);
	RUN(usage_is_kept_for_peers_that_exist);
	RUN(an_idempotency_key_is_good_for_one_change);
	RUN(rows_of_the_audit_trail_are_chained);
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
