/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "../test.h"
#include "cmd/serving.h"
#include "cmd/store_option.h"

/* What a command line with these two options means; NULL: not said. */
static int read_option(const char *store, const char *database, bool *ret_postgres,
		       struct diag *d)
{
	static const struct option_row rows[] = { SERVING_ROWS };
	struct options o = { .command = "gateway",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct store_option option = { .is_postgres = false };
	char *argv[6] = { (char *)(uintptr_t) "culvert" };
	int argc = 1, err;

	if (store) {
		argv[argc++] = (char *)(uintptr_t) "--store";
		argv[argc++] = (char *)(uintptr_t)store;
	}
	if (database) {
		argv[argc++] = (char *)(uintptr_t) "--database";
		argv[argc++] = (char *)(uintptr_t)database;
	}
	err = options_read_arguments(&o, argc, argv, d);
	if (err == 0)
		err = store_option_read(&o, &option, d);
	*ret_postgres = option.is_postgres;
	options_done(&o);
	return err;
}

static void a_store_is_sqlite_unless_it_is_said(void)
{
	struct diag d = { .text = "" };
	bool is_postgres;

	CHECK(read_option(NULL, NULL, &is_postgres, &d) == 0 && !is_postgres);
	CHECK(read_option("sqlite", NULL, &is_postgres, &d) == 0 && !is_postgres);
	CHECK(read_option("postgres", "dbname=x", &is_postgres, &d) == 0 && is_postgres);
	CHECK(read_option("mysql", "dbname=x", &is_postgres, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "--store"));
}

static void postgres_and_its_database_go_together(void)
{
	struct diag d = { .text = "" };
	bool is_postgres;

	CHECK(read_option("postgres", NULL, &is_postgres, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "--database"));
	CHECK(read_option("postgres", "", &is_postgres, &d) == ERR_FORMAT);
	CHECK(read_option(NULL, "dbname=x", &is_postgres, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "--store postgres"));
}

static void a_password_of_the_status_page_is_seen_too(void)
{
	static const struct option_row rows[] = { SERVING_ROWS };
	struct options o = { .command = "gateway",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct store_option option;
	struct diag d = { .text = "" };
	char *argv[] = { (char[]){ "culvert" },
			 (char[]){ "--status-postgres=host=::1 password=PLANTED" }, NULL };

	CHECK(options_read_arguments(&o, 2, argv, &d) == 0);
	CHECK(store_option_read(&o, &option, &d) == ERR_FORMAT);
	CHECK(strstr(d.text, "--status-postgres") && !strstr(d.text, "PLANTED"));
	options_done(&o);
}

static void a_password_is_seen_and_not_repeated(void)
{
	static const char *const bad[] = {
		"password=PLANTED",
		"host=a password = 'PLANTED'",
		"host=a\tpassword\t=PLANTED",
		"sslpassword=PLANTED sslkey=k",
		"postgresql://u:PLANTED@h/d",
		"postgres://u:PLANTED@[::1]:5432/d?sslmode=require",
		"postgresql://h/d?user=u&password=PLANTED",
		"postgresql://h/d?password=PLANTED",
	};
	static const char *const good[] = {
		"host=/run/postgresql dbname=culvert",
		"passfile=/etc/culvert/password",
		"host=password.example user=password dbname=mypassword",
		"postgresql://u@h:5432/d",
		"postgresql://u:@h/d",
		"postgresql://h1:1,h2:2/d?target_session_attrs=read-write",
		"postgresql:///d?host=/a:b@c",
	};
	struct diag d;
	bool is_postgres;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		d = (struct diag){ .text = "" };
		CHECK(read_option("postgres", bad[i], &is_postgres, &d) == ERR_FORMAT);
		CHECK(strstr(d.text, "passfile=") && !strstr(d.text, "PLANTED"));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(read_option("postgres", good[i], &is_postgres, &d) == 0);
}

int main(void)
{
	RUN(a_store_is_sqlite_unless_it_is_said);
	RUN(postgres_and_its_database_go_together);
	RUN(a_password_is_seen_and_not_repeated);
	RUN(a_password_of_the_status_page_is_seen_too);
	return DONE();
}
