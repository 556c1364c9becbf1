/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_target.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netdb.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/secret.h"

enum {
	OPTIONS_MAX = 96, /* libpq 15 knows 44 */
	HOSTS_MAX = 16,	  /* addresses that are tried in turn */
	LIST_MAX = 1024,
	PATH_LEN = 512,
};

struct pg_target {
	const struct libpq *pq;
	size_t n;
	char *names[OPTIONS_MAX + 1];
	char *values[OPTIONS_MAX + 1];
};

/* What we want where the operator says nothing. A server that is gone without a word is noticed
 * within half a minute. Kerberos would make calls that a closed process may not. */
static const char *const own_names[] = { "gssencmode",		"application_name",
					 "connect_timeout",	"keepalives_idle",
					 "keepalives_interval", "keepalives_count",
					 "tcp_user_timeout",	"target_session_attrs" };
static const char *const own_values[] = { "disable", "culvert", "5",	 "10",
					  "5",	     "3",	"25000", "read-write" };
enum { OWN = sizeof(own_names) / sizeof(own_names[0]) };

/* --- A list of options --- */

static char **find(struct pg_target *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->names[i], name) == 0)
			return &t->values[i];
	return NULL;
}

static const char *value_of(const struct pg_target *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->names[i], name) == 0)
			return t->values[i];
	return NULL;
}

static void wipe_text(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

static int set(struct pg_target *t, const char *name, const char *value)
{
	char **known = find(t, name), *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	if (known) {
		wipe_text(*known);
		*known = copy;
		return 0;
	}
	if (t->n == OPTIONS_MAX || !(t->names[t->n] = strdup(name))) {
		wipe_text(copy);
		return t->n == OPTIONS_MAX ? ERR_LIMIT : -ENOMEM;
	}
	t->values[t->n++] = copy;
	return 0;
}

/* --- Addresses of names --- */

/* struct list - Values of three options that belong together, with commas */
struct list {
	unsigned int n;
	char host[LIST_MAX];
	char address[LIST_MAX];
	char port[LIST_MAX];
};

static bool has_room(const char list[LIST_MAX], const char *word)
{
	return strlen(list) + strlen(word) + 2 <= LIST_MAX;
}

static void append(char out[LIST_MAX], unsigned int n, const char *word)
{
	size_t len = strlen(out);

	snprintf(out + len, LIST_MAX - len, "%s%s", n > 0 ? "," : "", word);
}

/* Those beyond what we keep are not tried. */
static void add_host(struct list *l, const char *host, const char *address, const char *port)
{
	if (l->n == HOSTS_MAX || !has_room(l->host, host) || !has_room(l->address, address) ||
	    !has_room(l->port, port))
		return;
	append(l->host, l->n, host);
	append(l->address, l->n, address);
	append(l->port, l->n++, port);
}

static void add_addresses(struct list *l, const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char address[NI_MAXHOST];

	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return; /* one of several; another has answered */
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) == 0)
			add_host(l, host, address, port);
	freeaddrinfo(found);
}

/* The next of a list with commas, "" behind its end. */
static const char *next_word(const char **at, char out[LIST_MAX])
{
	size_t len = strcspn(*at, ",");

	snprintf(out, LIST_MAX, "%.*s", (int)len, *at);
	*at += len + ((*at)[len] == ',');
	return out;
}

static int resolve_hosts(struct pg_target *t)
{
	const char *hosts = value_of(t, "host"), *ports = value_of(t, "port");
	bool has_one_port = !ports || !strchr(ports, ',');
	struct list l = { .n = 0 };
	char host[LIST_MAX], port[LIST_MAX] = "";
	int err;

	if (!hosts || value_of(t, "hostaddr"))
		return 0;
	while (*hosts) {
		next_word(&hosts, host);
		if (!has_one_port)
			next_word(&ports, port);
		if (host[0] == '/' || host[0] == '@' || !host[0])
			add_host(&l, host, "", port);
		else
			add_addresses(&l, host, port);
	}
	if (l.n == 0)
		return 0;
	err = set(t, "host", l.host);
	if (err == 0)
		err = set(t, "hostaddr", l.address);
	if (err == 0 && !has_one_port)
		err = set(t, "port", l.port);
	return err;
}

/* --- Files of TLS --- */

/* The first also for a word that is no file. */
static const struct {
	const char *option;
	const char *name; /* below ~/.postgresql, where the option is not set */
} tls_files[] = {
	{ "sslrootcert", "root.crt" },	 { "sslcrl", "root.crl" },
	{ "sslcert", "postgresql.crt" }, { "sslkey", "postgresql.key" },
	{ "sslcrldir", NULL },		 { "passfile", NULL },
};

/* libpq checks the server's certificate if it finds the file: later connections, which do not
 * find a home, must not check less than the first. */
static int name_files(struct pg_target *t)
{
	const struct passwd *user = getpwuid(geteuid());
	char path[PATH_LEN];
	int err = 0;

	for (size_t i = 0; user && i < sizeof(tls_files) / sizeof(tls_files[0]); i++) {
		if (!tls_files[i].name || value_of(t, tls_files[i].option))
			continue;
		snprintf(path, sizeof(path), "%s/.postgresql/%s", user->pw_dir,
			 tls_files[i].name);
		if (access(path, R_OK) == 0)
			err = set(t, tls_files[i].option, path);
		if (err != 0)
			break;
	}
	return err;
}

size_t pg_target_files(const struct pg_target *t, const char *paths[PG_TARGET_FILES_MAX])
{
	static const char *const system_files[] = { "/etc/ssl", "/usr/share/ca-certificates",
						    "/usr/lib/ssl" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(tls_files) / sizeof(tls_files[0]); i++) {
		const char *path = value_of(t, tls_files[i].option);
		bool is_word = path && i == 0 && strcmp(path, "system") == 0; /* of libpq 16 */

		if (path && !is_word)
			paths[n++] = path;
		for (size_t j = 0; is_word && j < 3; j++)
			paths[n++] = system_files[j];
	}
	return n;
}

/* --- The first connection --- */

static int parse(const struct libpq *pq, const char *conninfo, PQconninfoOption **ret,
		 struct diag *d)
{
	char *why = NULL;
	int err;

	*ret = pq->conninfo_parse(conninfo, &why);
	if (*ret)
		return 0;
	err = diag_set(d, ERR_FORMAT, 0, "the connection string: %.*s",
		       why ? (int)strcspn(why, "\n") : 0, why ? why : "");
	pq->freemem(why);
	return err;
}

static int check_text(const struct libpq *pq, const char *conninfo, struct diag *d)
{
	PQconninfoOption *all = NULL;
	bool has_password = false;
	int err = parse(pq, conninfo, &all, d);

	if (err != 0)
		return err;
	for (const PQconninfoOption *o = all; o->keyword; o++)
		if (o->val && (strcmp(o->keyword, "password") == 0 ||
			       strcmp(o->keyword, "sslpassword") == 0))
			has_password = true;
	pq->conninfo_free(all);
	if (!has_password)
		return 0;
	return diag_set(d, ERR_FORMAT, 0,
			"the connection string holds a password, which others see in the list"
			" of processes: put it into a file, and name that with passfile= or"
			" PGPASSFILE");
}

/* All that the connection has come to know, but what it read it from. */
static int remember(struct pg_target *t, PGconn *c)
{
	static const char *const sources[] = { "service", "servicefile", "passfile" };
	PQconninfoOption *all = t->pq->conninfo(c);
	const char *password = t->pq->pass(c);
	int err = all ? 0 : -ENOMEM;

	for (const PQconninfoOption *o = all; err == 0 && o->keyword; o++) {
		bool is_source = false;

		for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
			is_source |= strcmp(o->keyword, sources[i]) == 0;
		if (!is_source && o->val && o->val[0])
			err = set(t, o->keyword, o->val);
	}
	if (all)
		t->pq->conninfo_free(all);
	if (err == 0 && password && password[0])
		err = set(t, "password", password);
	if (err == 0)
		err = set(t, "user", t->pq->user(c));
	if (err == 0)
		err = name_files(t);
	return err == 0 ? resolve_hosts(t) : err;
}

static PGconn *connect_first(const struct libpq *pq, const char *conninfo)
{
	const char *names[OWN + 2], *values[OWN + 2];

	memcpy(names, own_names, sizeof(own_names));
	memcpy(values, own_values, sizeof(own_values));
	names[OWN] = "dbname"; /* expanded: what it says overrides what stands before */
	values[OWN] = conninfo;
	names[OWN + 1] = values[OWN + 1] = NULL;
	return pq->connect_params(names, values, 1);
}

int pg_target_new(const char *conninfo, struct pg_target **ret, PGconn **ret_connection,
		  struct diag *d)
{
	struct pg_target *t = calloc(1, sizeof(*t));
	PGconn *c = NULL;
	const char *why;
	int err;

	if (!t)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	err = libpq_load(&t->pq, d);
	if (err == 0)
		err = check_text(t->pq, conninfo, d);
	if (err != 0)
		goto out;
	c = connect_first(t->pq, conninfo);
	why = c ? t->pq->error_message(c) : "out of memory";
	if (!c || t->pq->status(c) != CONNECTION_OK) {
		err = diag_set(d, -ENOTCONN, 0, "PostgreSQL cannot be used: %.*s",
			       (int)strcspn(why, "\n"), why);
		goto out;
	}
	err = remember(t, c);
	if (err != 0) {
		diag_set(d, err, 0, "the connection string: %s", err_text(err));
		goto out;
	}
	*ret = t;
	*ret_connection = c;
	return 0;
out:
	if (c)
		t->pq->finish(c);
	pg_target_free(t);
	return err;
}

/* What libpq would take from its surroundings when it connects. */
static int add_surroundings(struct pg_target *t)
{
	const char *user = getenv("PGUSER"), *passfile = getenv("PGPASSFILE");
	const struct passwd *own = user ? NULL : getpwuid(geteuid());
	int err = 0;

	if (own)
		user = own->pw_name;
	if (user && !value_of(t, "user"))
		err = set(t, "user", user);
	if (err == 0 && passfile && !value_of(t, "passfile"))
		err = set(t, "passfile", passfile);
	return err;
}

static int describe(struct pg_target *t, const char *conninfo, struct diag *d)
{
	PQconninfoOption *all = NULL;
	int err = parse(t->pq, conninfo, &all, d);

	if (err != 0)
		return err;
	for (size_t i = 0; i < OWN && err == 0; i++)
		err = set(t, own_names[i], own_values[i]);
	if (err == 0)
		err = set(t, "connect_timeout", "2");
	if (err == 0)
		err = set(t, "target_session_attrs", "any");
	for (const PQconninfoOption *o = all; err == 0 && o->keyword; o++)
		if (o->val)
			err = set(t, o->keyword, o->val);
	t->pq->conninfo_free(all);
	if (err == 0)
		err = add_surroundings(t);
	if (err == 0)
		err = name_files(t);
	if (err == 0)
		err = resolve_hosts(t);
	return err == 0 ? 0 : diag_set(d, err, 0, "the connection string: %s", err_text(err));
}

int pg_target_describe(const char *conninfo, struct pg_target **ret, struct diag *d)
{
	struct pg_target *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	err = libpq_load(&t->pq, d);
	if (err == 0)
		err = describe(t, conninfo, d);
	if (err != 0) {
		pg_target_free(t);
		return err;
	}
	*ret = t;
	return 0;
}

struct pg_target *pg_target_free(struct pg_target *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		free(t->names[i]);
		wipe_text(t->values[i]);
	}
	free(t);
	return NULL;
}

const struct libpq *pg_target_library(const struct pg_target *t)
{
	return t->pq;
}

PGconn *pg_target_connect(const struct pg_target *t)
{
	return t->pq->connect_params((const char *const *)t->names,
				     (const char *const *)t->values, 0);
}
