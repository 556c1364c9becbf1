/* SPDX-License-Identifier: Apache-2.0 */
/* culvert host firewall: this host lets in what it serves, in a table of our own. Rules go away by
 * themselves unless they are confirmed. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>

#include "base/codec.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/host_undo.h"
#include "net/nft.h"

#define TABLE "culvert_host"

enum {
	ALLOW_MAX = 64,
	SSH_A_MINUTE = 10, /* new connections from one address, or one /64 */
};

static const char usage[] =
	"Usage: culvert host firewall apply [--allow udp:PORT] [--allow tcp:PORT] [--conf FILE]\n"
	"                                   [--ssh PORT] [--seconds N] [--dry-run]\n"
	"       culvert host firewall confirm | show | remove\n"
	"\n"
	"  apply      let in SSH, the ports that are named, and answers; nothing else. Without\n"
	"             'confirm' within 60 seconds all is as before\n"
	"  confirm    keep what was applied\n"
	"  show       the rules, and whether they wait for 'confirm'\n"
	"  remove     take the rules away\n"
	"\n"
	"  --allow P  a port that is served, such as udp:51820; up to 64 of them\n"
	"  --conf F   let in the ListenPort of a file of wg-quick\n"
	"  --ssh N    where SSH listens (22); new connections are limited per address. 0: nowhere\n"
	"  --seconds  how long to wait for 'confirm' (1 to 3600)\n"
	"  --dry-run  write the rules and change nothing\n";

/** struct allowed - What may come in */
struct allowed {
	struct {
		bool is_udp;
		uint16_t port;
	} ports[ALLOW_MAX];
	size_t n;
	uint16_t ssh;
	unsigned int seconds;
	bool dry_run;
};

static int complain(int code, const char *what, const char *word)
{
	fprintf(stderr, "culvert host: %s%s\n", what, word);
	return code;
}

/* --- The rules --- */

static void put_ports(struct text *out, const struct allowed *a, bool udp)
{
	bool any = false;

	for (size_t i = 0; i < a->n; i++) {
		if (a->ports[i].is_udp != udp)
			continue;
		text_printf(out, "%s%u",
			    any	  ? ", "
			    : udp ? "\t\tudp dport { "
				  : "\t\ttcp dport { ",
			    a->ports[i].port);
		any = true;
	}
	if (any)
		text_puts(out, " } accept\n");
}

static void put_ssh(struct text *out, uint16_t port)
{
	if (!port)
		return;
	text_printf(
		out,
		"\t\ttcp dport %u ct state new add @ssh4 { ip saddr limit rate over "
		"%d/minute burst %d packets } counter drop\n"
		"\t\ttcp dport %u ct state new add @ssh6 { ip6 saddr & ffff:ffff:ffff:ffff:: "
		"limit rate over %d/minute burst %d packets } counter drop\n"
		"\t\ttcp dport %u accept\n",
		port, SSH_A_MINUTE, SSH_A_MINUTE, port, SSH_A_MINUTE, SSH_A_MINUTE, port);
}

/* Connections that are older than connection tracking look new: for ten minutes what belongs to
 * the middle of one passes, and is known from then on. */
static const char kept[] =
	"\tset grace { type inet_proto; flags timeout; elements = { tcp timeout 10m }; }\n"
	"\tset ssh4 { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }\n"
	"\tset ssh6 { type ipv6_addr; size 65535; flags dynamic,timeout; timeout 1m; }\n";

static const char always[] =
	"\t\tiif \"lo\" accept\n"
	"\t\tct state established,related accept\n"
	"\t\tmeta l4proto @grace tcp flags & (syn | ack | rst | fin) == ack accept\n"
	"\t\tmeta l4proto @grace tcp flags & (syn | ack | rst | fin) == (fin | ack) accept\n"
	"\t\tct state invalid counter drop\n"
	"\t\ticmp type { echo-request, destination-unreachable, time-exceeded, "
	"parameter-problem } accept\n"
	"\t\ticmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, "
	"parameter-problem, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, "
	"nd-neighbor-advert, mld-listener-query, mld-listener-report } accept\n"
	"\t\tudp sport 67 udp dport 68 accept\n"
	"\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n";

static void put_rules(struct text *out, const struct allowed *a)
{
	text_printf(out, "table inet %s\ndelete table inet %s\ntable inet %s {\n%s", TABLE,
		    TABLE, TABLE, kept);
	text_puts(out, "\tchain input {\n"
		       "\t\ttype filter hook input priority filter - 5; policy drop;\n");
	text_puts(out, always);
	put_ssh(out, a->ssh);
	put_ports(out, a, false);
	put_ports(out, a, true);
	text_puts(out, "\t\tcounter\n\t}\n}\n");
}

/* --- The words --- */

static int apply(const struct allowed *a)
{
	struct text out = { .max = NFT_LIST_MAX };
	struct diag d = { 0 };
	int code = EXIT_DONE;

	put_rules(&out, a);
	if (out.err)
		code = complain(EXIT_FAILED, "the rules: ", err_text(out.err));
	else if (a->dry_run)
		fputs(out.data, stdout);
	else if (host_undo_arm(TABLE, a->seconds, &d) < 0 ||
		 nft_run_text(out.data, out.len, &d) < 0)
		code = complain(EXIT_FAILED, d.text, "");
	else
		printf("The rules apply. If you are still here, call within %u seconds:\n"
		       "  culvert host firewall confirm\n",
		       a->seconds);
	text_done(&out);
	return code;
}

static int confirm(void)
{
	struct diag d = { 0 };

	return host_undo_confirm(&d) < 0 ? complain(EXIT_FAILED, d.text, "") : EXIT_DONE;
}

static int show(void)
{
	char out[NFT_LIST_MAX];
	struct diag d = { 0 };
	int err = nft_list_table(TABLE, false, out, &d);

	if (err == ERR_UNKNOWN)
		return complain(EXIT_FAILED, "no rules", "");
	if (err < 0)
		return complain(EXIT_FAILED, d.text, "");
	if (host_undo_waits())
		puts("# These rules wait for 'culvert host firewall confirm'.");
	fputs(out, stdout);
	return EXIT_DONE;
}

/* What waits would bring back a table that is not wanted any more. */
static int take_away(void)
{
	static const char text[] = "table inet " TABLE "\ndelete table inet " TABLE "\n";
	struct diag d = { 0 };
	int err = host_undo_confirm(&d);

	if (err < 0 && err != -ENOENT)
		return complain(EXIT_FAILED, d.text, "");
	if (nft_run_text(text, sizeof(text) - 1, &d) < 0)
		return complain(EXIT_FAILED, d.text, "");
	return EXIT_DONE;
}

/* --- Arguments --- */

static int add_port(struct allowed *a, bool udp, uint64_t port)
{
	if (a->n == ALLOW_MAX)
		return complain(EXIT_USAGE, "more than 64 ports", "");
	a->ports[a->n].is_udp = udp;
	a->ports[a->n++].port = (uint16_t)port;
	return EXIT_DONE;
}

static int take_allow(struct allowed *a, const char *text)
{
	bool udp = strncmp(text, "udp:", 4) == 0;
	uint64_t port = 0;

	if ((!udp && strncmp(text, "tcp:", 4) != 0) ||
	    decimal_parse(text + 4, strlen(text + 4), UINT16_MAX, &port) < 0 || port == 0)
		return complain(EXIT_USAGE, "--allow is udp:PORT or tcp:PORT, not ", text);
	return add_port(a, udp, port);
}

static int take_conf(struct allowed *a, const char *path)
{
	struct conf_file f = { 0 };
	int code = conf_file_open(&f, path);

	if (code != EXIT_DONE)
		conf_file_complain(&f, "culvert host");
	else if (!f.conf.interface.has_listen_port || !f.conf.interface.listen_port)
		code = complain(EXIT_REFUSED, "no ListenPort in ", path);
	else
		code = add_port(a, true, f.conf.interface.listen_port);
	conf_file_done(&f);
	return code;
}

static int take_option(struct allowed *a, int option)
{
	uint64_t n = 0;

	switch (option) {
	case 'a':
		return take_allow(a, optarg);
	case 'c':
		return take_conf(a, optarg);
	case 's':
		if (decimal_parse(optarg, strlen(optarg), UINT16_MAX, &n) < 0)
			return complain(EXIT_USAGE, "--ssh is a port, not ", optarg);
		a->ssh = (uint16_t)n;
		return EXIT_DONE;
	case 't':
		if (decimal_parse(optarg, strlen(optarg), 3600, &n) < 0 || n == 0)
			return complain(EXIT_USAGE, "--seconds is 1 to 3600, not ", optarg);
		a->seconds = (unsigned int)n;
		return EXIT_DONE;
	case 'd':
		a->dry_run = true;
		return EXIT_DONE;
	default:
		return EXIT_USAGE; /* getopt_long() has complained */
	}
}

static int run_word(const struct allowed *a, int n, char **words)
{
	if (n < 2 || strcmp(words[0], "firewall") != 0)
		return complain(EXIT_USAGE, "say firewall apply, confirm, show or remove", "");
	if (n > 2)
		return complain(EXIT_USAGE, "one word too many: ", words[2]);
	if (strcmp(words[1], "apply") == 0)
		return apply(a);
	if (strcmp(words[1], "confirm") == 0)
		return confirm();
	if (strcmp(words[1], "show") == 0)
		return show();
	if (strcmp(words[1], "remove") == 0)
		return take_away();
	return complain(EXIT_USAGE, "say firewall apply, confirm, show or remove, not ",
			words[1]);
}

int cmd_host(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "allow", required_argument, NULL, 'a' },
		{ "conf", required_argument, NULL, 'c' },
		{ "ssh", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "dry-run", no_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	struct allowed a = { .ssh = 22, .seconds = 60 };
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		int code;

		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		code = take_option(&a, option);
		if (code != EXIT_DONE)
			return code;
	}
	return run_word(&a, argc - optind, argv + optind);
}
