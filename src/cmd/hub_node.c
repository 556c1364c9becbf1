/* SPDX-License-Identifier: Apache-2.0 */
/* culvert hub init, culvert hub join: the keys and files of one node, made on that node. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/json_write.h"
#include "cmd/command.h"
#include "cmd/hub.h"
#include "crypto/suite.h"
#include "sys/file.h"
#include "sys/random.h"

enum { KEY_FILE_MAX = 64 };

void hub_path(const struct hub_request *r, const char *name, unsigned int number,
	      enum hub_file file, char out[HUB_PATH_MAX])
{
	static const char *const of_number[] = { ".key", ".pub", ".conf", ".nft" };
	const char *dir = r->dir;

	if (name && r->by_number) {
		snprintf(out, HUB_PATH_MAX, "%s/nodes/node%u%s", dir, number, of_number[file]);
		return;
	}
	if (!name)
		name = "hub";
	if (file == HUB_FILE_CONF)
		snprintf(out, HUB_PATH_MAX, "%s/%s/%s.conf", dir, name, r->interface);
	else if (file == HUB_FILE_POLICY)
		snprintf(out, HUB_PATH_MAX, "%s/%s/policy.nft", dir, name);
	else if (strcmp(name, "hub") == 0 && !r->by_number)
		snprintf(out, HUB_PATH_MAX, "%s/hub/server%s", dir, of_number[file]);
	else
		snprintf(out, HUB_PATH_MAX, "%s/%s/%s.key", dir, name,
			 file == HUB_FILE_PRIVATE_KEY ? "private" : "public");
}

/* Make the directories of @path that are missing. */
static int make_parents(const char *path)
{
	char part[HUB_PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int hub_write(const struct hub_request *r, const char *path, const struct text *text,
	      bool is_secret)
{
	int err = text->err;

	if (r->dry_run) {
		fprintf(stderr, "culvert hub: would write %s\n", path);
		return EXIT_DONE;
	}
	if (!err)
		err = make_parents(path);
	if (!err)
		err = file_write(AT_FDCWD, path, text->data, text->len,
				 FILE_MODE(is_secret ? 0600 : 0644));
	return err ? hub_complain(EXIT_FAILED, "%s: %s", path, err_text(err)) : EXIT_DONE;
}

/* --- Keys --- */

static int read_key(const char *path, struct secret_key *ret)
{
	char in[KEY_FILE_MAX];
	size_t len = 0;
	int err = file_read(AT_FDCWD, path, in, sizeof(in), &len);

	while (!err && len && isspace((unsigned char)in[len - 1]))
		len--;
	if (!err)
		err = key_from_base64(in, len, ret->b);
	secret_wipe(in, sizeof(in));
	return err;
}

static int write_key(const struct hub_request *r, const char *path, const uint8_t key[32],
		     bool is_secret)
{
	struct text out = { 0 };
	char base64[KEY_BASE64_LEN + 1];
	int code;

	key_to_base64(key, base64);
	text_printf(&out, "%s\n", base64);
	code = hub_write(r, path, &out, is_secret);
	secret_wipe(base64, sizeof(base64));
	text_done(&out);
	return code;
}

/* The key of this node: the one it has, the one the environment gives to a spoke, or a new one. */
static int take_key(const struct hub_request *r, const char *path, const char *given,
		    struct secret_key *ret)
{
	int err = r->force ? -ENOENT : read_key(path, ret);

	if (!err)
		return EXIT_DONE;
	if (err != -ENOENT)
		return hub_complain(EXIT_REFUSED,
				    "%s: %s; it stays as it is (--force replaces it)", path,
				    err == ERR_FORMAT ? "holds no key" : err_text(err));
	if (given && strcmp(given, "generate") != 0) {
		if (key_from_base64(given, strlen(given), ret->b) < 0)
			return hub_complain(EXIT_REFUSED,
					    "WIREGUARD_PRIVATE_KEY is neither a key of 44 "
					    "base64 characters nor \"generate\"");
	} else {
		random_fill(ret->b, sizeof(ret->b));
	}
	dh_clamp(ret);
	return write_key(r, path, ret->b, true);
}

static int publish(const struct secret_key *key, uint8_t ret[32])
{
	struct suite *suite = NULL;
	int err = suite_new(SUITE_OPENSSL, &suite);

	if (err)
		return hub_complain(EXIT_FAILED, "the crypto library: %s", err_text(err));
	dh_public(suite, ret, key);
	suite_free(suite);
	return EXIT_DONE;
}

/* --- Files --- */

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* What we wrote must be what we read: endpoints and keys from outside went into it. */
static int write_conf(const struct hub_request *r, const char *path, struct text *text)
{
	struct wgconf c = { 0 };
	struct diag d = { 0 };
	int code;

	if (text->err || wgconf_parse(text->data, text->len, &c, &d) < 0)
		code = hub_complain(EXIT_REFUSED, "%s: line %u: %s", path, d.line, d.text);
	else
		code = hub_write(r, path, text, true);
	wgconf_done(&c);
	return code;
}

static int write_policy(const struct hub_request *r, const char *name, unsigned int number,
			enum hub_role role)
{
	char path[HUB_PATH_MAX];
	struct text out = { 0 };
	int code;

	hub_path(r, name, number, HUB_FILE_POLICY, path);
	hub_text_policy(&out, r, role);
	code = hub_write(r, path, &out, false);
	text_done(&out);
	return code;
}

/* Beside --dir, so that the usual "config" puts it into the working directory. It is never
 * replaced: people fill it in. */
static int write_template(const struct hub_request *r, const char *hub_key)
{
	char path[HUB_PATH_MAX];
	struct text out = { 0 };
	int code = EXIT_DONE;

	snprintf(path, sizeof(path), "%s/../.env.template", r->dir);
	text_printf(&out,
		    "# Private keys are made on each node: \"generate\" does it there.\n"
		    "WIREGUARD_PRIVATE_KEY_A=generate\n"
		    "WIREGUARD_PRIVATE_KEY_B=generate\n"
		    "WIREGUARD_PRIVATE_KEY_C=generate\n"
		    "HUB_PUBLIC_IP=your_digitalocean_hub_ip_here\n"
		    "HUB_PUBLIC_KEY=%s\n",
		    hub_key);
	for (unsigned int i = 1; i <= 3; i++) {
		struct ip_addr a = hub_host(r, HUB_FIRST_SPOKE + i);
		char address[ADDR_TEXT_MAX];

		text_printf(&out, "NODE_%c_IP=%s\n", (char)('A' + i - 1),
			    ip_addr_format(&a, address));
	}
	text_puts(&out, "HEALTH_CHECK_PORT=8000\n");
	if (!exists(path))
		code = hub_write(r, path, &out, false);
	text_done(&out);
	return code;
}

/* In a dry run a key that is not there yet was made for nothing: it is not shown. */
static const char *shown_key(const struct hub_request *r, const char *key_path,
			     const char *base64)
{
	return r->dry_run && (r->force || !exists(key_path)) ? "not made yet" : base64;
}

static void report(const struct hub_request *r, const char *name, const char *public_key,
		   const char *conf, const char *next)
{
	struct text out = { 0 };

	if (!r->json) {
		printf("%s\npublic key: %s\nfile: %s\n%s\n", name, public_key, conf, next);
		return;
	}
	text_puts(&out, "{");
	json_put_text(&out, "node", name);
	json_put_text(&out, "public_key", public_key);
	json_put_text(&out, "file", conf);
	json_put_text(&out, "next", next);
	json_put_bool(&out, "dry_run", r->dry_run);
	text_puts(&out, "}\n");
	if (!out.err)
		fputs(out.data, stdout);
	text_done(&out);
}

/* --- init --- */

/* A file that is there keeps its spokes; a new key needs a new file. */
static int write_hub_conf(const struct hub_request *r, const char *conf,
			  const struct secret_key *key)
{
	struct text out = { .max = HUB_FILE_MAX };
	int code;

	if (exists(conf) && !r->force)
		return EXIT_DONE;
	hub_text_hub(&out, r, key);
	code = write_conf(r, conf, &out);
	text_done(&out);
	return code;
}

int hub_init(const struct hub_request *r)
{
	char key_path[HUB_PATH_MAX], public_path[HUB_PATH_MAX], conf[HUB_PATH_MAX];
	char base64[KEY_BASE64_LEN + 1];
	struct secret_key key = { 0 };
	uint8_t public_key[32];
	int code;

	hub_path(r, NULL, 0, HUB_FILE_PRIVATE_KEY, key_path);
	hub_path(r, NULL, 0, HUB_FILE_PUBLIC_KEY, public_path);
	hub_path(r, NULL, 0, HUB_FILE_CONF, conf);
	code = take_key(r, key_path, NULL, &key);
	if (code == EXIT_DONE)
		code = publish(&key, public_key);
	if (code == EXIT_DONE)
		code = write_key(r, public_path, public_key, false);
	if (code == EXIT_DONE)
		code = write_hub_conf(r, conf, &key);
	if (code == EXIT_DONE)
		code = write_policy(r, NULL, 0, HUB_ROLE_HUB);
	secret_key_done(&key);
	if (code != EXIT_DONE)
		return code;
	key_to_base64(public_key, base64);
	code = write_template(r, base64);
	if (code == EXIT_DONE)
		report(r, "hub", shown_key(r, key_path, base64), conf,
		       "on each spoke: culvert hub join --name node-a --hub-public-key KEY "
		       "--hub-endpoint HOST:PORT");
	return code;
}

/* --- join --- */

/**
 * struct joining - What a spoke is told, from options or the environment
 * @endpoint:	HOST:PORT
 */
struct joining {
	const char *name;
	const char *hub_key;
	const char *private_key;
	char endpoint[300];
	struct ip_addr address;
};

static int require(const char *value, const char *name)
{
	if (value && *value)
		return EXIT_DONE;
	fprintf(stderr, "ERROR: %s is required\n", name);
	return EXIT_USAGE;
}

static const char *or_variable(const char *value, const char *name)
{
	return value ? value : getenv(name);
}

static int take_address(const struct hub_request *r, struct joining *j)
{
	const char *variable = getenv("NODE_IP");
	unsigned int number = hub_name_number(j->name);

	j->address = r->address;
	if (!j->address.family && variable && *variable &&
	    ip_addr_parse(variable, &j->address) < 0)
		return hub_complain(EXIT_REFUSED, "NODE_IP is no address");
	if (!j->address.family && number)
		j->address = hub_host(r, HUB_FIRST_SPOKE + number);
	if (!j->address.family)
		return require(NULL, "NODE_IP");
	return hub_check_address(r, &j->address);
}

static int take_hub(const struct hub_request *r, struct joining *j)
{
	const char *ip = getenv("HUB_PUBLIC_IP");
	struct ip_addr a;
	uint8_t key[32];
	int code = r->hub_endpoint ? EXIT_DONE : require(ip, "HUB_PUBLIC_IP");

	if (code == EXIT_DONE)
		code = require(j->hub_key, "HUB_PUBLIC_KEY");
	if (code != EXIT_DONE)
		return code;
	if (key_from_base64(j->hub_key, strlen(j->hub_key), key) < 0)
		return hub_complain(EXIT_REFUSED,
				    "the hub's public key is no key of 44 base64 characters");
	if (r->hub_endpoint)
		snprintf(j->endpoint, sizeof(j->endpoint), "%.255s", r->hub_endpoint);
	else if (ip_addr_parse(ip, &a) == 0 && a.family == ADDR_V6)
		snprintf(j->endpoint, sizeof(j->endpoint), "[%.255s]:%u", ip, r->port);
	else
		snprintf(j->endpoint, sizeof(j->endpoint), "%.255s:%u", ip, r->port);
	for (const char *c = j->endpoint; *c; c++)
		if (!isgraph((unsigned char)*c) || *c == '#')
			return hub_complain(EXIT_REFUSED, "the hub's endpoint is no HOST:PORT");
	return EXIT_DONE;
}

static int take_joining(const struct hub_request *r, struct joining *j)
{
	int code;

	j->name = or_variable(r->name, "NODE_ID");
	j->hub_key = or_variable(r->hub_public_key, "HUB_PUBLIC_KEY");
	j->private_key = getenv("WIREGUARD_PRIVATE_KEY");
	code = require(j->name, "NODE_ID");
	if (code == EXIT_DONE && r->from_environment)
		code = require(getenv("NODE_IP"), "NODE_IP");
	if (code == EXIT_DONE)
		code = take_hub(r, j);
	if (code == EXIT_DONE && r->from_environment)
		code = require(j->private_key, "WIREGUARD_PRIVATE_KEY");
	if (code == EXIT_DONE && !hub_is_name(j->name))
		code = hub_complain(EXIT_REFUSED,
				    "a spoke's name is up to %d small letters, digits and '-'",
				    HUB_NAME_MAX);
	return code == EXIT_DONE ? take_address(r, j) : code;
}

static int write_spoke(const struct hub_request *r, const struct joining *j,
		       const struct secret_key *key, const char *conf)
{
	unsigned int number = hub_host_number(r, &j->address) - HUB_FIRST_SPOKE;
	struct text out = { .max = HUB_FILE_MAX };
	int code = EXIT_DONE;

	hub_text_spoke(&out, r, key, j->hub_key, j->endpoint, &j->address);
	if (!exists(conf) || r->force)
		code = write_conf(r, conf, &out);
	else
		fprintf(stderr, "culvert hub: %s stays as it is (--force replaces it)\n", conf);
	text_done(&out);
	return code == EXIT_DONE ? write_policy(r, j->name, number, HUB_ROLE_SPOKE) : code;
}

static void report_spoke(const struct hub_request *r, const struct joining *j, const char *key,
			 const char *conf)
{
	char address[ADDR_TEXT_MAX], next[HUB_PATH_MAX];

	snprintf(next, sizeof(next),
		 "on the hub: culvert hub add-spoke %s --public-key %s --address %s", j->name,
		 key, ip_addr_format(&j->address, address));
	report(r, j->name, key, conf, next);
}

int hub_join(const struct hub_request *r)
{
	char key_path[HUB_PATH_MAX], public_path[HUB_PATH_MAX], conf[HUB_PATH_MAX];
	char base64[KEY_BASE64_LEN + 1];
	struct joining j = { 0 };
	struct secret_key key = { 0 };
	uint8_t public_key[32];
	unsigned int number;
	int code;

	if (r->installed && exists(r->installed) && !r->force) {
		fprintf(stderr, "culvert hub: %s is there and wins; nothing is made\n",
			r->installed);
		return EXIT_DONE;
	}
	code = take_joining(r, &j);
	if (code != EXIT_DONE)
		return code;
	number = hub_host_number(r, &j.address) - HUB_FIRST_SPOKE;
	hub_path(r, j.name, number, HUB_FILE_PRIVATE_KEY, key_path);
	hub_path(r, j.name, number, HUB_FILE_PUBLIC_KEY, public_path);
	hub_path(r, j.name, number, HUB_FILE_CONF, conf);
	code = take_key(r, key_path, j.private_key, &key);
	if (code == EXIT_DONE)
		code = publish(&key, public_key);
	if (code == EXIT_DONE)
		code = write_key(r, public_path, public_key, false);
	if (code == EXIT_DONE)
		code = write_spoke(r, &j, &key, conf);
	secret_key_done(&key);
	if (code != EXIT_DONE)
		return code;
	key_to_base64(public_key, base64);
	report_spoke(r, &j, shown_key(r, key_path, base64), conf);
	return code;
}
