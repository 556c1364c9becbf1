/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's store, on a real server: what every store does, and what concerns this one alone
 * (sessions that are lost, COMMITs without an answer, several gateways, other schemas).
 */
#include <pthread.h>

#include "conformance.h"
#include "pg_server.h"

static void fresh_place(void)
{
	pg_sql("DROP SCHEMA IF EXISTS culvert CASCADE");
}

static int open_place(const struct store_config *config, struct store **ret, struct diag *d)
{
	char where[PG_CONNINFO_MAX];

	return store_open_postgres(pg_conninfo(where), config, ret, d);
}

static void run_sql(const char *sql)
{
	pg_sql(sql);
}

static int count_sql(const char *sql)
{
	return pg_sql(sql);
}

static int open_error(const char *conninfo, const struct store_config *config, struct diag *d)
{
	struct store *s = NULL;
	int err = store_open_postgres(conninfo, config, &s, d);

	store_free(s);
	return err;
}

/* --- Opening --- */

static void a_newer_schema_is_refused_and_left_untouched(void)
{
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };
	char where[PG_CONNINFO_MAX];

	store_free(fresh());
	run_sql("UPDATE culvert_schema SET version = 99");
	CHECK(open_error(pg_conninfo(where), &config, &d) == ERR_VERSION);
	CHECK(strstr(d.text, "newer culvert") && strstr(d.text, "99"));
	CHECK(count_sql("SELECT version FROM culvert_schema") == 99);
}

static void a_schema_of_somebody_else_is_refused(void)
{
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };
	char where[PG_CONNINFO_MAX];

	fresh_place();
	run_sql("CREATE SCHEMA culvert; CREATE TABLE culvert.theirs (x int)");
	CHECK(open_error(pg_conninfo(where), &config, &d) == ERR_CORRUPT);
	CHECK(strstr(d.text, "another program"));
	CHECK(count_sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'culvert'") == 1);
}

/* A role that may not make schemas, with a schema that was made for it. */
static void a_schema_that_is_given_and_empty_is_enough(void)
{
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };
	char where[PG_CONNINFO_MAX];

	fresh_place();
	run_sql("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN;"
		"CREATE SCHEMA culvert AUTHORIZATION plain");
	snprintf(where, sizeof(where), "host=%s port=5499 user=plain dbname=postgres", pg_base);
	CHECK(open_error(where, &config, &d) == 0);
	run_sql("DROP SCHEMA culvert CASCADE");
	CHECK(open_error(where, &config, &d) == -EBUSY && strstr(d.text, "permission denied"));
	run_sql("DROP ROLE plain");
}

static void a_password_in_the_connection_string_is_refused(void)
{
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };

	CHECK(open_error("host=/nowhere password=PLANTED", &config, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "passfile") && !strstr(d.text, "PLANTED"));
	CHECK(open_error("postgresql://me:PLANTED@[::1]/x", &config, &d) == ERR_FORMAT);
	CHECK(!strstr(d.text, "PLANTED"));
	CHECK(open_error("hots=/nowhere", &config, &d) == ERR_FORMAT && strstr(d.text, "hots"));
	CHECK(open_error("host=/nowhere", &config, &d) == -ENOTCONN);
}

static void a_database_of_another_encoding_is_refused(void)
{
	struct store_config config = config_of(7);
	struct diag d = { .line = 0 };
	char where[PG_CONNINFO_MAX];

	run_sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
	snprintf(where, sizeof(where), "host=%s port=5499 user=culvert dbname=latin", pg_base);
	CHECK(open_error(where, &config, &d) == ERR_FORMAT && strstr(d.text, "UTF8"));
	run_sql("DROP DATABASE latin");
}

/* --- Several gateways --- */

static int open_interface(const char *name, const struct secret_key *key, struct store **ret,
			  struct diag *d)
{
	struct store_config config = config_of(7);

	config.interface = name;
	config.master = key;
	return open_place(&config, ret, d);
}

static void two_interfaces_of_one_database_do_not_see_each_other(void)
{
	static const struct secret_key other_master = { { 4 } };
	struct store *s = fresh(), *other = NULL;
	struct store_change a = addition(2), b = addition(2), sign = signed_with(1, 60);
	struct store_change account = record(STORE_ACCOUNT, "acme", "{}"), theirs = account;
	struct diag d = { .line = 0 };
	struct seen_records seen = { .n = 0 };

	a.next = &account;
	account.next = &sign;
	CHECK(store_apply(s, &a) == 0 && a.result == 0 && account.result == 0);
	CHECK(open_interface("wg1", &other_master, &other, &d) == 0);
	CHECK(look(other)->n_peers == 0 && look(other)->n_signatures == 0);
	b.next = &theirs; /* the same key, name, addresses, the same account */
	CHECK(store_apply(other, &b) == 0 && b.result == 0 && theirs.result == 0);
	CHECK(a.ret_audit_id == 1 && b.ret_audit_id == 1);

	struct store_change steal = change_of(&a, 6000);

	CHECK(store_apply(other, &steal) == 0 && steal.result == ERR_UNKNOWN);
	b.peer.account_id = account.record.id; /* of the other interface */
	b.kind = STORE_CHANGE_PEER;
	CHECK(store_apply(other, &b) == 0 && b.result == ERR_UNKNOWN);
	CHECK(store_load_records(other, see_record, &seen) == 0 && seen.n == 1);
	CHECK(follow_chain(s).n == 2 && follow_chain(s).broken == 0);
	store_free(other);
	CHECK(look(s)->n_peers == 1 && look(s)->n_signatures == 1);
	store_free(s);
}

static void one_gateway_at_a_time_has_an_interface(void)
{
	struct store *s = fresh(), *other = NULL;
	struct diag d = { .line = 0 };

	CHECK(open_interface("wg0", &master, &other, &d) == -EBUSY && !other);
	CHECK(strstr(d.text, "another gateway") && strstr(d.text, "wg0"));
	store_free(s);
	CHECK(open_interface("wg0", &master, &other, &d) == 0);
	store_free(other);
}

static void another_gateways_interface_is_not_taken_over_by_name(void)
{
	static const struct secret_key other_master = { { 4 } };
	struct store *other = NULL;
	struct diag d = { .line = 0 };

	store_free(fresh()); /* not a secret in it yet */
	CHECK(open_interface("wg0", &other_master, &other, &d) == ERR_AUTH && !other);
	CHECK(strstr(d.text, "another master key"));
}

/* --- Sessions that are lost --- */

static void end_sessions(void)
{
	pg_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
	       " WHERE application_name = 'culvert'");
	pg_pause();
}

static void a_session_that_ended_is_replaced_unnoticed(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), b = addition(3);
	struct store_change account = record(STORE_ACCOUNT, "acme", "{}");

	a.next = &account;
	end_sessions();
	CHECK(store_apply(s, &a) == 0 && a.result == 0 && account.result == 0);
	end_sessions();
	CHECK(look(s)->n_peers == 1);
	CHECK(follow_chain(s).n == 2);
	end_sessions();
	CHECK(follow_chain(s).n == 2 && follow_chain(s).broken == 0);
	CHECK(store_apply(s, &b) == 0 && b.result == 0 && b.ret_audit_id == 3);
	CHECK(follow_chain(s).n == 3 && follow_chain(s).broken == 0);
	store_free(s);
}

/* A server and its standby, of which one is away. */
static void several_places_are_tried_in_turn(void)
{
	struct store_config config = config_of(7);
	struct store_change a = addition(2);
	struct diag d = { .line = 0 };
	struct store *s = NULL;
	char where[256];

	fresh_place();
	snprintf(where, sizeof(where),
		 "host=/nowhere,localhost,%s port=5499,1,5499 user=culvert dbname=postgres",
		 pg_base);
	CHECK(store_open_postgres(where, &config, &s, &d) == 0);
	if (!s)
		return;
	end_sessions();
	CHECK(store_apply(s, &a) == 0 && a.result == 0);
	CHECK(look(s)->n_peers == 1);
	store_free(s);
}

static void a_server_that_is_gone_refuses_and_recovers_by_itself(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), account = record(STORE_ACCOUNT, "acme", "{}");

	a.next = &account;
	pg_end(SIGINT);
	CHECK(store_apply(s, &a) == -EBUSY && a.result == -EBUSY && account.result == -EBUSY);
	CHECK(account.record.id == 0); /* it is new still */
	CHECK(store_maintain(s) == 0);
	CHECK(pg_start());
	CHECK(store_apply(s, &a) == 0 && a.result == 0 && account.result == 0);
	CHECK(look(s)->n_peers == 1 && follow_chain(s).n == 2);
	store_free(s);
}

/* Nobody may go on with what was known before somebody else wrote. */
static void a_store_that_was_written_by_another_meanwhile_is_at_its_end(void)
{
	struct store *s = fresh(), *other;
	struct store_change a = addition(2), b = addition(3), c = addition(4);

	CHECK(store_apply(s, &a) == 0);
	end_sessions();
	other = reopen(); /* the lock was free for a moment */
	CHECK(store_apply(other, &b) == 0 && b.result == 0);
	store_free(other);
	CHECK(store_apply(s, &c) == -EIO && c.result == -EIO);
	CHECK(store_maintain(s) == -ESTALE);
	CHECK(store_apply(s, &c) == -EIO);
	store_free(s);
	s = reopen();
	CHECK(look(s)->n_peers == 2 && follow_chain(s).broken == 0);
	CHECK(store_apply(s, &c) == 0 && c.ret_audit_id == 3);
	store_free(s);
}

static void what_the_server_refuses_ends_the_group_and_no_more(void)
{
	struct store *s = fresh();
	struct store_change a = addition(2), account = record(STORE_ACCOUNT, "acme", "{}");

	a.next = &account;
	run_sql("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
		" 'BEGIN RAISE SQLSTATE ''53100'' USING MESSAGE = ''no space''; END';"
		"CREATE TRIGGER full_disk BEFORE INSERT ON record"
		" FOR EACH ROW EXECUTE FUNCTION full_disk()");
	CHECK(store_apply(s, &a) == -ENOSPC && a.result == -ENOSPC);
	CHECK(a.ret_audit_id == 0 && account.record.id == 0);
	CHECK(look(s)->n_peers == 0);
	run_sql("DROP TRIGGER full_disk ON record");
	CHECK(store_apply(s, &a) == 0 && a.result == 0 && account.result == 0);
	CHECK(a.ret_audit_id == 1 && follow_chain(s).broken == 0);
	store_free(s);
}

/* --- A server that crashes under load --- */

struct load {
	struct store *store;
	pthread_mutex_t lock;
	unsigned int acknowledged; /* changes are numbered from 2 */
	bool stop;
};

static void *apply_one_by_one(void *context)
{
	struct load *load = context;
	bool stop = false;

	for (unsigned int n = 2; n < 250 && !stop;) {
		struct store_change c = addition((uint8_t)n);
		int err = store_apply(load->store, &c);

		pthread_mutex_lock(&load->lock);
		if (err == 0 && c.result == 0)
			load->acknowledged = n++;
		stop = load->stop || err == -EIO || (err == 0 && c.result != 0);
		pthread_mutex_unlock(&load->lock);
	}
	return NULL;
}

static unsigned int acknowledged(struct load *load)
{
	unsigned int n;

	pthread_mutex_lock(&load->lock);
	n = load->acknowledged;
	pthread_mutex_unlock(&load->lock);
	return n;
}

/* Kill the server once @n more are acknowledged, and let it recover. */
static void crash_after(struct load *load, unsigned int n)
{
	unsigned int goal = acknowledged(load) + n;

	for (int i = 0; i < 500 && acknowledged(load) < goal; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	pg_end(SIGKILL);
	CHECK(pg_start());
}

static void a_crash_of_the_server_loses_nothing_acknowledged(void)
{
	struct load load = { .store = fresh(), .acknowledged = 1 };
	unsigned int crashes = getenv("CULVERT_SOAK") ? 12 : 3;
	struct seen *seen;
	struct store *s;
	pthread_t thread;

	pthread_mutex_init(&load.lock, NULL);
	CHECK(pthread_create(&thread, NULL, apply_one_by_one, &load) == 0);
	for (unsigned int i = 0; i < crashes; i++)
		crash_after(&load, 7 + i);
	pthread_mutex_lock(&load.lock);
	load.stop = true;
	pthread_mutex_unlock(&load.lock);
	pthread_join(thread, NULL);
	store_free(load.store);
	s = reopen();
	seen = look(s);
	printf("# scale: %u crashes, full 12; %u changes acknowledged\n", crashes,
	       load.acknowledged - 1);
	CHECK(load.acknowledged > 7 * crashes);
	CHECK(seen->n_peers == load.acknowledged - 1);
	for (unsigned int i = 0; i < seen->n_peers; i++)
		CHECK(seen->peers[i].v4.b[3] == i + 2);
	CHECK(follow_chain(s).n == seen->n_peers && follow_chain(s).broken == 0);
	store_free(s);
}

static bool is_over(struct load *load)
{
	bool stop;

	pthread_mutex_lock(&load->lock);
	stop = load->stop;
	pthread_mutex_unlock(&load->lock);
	return stop;
}

static int count_audit(void *context, const struct store_audit *one)
{
	*(unsigned int *)context += one->is_chained;
	return 0;
}

/* A session that ends in the middle of the trail says so; the next time it is whole again. */
static void *read_trail(void *context)
{
	struct load *load = context;

	while (!is_over(load)) {
		unsigned int n = 0;
		int err = store_read_audit(load->store, 0, 1000, count_audit, &n);

		CHECK(err == 0 || err == -ENOTCONN);
		CHECK(store_maintain(load->store) == 0);
	}
	return NULL;
}

static void the_trail_is_read_while_changes_are_made_and_sessions_end(void)
{
	struct load load = { .store = fresh(), .acknowledged = 1 };
	pthread_t writer, reader;
	struct chain chain;

	pthread_mutex_init(&load.lock, NULL);
	CHECK(pthread_create(&writer, NULL, apply_one_by_one, &load) == 0);
	CHECK(pthread_create(&reader, NULL, read_trail, &load) == 0);
	for (int i = 0; i < 8; i++)
		end_sessions();
	pthread_mutex_lock(&load.lock);
	load.stop = true;
	pthread_mutex_unlock(&load.lock);
	pthread_join(writer, NULL);
	pthread_join(reader, NULL);
	chain = follow_chain(load.store);
	CHECK(load.acknowledged > 2 && look(load.store)->n_peers == load.acknowledged - 1);
	CHECK(chain.n == load.acknowledged - 1 && chain.broken == 0);
	store_free(load.store);
}

/* --- Secrets --- */

static void no_secret_is_readable_in_the_files_of_the_server(void)
{
	static struct program_result found;
	struct store *s = fresh();
	struct store_change peer = addition(2);
	struct store_change hook =
		record(STORE_WEBHOOK, "h", "{\"secret\":\"PLANTED-SECRET\"}");
	char data[96];

	memcpy(peer.peer.preshared_key.b, "PLANTED-PRESHARED-KEY-PLANTED-PR", 32);
	snprintf(peer.peer.name, sizeof(peer.peer.name), "readable-name");
	peer.next = &hook;
	CHECK(store_apply(s, &peer) == 0 && peer.result == 0 && hook.result == 0);
	store_free(s);
	run_sql("CHECKPOINT");
	snprintf(data, sizeof(data), "%s/data", pg_base);
	CHECK(program_run(
		      "/usr/bin/grep",
		      (const char *[]){ "grep", "-rlaE", "PLANTED|504c414e544544", data, NULL },
		      "", 0, UINT64_C(60000000000), &found) == 0);
	CHECK(found.status == 1 && !found.out[0]);
	CHECK(program_run("/usr/bin/grep",
			  (const char *[]){ "grep", "-rla", "readable-name", data, NULL }, "",
			  0, UINT64_C(60000000000), &found) == 0);
	CHECK(found.status == 0); /* they are the right files */
}

static void a_plain_key_is_corruption(void)
{
	struct store *s = fresh();
	struct store_change key = record(STORE_KEY, "k", "{\"role\":\"reader\"}");

	CHECK(store_apply(s, &key) == 0 && key.result == 0);
	store_free(s);
	CHECK(count_sql("SELECT count(*) FROM record WHERE body IS NOT NULL") == 0);
	CHECK(read_all_records() == 0);
	run_sql("UPDATE record SET sealed = NULL, body = '{\"role\":\"admin\"}'");
	CHECK(read_all_records() == ERR_CORRUPT);
}

static void run_own(void)
{
	RUN(a_newer_schema_is_refused_and_left_untouched);
	RUN(a_schema_of_somebody_else_is_refused);
	RUN(a_schema_that_is_given_and_empty_is_enough);
	RUN(a_password_in_the_connection_string_is_refused);
	RUN(a_database_of_another_encoding_is_refused);
	RUN(two_interfaces_of_one_database_do_not_see_each_other);
	RUN(one_gateway_at_a_time_has_an_interface);
	RUN(another_gateways_interface_is_not_taken_over_by_name);
	RUN(a_session_that_ended_is_replaced_unnoticed);
	RUN(several_places_are_tried_in_turn);
	RUN(a_server_that_is_gone_refuses_and_recovers_by_itself);
	RUN(a_store_that_was_written_by_another_meanwhile_is_at_its_end);
	RUN(what_the_server_refuses_ends_the_group_and_no_more);
	RUN(a_crash_of_the_server_loses_nothing_acknowledged);
	RUN(the_trail_is_read_while_changes_are_made_and_sessions_end);
	RUN(a_plain_key_is_corruption);
	RUN(no_secret_is_readable_in_the_files_of_the_server);
}

int main(void)
{
	const char *why = pg_prepare();
	int code = 0;

	if (why) {
		printf("1..0 # SKIP %s\n", why);
	} else {
		conformance_run();
		run_own();
		code = DONE();
	}
	pg_clean_up();
	return code;
}
