/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway export: the running gateway as the file of a server, for wg-quick or awg-quick. Preshared keys are
 * told by nobody but the database, so a copy of it is looked at, as its owner and with the master key.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/output.h"
#include "cmd/role.h"
#include "conf/wgconf_server.h"
#include "crypto/suite.h"
#include "gateway/allowed.h"
#include "gateway/profiles.h"
#include "gateway/routes.h"
#include "store/backup_database.h"
#include "store/kind.h"
#include "store/master_key.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/privileges.h"

enum {
	PATH_LEN = 512,
	PATH_MTU = 1500, /* of Ethernet */
};

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "format", "FORMAT", NULL, NULL, "wg, or awg; else what the level of new peers needs",
	  NULL },
	{ "level", "LEVEL", NULL, NULL, "awg: whose parameters; else that of new peers", NULL },
	{ "with-private-key", NULL, NULL, NULL, "the server's own private key, too", NULL },
};

/* struct exporting - One call */
struct exporting {
	const char *state;
	json_t *facts;
	char interface[16];
	uint8_t public_key[32];
	struct wgconf_address addresses[2];
	struct ip_prefix subnets[2];
	uint16_t port;
	enum frame_level level;
	struct secret_key private_key;
	bool has_private_key;
	struct secret_key master;
	struct text out;
	size_t others;	/* peers of another level */
	size_t limited; /* and those with limits that a file cannot say */
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway export: %s\n", what);
	return code;
}

static int usage(const char *why)
{
	complain(EXIT_USAGE, why);
	fputs("Try 'culvert gateway export --help'.\n", stderr);
	return EXIT_USAGE;
}

/* --- What the gateway says of itself --- */

static const char *fact(const struct exporting *e, const char *name)
{
	const char *text = json_string_value(json_object_get(e->facts, name));

	return text ? text : "";
}

/* "10.0.1.1/24": the host bits count. */
static bool read_address(const char *text, struct wgconf_address *ret)
{
	char host[ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	uint64_t bits;

	if (!slash || slash - text >= (long)sizeof(host) ||
	    decimal_parse(slash + 1, strlen(slash + 1), 128, &bits) != 0)
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	ret->bits = (uint8_t)bits;
	return ip_addr_parse(host, &ret->ip) == 0;
}

static bool read_facts(struct exporting *e)
{
	static const char *const names[] = { "subnet4", "subnet6" };
	const json_t *own = json_object_get(e->facts, "addresses");
	const char *key = fact(e, "public_key");

	for (size_t i = 0; i < 2; i++) {
		const char *text = json_string_value(json_array_get(own, i));

		if (!text || !read_address(text, &e->addresses[i]) ||
		    ip_prefix_parse(fact(e, names[i]), true, &e->subnets[i]) != 0)
			return false;
	}
	snprintf(e->interface, sizeof(e->interface), "%s", fact(e, "interface"));
	e->port = (uint16_t)json_integer_value(json_object_get(e->facts, "port"));
	return key_from_base64(key, strlen(key), e->public_key) == 0;
}

static int ask_facts(struct exporting *e)
{
	struct diag d = { .text = "" };
	int code = local_api_ask(e->state, "GET", "/api/v1/gateway", NULL, &e->facts, &d);

	if (code != EXIT_DONE)
		return complain(code, d.text);
	return read_facts(e) ? EXIT_DONE
			     : complain(EXIT_FAILED, "the gateway's answer is not understood");
}

static int choose_level(struct exporting *e, const struct options *o)
{
	const char *format = options_get(o, "format"), *level = options_get(o, "level");
	const char *new_peers = fact(e, "obfuscation_level");
	bool is_wg = format && strcmp(format, "wg") == 0;

	if (format && !is_wg && strcmp(format, "awg") != 0)
		return usage("--format is wg or awg");
	e->level = level ? frame_level_find(level, strlen(level))
			 : frame_level_find(new_peers, strlen(new_peers));
	if (e->level == FRAME_LEVELS)
		return usage("--level is off, low, medium, high or extreme");
	if (is_wg && level && e->level != FRAME_OFF)
		return usage("--format wg has no level but off");
	if (is_wg)
		e->level = FRAME_OFF;
	if (format && !is_wg && e->level == FRAME_OFF && !level)
		return usage("--format awg: new peers have level off here, so say --level");
	return EXIT_DONE;
}

/* --- Keys, while we are who we are --- */

static int check_private_key(const struct exporting *e)
{
	struct suite *suite = NULL;
	uint8_t key[32] = { 0 };
	bool same = suite_new(SUITE_OPENSSL, &suite) == 0;

	if (same)
		dh_public(suite, key, &e->private_key);
	suite_free(suite);
	same = same && memcmp(key, e->public_key, 32) == 0;
	return same ? EXIT_DONE
		    : complain(
			      EXIT_FAILED,
			      "server.key in the state directory is not the running gateway's");
}

static int read_private_key(struct exporting *e)
{
	char path[PATH_LEN], text[KEY_BASE64_LEN + 2], why[PATH_LEN + 160];
	size_t len = 0;
	int err;

	snprintf(path, sizeof(path), "%s/server.key", e->state);
	err = file_read(AT_FDCWD, path, text, sizeof(text), &len);
	if (err == 0 && len > 0 && text[len - 1] == '\n')
		len--;
	if (err == 0)
		err = key_from_base64(text, len, e->private_key.b);
	secret_wipe(text, sizeof(text));
	e->has_private_key = err == 0;
	if (err == 0)
		return check_private_key(e);
	snprintf(why, sizeof(why), "%s: %s%s", path, err_text(err),
		 err == -ENOENT ? ": it may be a credential of the service manager's" : "");
	return complain(err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED, why);
}

/* One that is not there must not be made now. */
static int read_master(struct exporting *e)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	struct diag d = { .text = "" };
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/master.key", e->state);
	if (!getenv("CULVERT_MASTER_KEY") && !credentials && access(path, F_OK) < 0)
		return complain(EXIT_FAILED,
				"there is no master.key in the state directory: give it in"
				" CULVERT_MASTER_KEY, preshared keys are sealed with it");
	if (master_key_read(e->state, &e->master, &d) != 0)
		return complain(EXIT_FAILED, d.text);
	return EXIT_DONE;
}

/* The owner of the directory, who could lead root astray in it. */
static int become_owner(const struct exporting *e)
{
	struct stat st;

	if (stat(e->state, &st) < 0)
		return complain(EXIT_FAILED, err_text(-errno));
	if (geteuid() == 0 && st.st_uid != 0 &&
	    privileges_become(st.st_uid, st.st_gid, false) != 0)
		return complain(EXIT_PRIVILEGE, "cannot become the owner of the state");
	return EXIT_DONE;
}

/* --- The file --- */

/* struct prefixes - Addresses first, then networks in the order of their texts */
struct prefixes {
	struct ip_prefix all[ALLOWED_MAX];
	size_t n;
};

static int add_route(void *context, const struct ip_prefix *p)
{
	struct prefixes *list = context;

	if (list->n == ALLOWED_MAX)
		return ERR_LIMIT;
	list->all[list->n++] = *p;
	return 0;
}

static int list_prefixes(const struct exporting *e, const struct store_peer *p,
			 struct prefixes *ret)
{
	const struct ip_addr *own[] = { &p->v4, &p->v6 };
	struct prefixes routes = { .n = 0 };
	struct allowed sorted;
	int err = routes_each(p->routes, add_route, &routes);

	if (err == 0)
		err = allowed_sort_out(&e->subnets[0], &e->subnets[1], routes.all, routes.n,
				       &sorted);
	ret->n = 0;
	for (size_t i = 0; i < 2; i++)
		if (own[i]->family != ADDR_NONE)
			ret->all[ret->n++] =
				(struct ip_prefix){ *own[i], (uint8_t)ip_addr_bits(own[i]) };
	return err == 0 ? routes_each(sorted.routes, add_route, ret) : err;
}

static int put_peer(void *context, const struct store_peer *p)
{
	struct exporting *e = context;
	bool has_key = !secret_is_zero(p->preshared_key.b, SECRET_KEY_LEN);
	struct prefixes prefixes;
	struct wgconf_server_peer peer = {
		.name = p->name,
		.preshared_key = has_key ? &p->preshared_key : NULL,
		.allowed_ips = prefixes.all,
		.keepalive_s = p->keepalive_s,
		.is_disabled = p->status != STORE_PEER_ACTIVE || p->blocked != 0 ||
			       (p->expires_ns != 0 && p->expires_ns <= clock_wall_ns()),
	};
	int err = list_prefixes(e, p, &prefixes);

	if (err != 0)
		return err;
	peer.n_allowed_ips = prefixes.n;
	memcpy(peer.public_key, p->public_key, 32);
	wgconf_server_add(&e->out, &peer);
	e->others += p->level != e->level;
	e->limited += p->expires_ns != 0 || p->quota_bytes != 0 || p->rate_bps != 0 ||
		      p->schedule || p->account_id != 0 || p->access_id != 0;
	return e->out.err;
}

static void put_interface(struct exporting *e, const struct profile *profile)
{
	char text[200];
	struct wgconf_server server = {
		.about = text,
		.private_key = e->has_private_key ? &e->private_key : NULL,
		.addresses = e->addresses,
		.n_addresses = 2,
		.framing = profile ? &profile->parameters : NULL,
		.port = e->port,
	};

	snprintf(
		text, sizeof(text),
		"Written by culvert gateway export for %s, level %s\n"
		"Forwarding, address translation and the firewall of the gateway are not in it",
		e->interface, frame_level_name(e->level));
	if (profile)
		server.mtu = (uint16_t)frame_mtu(
			PATH_MTU, profile->parameters.pad[FRAME_MESSAGES - 1], false);
	wgconf_server_begin(&e->out, &server);
}

static int write_file(struct exporting *e, struct store *store, struct diag *d)
{
	struct profiles *all = calloc(1, sizeof(*all));
	const struct profile *one = NULL;
	int err = all ? profiles_load(store, all, d) : -ENOMEM;

	if (err == 0 && e->level != FRAME_OFF) {
		one = profiles_current(all, e->level);
		if (!one)
			err = diag_set(d, ERR_UNKNOWN, 0,
				       "the gateway has no parameters for level %s yet",
				       frame_level_name(e->level));
	}
	if (err == 0) {
		put_interface(e, one);
		err = store_load_peers(store, put_peer, e);
	}
	if (all)
		profiles_done(all);
	free(all);
	return err;
}

/* --- A copy of the database --- */

static int open_copy(struct exporting *e, const char *from, const char *to, struct store **ret,
		     struct diag *d)
{
	struct store_config config = { .interface = e->interface,
				       .now_ns = clock_wall_ns(),
				       .master = &e->master };
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return diag_set(d, -errno, 0, "%s: %s", to, err_text(-errno));
	close(fd);
	memcpy(config.public_key, e->public_key, 32);
	err = backup_database_copy(from, to, d);
	return err == 0 ? store_open_sqlite(to, &config, ret, d) : err;
}

static void remove_copy(const char *dir)
{
	static const char *const names[] = { "copy", "copy-wal", "copy-shm", "copy-journal" };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(fd, names[i], 0);
	if (fd >= 0)
		close(fd);
	rmdir(dir);
}

static int read_copy(struct exporting *e, struct diag *d)
{
	const char *other = getenv("DB_PATH");
	char dir[PATH_LEN], from[PATH_LEN], to[PATH_LEN + 8];
	struct store *store = NULL;
	int err;

	snprintf(from, sizeof(from), "%s/culvert.db", e->state);
	snprintf(dir, sizeof(dir), "%s/export-XXXXXX", e->state);
	if (!mkdtemp(dir))
		return diag_set(d, -errno, 0, "%s: %s", e->state, err_text(-errno));
	snprintf(to, sizeof(to), "%s/copy", dir);
	err = open_copy(e, other && *other ? other : from, to, &store, d);
	if (err == 0 && store)
		err = write_file(e, store, d);
	if (store)
		store_free(store);
	remove_copy(dir);
	return err;
}

/* Who is told to end first removes the copy. */
static int read_whole(struct exporting *e, struct diag *d)
{
	sigset_t ends, before;
	int err;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, &before);
	err = read_copy(e, d);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* --- The command --- */

static void tell_what_is_lost(const struct exporting *e)
{
	char text[200];

	if (e->others > 0) {
		snprintf(text, sizeof(text),
			 "%zu peers have another level than %s: they need new files to reach a"
			 " server that loads this one",
			 e->others, frame_level_name(e->level));
		complain(0, text);
	}
	if (e->limited > 0) {
		snprintf(
			text, sizeof(text),
			"%zu peers have limits (expiry, quota, rate, schedule, account, access)"
			" that such a file cannot hold",
			e->limited);
		complain(0, text);
	}
}

static int run(struct exporting *e, const struct options *o)
{
	struct diag d = { .text = "" };
	int err, code = ask_facts(e);

	if (code == EXIT_DONE && kind_is_postgres(e->state))
		code = complain(
			EXIT_REFUSED,
			"this gateway's peers are in PostgreSQL, which is not read here");
	if (code == EXIT_DONE)
		code = choose_level(e, o);
	if (code == EXIT_DONE && options_get(o, "with-private-key"))
		code = read_private_key(e);
	if (code == EXIT_DONE)
		code = read_master(e);
	if (code == EXIT_DONE)
		code = become_owner(e);
	if (code != EXIT_DONE)
		return code;
	err = read_whole(e, &d);
	if (err != 0)
		return complain(EXIT_FAILED, d.text[0] ? d.text : err_text(err));
	tell_what_is_lost(e);
	output_warn_if_readable("culvert gateway export");
	fwrite(e->out.data, 1, e->out.len, stdout);
	return EXIT_DONE;
}

static void print_help(const struct options *o)
{
	fputs("Usage: culvert gateway export [OPTIONS]\n"
	      "\n"
	      "The running gateway as the file of a server, for wg-quick or awg-quick, on standard\n"
	      "output. Preshared keys are in it; the server's private key only where it is asked for.\n"
	      "Peers that are not served now are commented out. 'culvert gateway adopt' and 'import'\n"
	      "read it again, names included.\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
}

static int start(struct exporting *e, const struct local_command *c)
{
	if (c->n_words > 0)
		return usage("this takes no words");
	e->state = options_get(&c->options, "state");
	if (strlen(e->state) > PATH_LEN - 32)
		return complain(EXIT_REFUSED, "--state: this path is too long");
	return run(e, &c->options);
}

int role_gateway_export(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct exporting e = { .state = NULL };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (local_command_read(&c, argc, argv, &d) != 0)
		code = usage(d.text);
	else if (c.options.wants_help)
		print_help(&c.options);
	else
		code = start(&e, &c);
	secret_key_done(&e.private_key);
	secret_key_done(&e.master);
	text_done(&e.out);
	json_decref(e.facts);
	options_done(&c.options);
	return code;
}
