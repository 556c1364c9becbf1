/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway adopt: a server's file becomes the state of a gateway that has none yet: its key, port,
 * networks, parameters and peers, so that no client needs a new file. Nothing is left of an adoption that
 * failed; the database, without which a gateway would begin anew, gets its name last.
 */
#include "cmd/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "conf/wgconf_values.h"
#include "store/backup_database.h"
#include "sys/file.h"

#define DATABASE "culvert.db"
#define WORK	 "adopt.db"
#define WHOLE	 "adopt.db.whole"

enum { PATH_LEN = 512 };

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "where the gateway's state comes to be", NULL },
	{ "interface", "NAME", NULL, NULL, "instead of the file's name", NULL },
	{ "port", "N", NULL, NULL, "where the file has no ListenPort, or another one", NULL },
	{ "subnet4", "PREFIX", NULL, NULL, "instead of the network of its IPv4 Address", NULL },
	{ "subnet6", "PREFIX", NULL, NULL, "instead of the network of its IPv6 Address", NULL },
	{ "leave-out", NULL, NULL, NULL, "adopt the others where a peer cannot be", NULL },
	{ "dry-run", NULL, NULL, NULL, "say what would be adopted, and leave nothing", NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
};

/* struct adopting - One call */
struct adopting {
	const struct options *options;
	const char *path;
	const char *state;
	struct import_rows rows;
	struct wgconf file;
	struct adopt_settings settings;
	struct adopt_step *steps;
	size_t refused;
	bool is_dry;
	bool leaves_out;
	int dir; /* the state directory */
	int lock;
	uid_t uid; /* whose it was, if @has_taken */
	gid_t gid;
	bool has_taken;
	bool made_dir;
	bool made_key;
	bool made_master;
	json_t *notes;
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway adopt: %s\n", what);
	return code;
}

static int usage(const char *why)
{
	complain(EXIT_USAGE, why);
	fputs("Try 'culvert gateway adopt --help'.\n", stderr);
	return EXIT_USAGE;
}

static int code_of(int err)
{
	if (err == -EACCES || err == -EPERM)
		return EXIT_PRIVILEGE;
	return err == ERR_FORMAT || err == ERR_RANGE || err == ERR_LIMIT || err == ERR_EXISTS ||
			       err == ERR_KEY
		       ? EXIT_REFUSED
		       : EXIT_FAILED;
}

/* --- What is not taken over, and what does it instead --- */

__attribute__((format(printf, 3, 4))) static void note(struct adopting *a, const char *what,
						       const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_array_append_new(a->notes, json_pack("{s:s, s:s}", "what", what, "instead", text));
}

static const char *instead_of(enum wgconf_key key)
{
	switch (key) {
	case WGCONF_PRE_UP:
	case WGCONF_POST_UP:
	case WGCONF_PRE_DOWN:
	case WGCONF_POST_DOWN:
		return "no command is run: the gateway forwards, translates addresses and filters by"
		       " itself (nft list table inet culvert_INTERFACE)";
	case WGCONF_DNS:
		return "the host's own resolvers stay; DNS_D1 to DNS_D3 say which ones clients get";
	case WGCONF_TABLE:
		return "the gateway's networks are routed by the main table";
	case WGCONF_FWMARK:
		return "no mark is set";
	case WGCONF_MTU:
		return "the interface has 1396, which has room for every level";
	case WGCONF_SAVE_CONFIG:
		return "every change is kept in the database at once";
	case WGCONF_PROFILE:
		return "the gateway draws the parameters of the other levels itself";
	case WGCONF_UNKNOWN:
		return "nothing here knows it";
	default:
		return NULL;
	}
}

static void note_lines(struct adopting *a)
{
	for (size_t i = 0; i < a->file.n_lines; i++) {
		const struct wgconf_line *line = &a->file.lines[i];
		const char *instead =
			line->section == WGCONF_INTERFACE ? instead_of(line->key) : NULL;
		char what[80];

		if (!instead)
			continue;
		snprintf(what, sizeof(what), "%.*s (line %zu)",
			 (int)(line->name.len < 40 ? line->name.len : 40), line->name.at,
			 i + 1);
		note(a, what, "%s", instead);
	}
}

static void note_addresses(struct adopting *a)
{
	const struct adopt_settings *s = &a->settings;
	char text[ADDR_TEXT_MAX], what[ADDR_TEXT_MAX + 16], network[ADDR_TEXT_MAX];
	bool seen4 = false, seen6 = false;

	for (size_t i = 0; i < a->file.n_addresses; i++) {
		const struct ip_addr *ip = &a->file.addresses[i].ip;
		bool is_v4 = ip->family == ADDR_V4, *seen = is_v4 ? &seen4 : &seen6;

		snprintf(what, sizeof(what), "Address %s", ip_addr_format(ip, text));
		if (*seen)
			note(a, what, "a gateway has one address of a family");
		else if (is_v4 ? s->moves4 : s->moves6)
			note(a, what,
			     "the gateway's own address is the first of %s: whoever used this one,"
			     " as a resolver say, does not reach it",
			     ip_prefix_format(is_v4 ? &s->subnet4 : &s->subnet6, network));
		*seen = true;
	}
}

static bool has_network(const struct adopting *a, const struct import_row *row)
{
	const struct adopt_settings *s = &a->settings;

	for (size_t i = 0; i < row->n_prefixes; i++) {
		const struct ip_prefix *p = &a->rows.prefixes[row->first_prefix + i];

		if (!ip_prefix_contains(p->ip.family == ADDR_V4 ? &s->subnet4 : &s->subnet6,
					&p->ip))
			return true;
	}
	return false;
}

static void note_peers(struct adopting *a)
{
	size_t networks = 0;

	for (size_t i = 0; i < a->rows.n; i++)
		networks += has_network(a, &a->rows.rows[i]);
	if (networks > 0)
		note(a, "routes",
		     "%zu peers have networks behind them: the gateway takes their packets, and"
		     " adds no route towards them ('ip route add NETWORK dev %s')",
		     networks, a->settings.interface);
}

static void warn(void *context, struct frame_fault about, const char *sentence)
{
	(void)about;
	note(context, "parameters", "%s", sentence);
}

static void take_notes(struct adopting *a)
{
	note_lines(a);
	note_addresses(a);
	note_peers(a);
	if (a->settings.level != FRAME_OFF)
		frame_parameters_warn(&a->file.interface.framing, warn, a);
}

/* --- The state directory --- */

static int refuse(const struct adopting *a, int err, const char *what, struct diag *d)
{
	return diag_set(d, err, 0, "%s/%s: %s", a->state, what, err_text(err));
}

static bool is_there(const struct adopting *a, const char *name)
{
	return faccessat(a->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_state(struct adopting *a, struct diag *d)
{
	struct stat st;

	if (geteuid() != 0)
		state_default_prepare(a->state);
	a->made_dir = mkdir(a->state, 0700) == 0;
	if (!a->made_dir && errno != EEXIST)
		return refuse(a, -errno, "", d);
	a->dir = open(a->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->dir < 0 || fstat(a->dir, &st) < 0)
		return refuse(a, -errno, "", d);
	a->lock = openat(a->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->lock < 0)
		return refuse(a, -errno, "lock", d);
	if (flock(a->lock, LOCK_EX | LOCK_NB) < 0)
		return diag_set(d, ERR_EXISTS, 0, "a gateway is running with %s", a->state);
	a->uid = st.st_uid;
	a->gid = st.st_gid;
	/* Nobody else puts something in the way while root writes. */
	if (fchmod(a->dir, 0700) < 0 || fchown(a->dir, geteuid(), getegid()) < 0)
		return refuse(a, -errno, "", d);
	a->has_taken = true;
	return 0;
}

static void give_back_state(const struct adopting *a)
{
	if (a->has_taken && fchown(a->dir, a->uid, a->gid) < 0)
		complain(0, "the state directory stays root's until a gateway starts");
}

/* Return: 0: there is none, or the same. */
static int check_key(const struct adopting *a, struct diag *d)
{
	char text[KEY_BASE64_LEN + 2], own[KEY_BASE64_LEN + 1];
	size_t len = 0;
	bool same;
	int err = file_read(a->dir, "server.key", text, sizeof(text), &len);

	if (err == -ENOENT)
		return 0;
	if (err != 0)
		return refuse(a, err, "server.key", d);
	key_to_base64(a->file.interface.private_key.b, own);
	same = len >= KEY_BASE64_LEN && secret_equal(text, own, KEY_BASE64_LEN);
	secret_wipe(text, sizeof(text));
	secret_wipe(own, sizeof(own));
	return same ? 0
		    : diag_set(
			      d, ERR_EXISTS, 0,
			      "%s/server.key is another key than that of the file: choose another"
			      " --state, or move it aside",
			      a->state);
}

static int check_state(const struct adopting *a, struct diag *d)
{
	if (is_there(a, DATABASE) || is_there(a, "store")) /* store/kind.h */
		return diag_set(d, ERR_EXISTS, 0,
				"%s has a gateway's database already: 'culvert gateway import'"
				" brings peers into it, or choose another --state",
				a->state);
	if (is_there(a, "culvert.conf"))
		return diag_set(
			d, ERR_EXISTS, 0,
			"%s/culvert.conf is there already: move it aside, what is adopted is"
			" written into one",
			a->state);
	return check_key(a, d);
}

static void path_of(const struct adopting *a, const char *name, char out[PATH_LEN])
{
	snprintf(out, PATH_LEN, "%s/%s", a->state, name);
}

static void remove_work(const struct adopting *a)
{
	static const char *const names[] = { WORK,	  WORK "-wal",
					     WORK "-shm", WORK "-journal",
					     WHOLE,	  WHOLE "-journal" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(a->dir, names[i], 0);
}

/* --- Writing --- */

static int write_key(struct adopting *a, struct diag *d)
{
	char text[KEY_BASE64_LEN + 2];
	int err;

	if (is_there(a, "server.key"))
		return 0;
	key_to_base64(a->file.interface.private_key.b, text);
	memcpy(text + KEY_BASE64_LEN, "\n", 2);
	err = file_write(a->dir, "server.key", text, KEY_BASE64_LEN + 1, FILE_MODE(0600));
	secret_wipe(text, sizeof(text));
	a->made_key = err == 0;
	return err == 0 ? 0 : refuse(a, err, "server.key", d);
}

static int write_settings(const struct adopting *a, struct diag *d)
{
	const struct adopt_settings *s = &a->settings;
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];
	struct text out = { .data = NULL };
	int err;

	text_printf(&out,
		    "# What 'culvert gateway adopt' took over from a server's file\n"
		    "[gateway]\ninterface = %s\nport = %u\nsubnet4 = %s\nsubnet6 = %s\n"
		    "obfuscation = %s\n",
		    s->interface, s->port, ip_prefix_format(&s->subnet4, v4),
		    ip_prefix_format(&s->subnet6, v6), frame_level_name(s->level));
	err = out.err ? out.err
		      : file_write(a->dir, "culvert.conf", out.data, out.len, FILE_MODE(0600));
	text_done(&out);
	return err == 0 ? 0 : refuse(a, err, "culvert.conf", d);
}

/* One file, without a log beside it. */
static int make_whole(const struct adopting *a, struct diag *d)
{
	char from[PATH_LEN], to[PATH_LEN];
	int fd;

	path_of(a, WORK, from);
	path_of(a, WHOLE, to);
	fd = openat(a->dir, WHOLE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse(a, -errno, WHOLE, d);
	close(fd);
	return backup_database_copy(from, to, d);
}

static int place(struct adopting *a, struct diag *d)
{
	int fd, err = make_whole(a, d);

	if (err == 0)
		err = write_key(a, d);
	if (err == 0)
		err = write_settings(a, d);
	if (err != 0)
		return err;
	fd = openat(a->dir, WHOLE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fsync(fd) < 0 || renameat(a->dir, WHOLE, a->dir, DATABASE) < 0 ||
	    fsync(a->dir) < 0)
		err = refuse(a, -errno, DATABASE, d);
	if (fd >= 0)
		close(fd);
	return err;
}

/* As it was before; the key of before is not ours to remove. */
static void take_back(const struct adopting *a)
{
	remove_work(a);
	if (a->made_master)
		unlinkat(a->dir, "master.key", 0);
	if (a->made_key)
		unlinkat(a->dir, "server.key", 0);
	if (!is_there(a, DATABASE))
		unlinkat(a->dir, "culvert.conf", 0);
	if (!a->made_dir)
		return;
	unlinkat(a->dir, "lock", 0);
	rmdir(a->state);
}

static int adopt_all(struct adopting *a, struct diag *d)
{
	char work[PATH_LEN];
	int err;

	path_of(a, WORK, work);
	remove_work(a); /* of one that was killed */
	a->made_master = !is_there(a, "master.key");
	err = adopt_store_make(work, a->state, &a->settings, &a->file, &a->rows, a->steps,
			       &a->refused, d);
	if (err == 0 && !a->is_dry && (a->refused == 0 || a->leaves_out))
		err = place(a, d);
	remove_work(a);
	return err;
}

/* --- For people, and for programs --- */

static void print_refused(const struct adopting *a)
{
	for (size_t i = 0; i < a->rows.n; i++) {
		const struct import_row *row = &a->rows.rows[i];
		char key[KEY_BASE64_LEN + 1];

		if (!a->steps[i].why[0])
			continue;
		key_to_base64(row->public_key, key);
		fprintf(stderr, "culvert gateway adopt: %s:%u: %s: %s\n", row->file, row->line,
			row->name[0] ? row->name : key, a->steps[i].why);
	}
}

static void print_settings(const struct adopting *a, bool is_done)
{
	const struct adopt_settings *s = &a->settings;
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];
	size_t i;
	json_t *one;

	printf("%s %zu peers of %s: interface %s, port %u, networks %s and %s, level %s\n",
	       is_done ? "Adopted" : "Would adopt", a->rows.n - a->refused, a->path,
	       s->interface, s->port, ip_prefix_format(&s->subnet4, v4),
	       ip_prefix_format(&s->subnet6, v6), frame_level_name(s->level));
	json_array_foreach(a->notes, i, one)
	{
		printf("  %s: %s\n", json_string_value(json_object_get(one, "what")),
		       json_string_value(json_object_get(one, "instead")));
	}
	for (i = 0; i < a->rows.n; i++)
		if (a->rows.rows[i].note[0])
			printf("  line %u: %s\n", a->rows.rows[i].line, a->rows.rows[i].note);
	if (is_done)
		printf("Stop the other server, keep it from starting again (systemctl disable --now"
		       " wg-quick@%s), then start 'culvert gateway --state %s'.\n",
		       s->interface, a->state);
}

static json_t *peers_json(const struct adopting *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->rows.n; i++) {
		const struct import_row *row = &a->rows.rows[i];
		const char *why = a->steps[i].why;
		char key[KEY_BASE64_LEN + 1];

		key_to_base64(row->public_key, key);
		json_array_append_new(
			list,
			json_pack("{s:i, s:s?, s:s, s:b, s:s?, s:s?}", "line", (int)row->line,
				  "name", row->name[0] ? row->name : NULL, "public_key", key,
				  "refused", why[0] != '\0', "why", why[0] ? why : NULL, "note",
				  row->note[0] ? row->note : NULL));
	}
	return list;
}

static int print_json(const struct adopting *a, bool is_done)
{
	const struct adopt_settings *s = &a->settings;
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX], key[KEY_BASE64_LEN + 1];
	json_t *all;
	bool is_well;

	key_to_base64(s->public_key, key);
	all = json_pack("{s:b, s:s, s:s, s:i, s:s, s:s, s:s, s:O, s:o}", "adopted",
			(int)is_done, "interface", s->interface, "public_key", key, "port",
			(int)s->port, "subnet4", ip_prefix_format(&s->subnet4, v4), "subnet6",
			ip_prefix_format(&s->subnet6, v6), "obfuscation_level",
			frame_level_name(s->level), "not_taken_over", a->notes, "peers",
			peers_json(a));
	is_well = all && local_command_print(all);
	json_decref(all);
	return is_well ? EXIT_DONE : complain(EXIT_FAILED, "out of memory");
}

static int report(struct adopting *a)
{
	bool is_done = !a->is_dry && (a->refused == 0 || a->leaves_out);
	int code = a->refused > 0 && !a->leaves_out ? EXIT_REFUSED : EXIT_DONE;

	take_notes(a);
	print_refused(a);
	if (options_get(a->options, "json"))
		return print_json(a, is_done) == EXIT_DONE ? code : EXIT_FAILED;
	if (code == EXIT_DONE)
		print_settings(a, is_done);
	else
		complain(0, "nothing was adopted; --leave-out adopts the others");
	return code;
}

/* --- The command --- */

/* The first file is the server's; clients' files may follow, for their names. */
static int read_files(struct adopting *a, const struct local_command *c, struct diag *d)
{
	struct wgconf other = { .text = NULL };
	int err = import_rows_read(&a->rows, a->path, &a->file, d);

	if (err == 0 && !a->file.text)
		err = diag_set(d, ERR_FORMAT, 0,
			       "%s is no server's file of wg-quick or awg-quick", a->path);
	for (int i = 1; i < c->n_words && err == 0; i++) {
		size_t before = a->rows.n;

		err = import_rows_read(&a->rows, c->words[i], &other, d);
		wgconf_done(&other);
		if (err == 0 && a->rows.n > before)
			err = diag_set(d, ERR_FORMAT, 0, "%s has peers that %s does not have",
				       c->words[i], a->path);
	}
	return err;
}

static int read_settings(struct adopting *a, struct diag *d)
{
	const struct adopt_wishes wishes = {
		.interface = options_get(a->options, "interface"),
		.port = options_get(a->options, "port"),
		.subnet4 = options_get(a->options, "subnet4"),
		.subnet6 = options_get(a->options, "subnet6"),
	};

	return adopt_settings_read(a->path, &a->file, &a->rows, &wishes, &a->settings, d);
}

static int run(struct adopting *a, const struct local_command *c, struct diag *d)
{
	int err = read_files(a, c, d);

	a->steps = calloc(a->rows.n + 1, sizeof(*a->steps));
	a->notes = json_array();
	if (err == 0 && (!a->steps || !a->notes))
		err = -ENOMEM;
	if (err == 0)
		err = read_settings(a, d);
	if (err == 0)
		err = open_state(a, d);
	if (err == 0)
		err = check_state(a, d);
	if (err != 0)
		return err;
	err = adopt_all(a, d);
	if (err != 0 || a->is_dry || (a->refused > 0 && !a->leaves_out))
		take_back(a);
	return err;
}

static bool is_network(const char *text, enum addr_family family)
{
	struct ip_prefix p;

	return !text || (ip_prefix_parse(text, true, &p) == 0 && p.ip.family == family);
}

static int check_options(const struct options *o)
{
	const char *port = options_get(o, "port"), *interface = options_get(o, "interface");
	uint64_t number = 1;

	if (port && (decimal_parse(port, strlen(port), 65535, &number) != 0 || number == 0))
		return usage("--port is a port from 1 to 65535");
	if (interface && (!*interface || strlen(interface) > 15 ||
			  strcspn(interface, " /:") < strlen(interface)))
		return usage("--interface has 1 to 15 characters");
	if (!is_network(options_get(o, "subnet4"), ADDR_V4))
		return usage("--subnet4 is a network such as 10.0.1.0/24");
	if (!is_network(options_get(o, "subnet6"), ADDR_V6))
		return usage("--subnet6 is a network such as fd42:4242:1::/64");
	return EXIT_DONE;
}

static int start(struct adopting *a, const struct local_command *c)
{
	char state[STATE_DEFAULT_MAX];
	struct diag d = { .text = "" };
	int err;

	if (c->n_words == 0)
		return usage("say which FILE: that of the server");
	if (check_options(&c->options) != EXIT_DONE)
		return EXIT_USAGE;
	a->options = &c->options;
	a->path = c->words[0];
	a->is_dry = options_get(&c->options, "dry-run") != NULL;
	a->leaves_out = options_get(&c->options, "leave-out") != NULL;
	a->state = options_is_default(&c->options, "state") ? state_default(geteuid(), state)
							    : options_get(&c->options, "state");
	if (strlen(a->state) > PATH_LEN - 32)
		return complain(EXIT_REFUSED, "--state: this path is too long");
	err = run(a, c, &d);
	if (err != 0)
		return complain(code_of(err), d.text[0] ? d.text : err_text(err));
	return report(a);
}

static void print_help(const struct options *o)
{
	fputs("Usage: culvert gateway adopt FILE [DIR...] [OPTIONS]\n"
	      "\n"
	      "Before a gateway's first start: the file of a server that ran until now, such as\n"
	      "/etc/wireguard/wg0.conf or /etc/amnezia/amneziawg/awg0.conf, becomes its state. Key,\n"
	      "port, networks, parameters of AmneziaWG and peers are taken over: clients go on as\n"
	      "they are. Clients' files in DIR give names to peers that have none. What is not taken\n"
	      "over is listed, with what does it instead.\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
}

static void adopting_done(struct adopting *a)
{
	give_back_state(a);
	if (a->lock >= 0)
		close(a->lock);
	if (a->dir >= 0)
		close(a->dir);
	import_rows_done(&a->rows);
	wgconf_done(&a->file);
	json_decref(a->notes);
	free(a->steps);
}

int role_gateway_adopt(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct adopting a = { .dir = -1, .lock = -1 };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (local_command_read(&c, argc, argv, &d) != 0)
		code = usage(d.text);
	else if (c.options.wants_help)
		print_help(&c.options);
	else
		code = start(&a, &c);
	adopting_done(&a);
	options_done(&c.options);
	return code;
}
