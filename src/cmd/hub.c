/* SPDX-License-Identifier: Apache-2.0 */
/* culvert hub: the verbs, and the words of a call. */
#include "cmd/hub.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <getopt.h>

#include "base/codec.h"
#include "base/nearest.h"
#include "cmd/command.h"
#include "cmd/hub_backup.h"
#include "cmd/hub_hook.h"

static const char usage[] =
	"Usage: culvert hub VERB [OPTIONS]\n"
	"\n"
	"On the hub:\n"
	"  init                       make the hub's key, file and rules\n"
	"  add-spoke NAME             let a spoke in: --public-key KEY [--address IP]\n"
	"  rotate-spoke NAME          give a spoke another key: --public-key KEY\n"
	"  remove-spoke NAME          forget a spoke\n"
	"  show, status               the spokes, and when they were heard\n"
	"  health                     the same; exit code 1 when no spoke is alive\n"
	"On a spoke:\n"
	"  join                       make its key, file and rules: --name NAME\n"
	"                             --hub-public-key KEY --hub-endpoint HOST:PORT\n"
	"On each node:\n"
	"  firewall apply|show|remove the rules of a node, in the nft table inet culvert_hub\n"
	"  cleanup                    remove those rules; files and keys stay\n"
	"  backup                     copy the files into one archive: [--to DIR] [--keep N]\n"
	"  restore FILE               write them back where they are missing (--force: over all)\n"
	"With a program of yours (--hook, or CULVERT_HUB_HOOK):\n"
	"  deploy, destroy, test, postgres, setup  run it with the verb and --region, --size,\n"
	"                             --nodes, --network and --port; without one, deploy and\n"
	"                             setup do init\n"
	"\n"
	"  --dir DIR         where the files are (config)\n"
	"  --interface NAME  of the tunnel (wg0)\n"
	"  --network PREFIX  of the overlay (10.88.0.0/24); the hub is its first host\n"
	"  --port PORT       UDP (51820)\n"
	"  --layout WORD     names (node-a/private.key) or numbers (nodes/node1.key)\n"
	"  --role WORD       firewall: hub or spoke; else what the files say\n"
	"  --installed FILE  join: this file wins if it is there (/etc/wireguard/INTERFACE.conf)\n"
	"  --from-environment  join: NODE_ID, NODE_IP, HUB_PUBLIC_IP, HUB_PUBLIC_KEY and\n"
	"                    WIREGUARD_PRIVATE_KEY (a key, or \"generate\") must all be set\n"
	"  --force           replace keys and files that are there\n"
	"  --dry-run         say what would be written, and write nothing\n"
	"  --json            write an object\n";

int hub_complain(int code, const char *format, ...)
{
	va_list args;

	fputs("culvert hub: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

static int cleanup(const struct hub_request *r)
{
	struct hub_request remove = *r;

	remove.name = "remove";
	return hub_firewall(&remove);
}

static int deploy(const struct hub_request *r)
{
	return r->hook ? hub_hook_run(r) : hub_init(r);
}

/* Whether a word follows the verb: a spoke's name, another word, or none. */
enum argument {
	ARGUMENT_NONE,
	ARGUMENT_SPOKE,
	ARGUMENT_WORD,
};

static const struct verb {
	const char *name;
	enum argument argument;
	int (*run)(const struct hub_request *r);
} verbs[] = {
	{ "init", ARGUMENT_NONE, hub_init },
	{ "join", ARGUMENT_NONE, hub_join },
	{ "add-spoke", ARGUMENT_SPOKE, hub_add_spoke },
	{ "rotate-spoke", ARGUMENT_SPOKE, hub_rotate_spoke },
	{ "remove-spoke", ARGUMENT_SPOKE, hub_remove_spoke },
	{ "show", ARGUMENT_NONE, hub_show },
	{ "status", ARGUMENT_NONE, hub_show },
	{ "health", ARGUMENT_NONE, hub_health },
	{ "firewall", ARGUMENT_WORD, hub_firewall },
	{ "cleanup", ARGUMENT_NONE, cleanup },
	{ "backup", ARGUMENT_NONE, hub_backup },
	{ "restore", ARGUMENT_WORD, hub_restore },
	{ "deploy", ARGUMENT_NONE, deploy },
	{ "setup", ARGUMENT_NONE, deploy },
	{ "destroy", ARGUMENT_NONE, hub_hook_run },
	{ "test", ARGUMENT_NONE, hub_hook_run },
	{ "postgres", ARGUMENT_NONE, hub_hook_run },
};

enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

enum option_number {
	OPTION_DIR = 256,
	OPTION_INTERFACE,
	OPTION_NETWORK,
	OPTION_PORT,
	OPTION_LAYOUT,
	OPTION_ROLE,
	OPTION_INSTALLED,
	OPTION_FROM_ENVIRONMENT,
	OPTION_FORCE,
	OPTION_DRY_RUN,
	OPTION_JSON,
	OPTION_NAME,
	OPTION_PUBLIC_KEY,
	OPTION_HUB_PUBLIC_KEY,
	OPTION_HUB_ENDPOINT,
	OPTION_ADDRESS,
	OPTION_HOOK,
	OPTION_KEEP,
	OPTION_TO,
	OPTION_REGION,
	OPTION_SIZE,
	OPTION_NODES,
	OPTION_VERBOSE,
};

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "dir", required_argument, NULL, OPTION_DIR },
	{ "interface", required_argument, NULL, OPTION_INTERFACE },
	{ "network", required_argument, NULL, OPTION_NETWORK },
	{ "port", required_argument, NULL, OPTION_PORT },
	{ "layout", required_argument, NULL, OPTION_LAYOUT },
	{ "role", required_argument, NULL, OPTION_ROLE },
	{ "installed", required_argument, NULL, OPTION_INSTALLED },
	{ "from-environment", no_argument, NULL, OPTION_FROM_ENVIRONMENT },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "public-key", required_argument, NULL, OPTION_PUBLIC_KEY },
	{ "hub-public-key", required_argument, NULL, OPTION_HUB_PUBLIC_KEY },
	{ "hub-endpoint", required_argument, NULL, OPTION_HUB_ENDPOINT },
	{ "address", required_argument, NULL, OPTION_ADDRESS },
	{ "hook", required_argument, NULL, OPTION_HOOK },
	{ "keep", required_argument, NULL, OPTION_KEEP },
	{ "to", required_argument, NULL, OPTION_TO },
	{ "region", required_argument, NULL, OPTION_REGION },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "nodes", required_argument, NULL, OPTION_NODES },
	{ "verbose", no_argument, NULL, OPTION_VERBOSE },
	{ NULL, 0, NULL, 0 },
};

/* Room below the names of files for the rest of a path. */
enum { DIR_MAX = HUB_PATH_MAX - 128 };

static int take_number(const char *text, const char *name, uint64_t min, uint64_t max,
		       uint64_t *ret)
{
	if (decimal_parse(text, strlen(text), max, ret) == 0 && *ret >= min)
		return EXIT_DONE;
	return hub_complain(EXIT_USAGE, "%s is a number from %u to %u", name, (unsigned int)min,
			    (unsigned int)max);
}

static int take_interface(struct hub_request *r, const char *text)
{
	size_t len = strlen(text);

	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_-", *c))
			len = 0;
	if (len == 0 || len >= IFNAMSIZ)
		return hub_complain(EXIT_USAGE,
				    "--interface is 1 to 15 letters, digits, '_' and '-'");
	r->interface = text;
	return EXIT_DONE;
}

static int take_network(struct hub_request *r, const char *text)
{
	struct ip_prefix p;

	if (ip_prefix_parse(text, true, &p) < 0 || p.ip.family != ADDR_V4 || p.bits < 16 ||
	    p.bits > 27)
		return hub_complain(EXIT_USAGE,
				    "--network is an IPv4 network of /16 to /27, such as "
				    "10.88.0.0/24");
	r->network = p;
	return EXIT_DONE;
}

static int take_layout(struct hub_request *r, const char *text)
{
	r->by_number = strcmp(text, "numbers") == 0;
	if (r->by_number || strcmp(text, "names") == 0)
		return EXIT_DONE;
	return hub_complain(EXIT_USAGE, "--layout is names or numbers");
}

static int take_address(struct hub_request *r, const char *text)
{
	if (ip_addr_parse(text, &r->address) == 0 && r->address.family == ADDR_V4)
		return EXIT_DONE;
	return hub_complain(EXIT_USAGE, "--address is an IPv4 address");
}

static int take_dir(const char **ret, const char *name, const char *text)
{
	if (!*text || strlen(text) > DIR_MAX)
		return hub_complain(EXIT_USAGE, "%s is a path of at most %d octets", name,
				    DIR_MAX);
	*ret = text;
	return EXIT_DONE;
}

/* Options whose value is taken as it is; NULL: not one of them. */
static const char **place_of(struct hub_request *r, struct hub_cloud *cloud, int option)
{
	switch (option) {
	case OPTION_ROLE:
		return &r->role;
	case OPTION_INSTALLED:
		return &r->installed;
	case OPTION_NAME:
		return &r->name;
	case OPTION_PUBLIC_KEY:
		return &r->public_key;
	case OPTION_HUB_PUBLIC_KEY:
		return &r->hub_public_key;
	case OPTION_HUB_ENDPOINT:
		return &r->hub_endpoint;
	case OPTION_HOOK:
		return &r->hook;
	case OPTION_REGION:
		return &cloud->region;
	case OPTION_SIZE:
		return &cloud->size;
	case OPTION_NODES:
		return &cloud->nodes;
	default:
		return NULL;
	}
}

static int take_value(struct hub_request *r, int option, const char *text)
{
	uint64_t port = 0;
	int code;

	switch (option) {
	case OPTION_DIR:
		return take_dir(&r->dir, "--dir", text);
	case OPTION_TO:
		return take_dir(&r->archive, "--to", text);
	case OPTION_INTERFACE:
		return take_interface(r, text);
	case OPTION_NETWORK:
		return take_network(r, text);
	case OPTION_LAYOUT:
		return take_layout(r, text);
	case OPTION_ADDRESS:
		return take_address(r, text);
	case OPTION_KEEP:
		return take_number(text, "--keep", 1, 1000, &r->keep);
	case OPTION_PORT:
		code = take_number(text, "--port", 1, UINT16_MAX, &port);
		r->port = (uint16_t)port;
		return code;
	default:
		return EXIT_USAGE; /* getopt_long() has complained */
	}
}

static int take_option(struct hub_request *r, struct hub_cloud *cloud, int option)
{
	const char **place = place_of(r, cloud, option);

	if (place) {
		*place = optarg;
		return EXIT_DONE;
	}
	switch (option) {
	case OPTION_FROM_ENVIRONMENT:
		r->from_environment = true;
		return EXIT_DONE;
	case OPTION_FORCE:
		r->force = true;
		return EXIT_DONE;
	case OPTION_DRY_RUN:
		r->dry_run = true;
		return EXIT_DONE;
	case OPTION_JSON:
		r->json = true;
		return EXIT_DONE;
	case OPTION_VERBOSE:
		return EXIT_DONE; /* what is done is always said */
	default:
		return take_value(r, option, optarg);
	}
}

static const struct verb *find_verb(const char *word)
{
	struct nearest meant = { 0 };

	for (size_t i = 0; i < N_VERBS; i++) {
		if (strcmp(verbs[i].name, word) == 0)
			return &verbs[i];
		nearest_offer(&meant, word, strlen(word), verbs[i].name);
	}
	if (meant.name)
		hub_complain(EXIT_USAGE, "no verb '%s'; did you mean '%s'?", word, meant.name);
	else
		hub_complain(EXIT_USAGE, "no verb '%s'; culvert hub --help lists them", word);
	return NULL;
}

static int run_verb(struct hub_request *r, int n_words, char **words)
{
	const struct verb *verb = find_verb(words[0]);

	if (!verb)
		return EXIT_USAGE;
	r->verb = verb->name;
	if (n_words > (verb->argument == ARGUMENT_NONE ? 1 : 2))
		return hub_complain(EXIT_USAGE, "one word too many: %s", words[n_words - 1]);
	if (n_words == 2)
		r->name = words[1];
	if (verb->argument == ARGUMENT_SPOKE && !r->name)
		return hub_complain(EXIT_USAGE, "%s: say which spoke", verb->name);
	if (verb->argument == ARGUMENT_SPOKE && !hub_is_name(r->name))
		return hub_complain(EXIT_REFUSED,
				    "a spoke's name is up to %d small letters, digits and '-'",
				    HUB_NAME_MAX);
	r->hub = hub_host(r, 1);
	return verb->run(r);
}

int cmd_hub(int argc, char **argv)
{
	static char installed[64];
	struct hub_request r = {
		.network = { .ip = { .family = ADDR_V4, .b = { 10, 88 } }, .bits = 24 },
		.interface = "wg0",
		.dir = "config",
		.port = 51820,
		.keep = 7,
	};
	struct hub_cloud cloud = { .region = "nyc1", .size = "s-1vcpu-1gb", .nodes = "3" };
	static char deploy_word[] = "deploy";
	char *deploy_words[] = { deploy_word };
	int option;

	r.hook = getenv("CULVERT_HUB_HOOK");
	r.cloud = &cloud;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		int code = EXIT_DONE;

		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		code = take_option(&r, &cloud, option);
		if (code != EXIT_DONE)
			return code;
	}
	if (!r.installed) {
		snprintf(installed, sizeof(installed), "/etc/wireguard/%s.conf", r.interface);
		r.installed = installed;
	}
	if (optind < argc && strcmp(argv[optind], "help") == 0) {
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	if (optind == argc)
		return run_verb(&r, 1, deploy_words);
	return run_verb(&r, argc - optind, argv + optind);
}
