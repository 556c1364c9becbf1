/* SPDX-License-Identifier: Apache-2.0 */
/* culvert doctor: what is wrong, or soon will be, with a file or a running interface. It looks and
 * changes nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <getopt.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/json_write.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/conf_warn.h"
#include "cmd/doctor_host.h"
#include "cmd/running.h"
#include "cmd/state_default.h"
#include "conf/wgconf_framing.h"
#include "net/netlink.h"
#include "net/resolve.h"

enum {
	PATH_MTU = 1500,    /* where no route is known: Ethernet */
	STOCK_SPARE = 80,   /* what wg-quick and awg-quick take off the route's MTU */
	PEERS_SHOWN = 20,   /* findings about single peers */
	SENTENCE_MAX = 560, /* a warning with its line and the name of its profile */
};

static const char command[] = "culvert doctor";

static const char usage[] =
	"Usage: culvert doctor [--json] INTERFACE|FILE\n"
	"       culvert doctor [--json] --host [--port N] [--api ADDRESS:PORT] [--state DIR]\n"
	"                      [INTERFACE]\n"
	"\n"
	"  --json   write an object\n"
	"  --host   look at the host: forwarding, rp_filter, modules, the clock, resolvers, a\n"
	"           gateway's socket, and an INTERFACE of another program\n"
	"  --port   a UDP port that should be free, or served where INTERFACE is there\n"
	"  --api    an API that should take connections\n"
	"  --state  of the gateway\n"
	"\n"
	"Looks at a running userspace interface, or at a file in the format of wg-quick(8) (with -\n"
	"standard input, or a link of AmneziaVPN), and says what is wrong with its keys and parameters of\n"
	"AmneziaWG, whether its MTU fits the way to its peers, and, of an interface, which peers\n"
	"were never heard and what may be the reason. It changes nothing.\n"
	"Exit codes: 0 nothing found, 1 cannot be read, 2 wrong command line, 3 findings or a\n"
	"refused file, 4 missing privilege.\n";

/**
 * struct doctor - One examination
 * @is_file:	Whose warnings come with lines, from cmd/conf_warn.h
 * @mtu:	Of the tunnel; 0: not said
 * @path_mtu:	The smallest of the routes to the endpoints
 * @fits:	The greatest MTU that needs no fragments; UINT32_MAX: not known yet
 * @s4:		The longest PAD of transport messages among the profiles
 */
struct doctor {
	const char *name;
	bool json;
	bool is_file;
	struct text facts;
	struct text findings;
	unsigned int n_findings;
	const char *profile; /* the one that warnings are about; "" is the default */
	uint32_t mtu;
	uint32_t path_mtu;
	uint32_t fits;
	uint32_t s4;
	uint32_t fwmark;
};

__attribute__((format(printf, 3, 4))) static void find(struct doctor *d, const char *about,
						       const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	d->n_findings++;
	if (!d->json) {
		printf("%s: finding: %s\n", d->name, sentence);
		return;
	}
	json_put_next(&d->findings);
	text_puts(&d->findings, "{");
	json_put_text(&d->findings, "about", about);
	json_put_text(&d->findings, "text", sentence);
	text_puts(&d->findings, "}");
}

/* --- Parameters --- */

/* What awg-quick would choose as MTU is known better here: examine_mtu(). */
static void warn(void *context, struct frame_fault fault, const char *sentence)
{
	static const char of_mtu[] = "S4 is ";
	struct doctor *d = context;

	(void)fault; /* an interface has no lines */
	if (strncmp(sentence, of_mtu, sizeof(of_mtu) - 1) == 0)
		return;
	if (d->profile[0])
		find(d, "framing", "profile %s: %s", d->profile, sentence);
	else
		find(d, "framing", "%s", sentence);
}

static void examine_framing(struct doctor *d, const char *profile,
			    const struct frame_parameters *p)
{
	uint32_t s4 = p->pad[FRAME_MESSAGES - 1];

	d->s4 = s4 > d->s4 ? s4 : d->s4;
	d->profile = profile;
	if (!d->is_file)
		frame_parameters_warn(p, warn, d);
}

/* "2026-01-01 00:00:00 UTC"; nothing for a year that cannot be written. */
static void show_date(uint64_t unix_s, char *out, size_t size)
{
	time_t at = (time_t)(unix_s > INT64_MAX ? INT64_MAX : unix_s);
	struct tm tm;

	if (!gmtime_r(&at, &tm) || !strftime(out, size, "%F %T UTC", &tm))
		out[0] = '\0';
}

static void print_profile(const struct doctor *d, const struct uapi_profile *p)
{
	char date[40];

	printf("%s: profile %s", d->name, p->name);
	if (p->until_s) {
		show_date(p->until_s, date, sizeof(date));
		printf(", accepted until %s%s%" PRIu64 "%s", date, date[0] ? " (" : "",
		       p->until_s, date[0] ? ")" : "");
	}
	putchar('\n');
}

static void examine_profiles(struct doctor *d, const struct frame_parameters *framing,
			     const struct uapi_profile *profiles, size_t n)
{
	examine_framing(d, "", framing);
	for (size_t i = 0; i < n; i++)
		examine_framing(d, profiles[i].name, &profiles[i].parameters);
	json_put_name(&d->facts, "profiles");
	text_puts(&d->facts, "[{\"name\":\"\"");
	json_put_bool(&d->facts, "plain", frame_parameters_are_plain(framing));
	text_puts(&d->facts, "}");
	if (!d->json)
		printf("%s: default profile: %s\n", d->name,
		       frame_parameters_are_plain(framing) ? "WireGuard" : "AmneziaWG");
	for (size_t i = 0; i < n; i++) {
		text_puts(&d->facts, ",{");
		json_put_text(&d->facts, "name", profiles[i].name);
		json_put_number(&d->facts, "until", profiles[i].until_s);
		text_puts(&d->facts, "}");
		if (!d->json)
			print_profile(d, &profiles[i]);
	}
	text_puts(&d->facts, "]");
}

/* --- MTU --- */

static void take_path(struct doctor *d, const struct endpoint *to)
{
	uint32_t path = PATH_MTU, fits;

	(void)resolve_path_mtu(to, d->fwmark, &path);
	fits = frame_mtu(path, d->s4, to->ip.family == ADDR_V4);
	if (fits < d->fits) {
		d->fits = fits;
		d->path_mtu = path;
	}
}

/* An MTU that a file does not say is the one that the tools will choose. */
static void examine_mtu(struct doctor *d)
{
	uint32_t stock;

	if (d->fits == UINT32_MAX) { /* no endpoints: whoever calls may come over IPv6 */
		d->path_mtu = PATH_MTU;
		d->fits = frame_mtu(PATH_MTU, d->s4, false);
	}
	stock = d->path_mtu - STOCK_SPARE;
	if (d->mtu)
		json_put_number(&d->facts, "mtu", d->mtu);
	json_put_number(&d->facts, "path_mtu", d->path_mtu);
	json_put_number(&d->facts, "greatest_mtu", d->fits);
	if (!d->json && d->mtu)
		printf("%s: MTU %u; on a path of %u octets at most %u\n", d->name, d->mtu,
		       d->path_mtu, d->fits);
	if (d->mtu > d->fits)
		find(d, "mtu",
		     "MTU %u: full packets are cut into fragments on a path of %u octets; set it "
		     "to %u",
		     d->mtu, d->path_mtu, d->fits);
	else if (!d->mtu && stock > d->fits)
		find(d, "mtu",
		     "no MTU: wg-quick and awg-quick choose %u, and full packets are then cut into "
		     "fragments; write MTU = %u",
		     stock, d->fits);
}

/* --- A file --- */

static void warn_of_file(void *context, size_t line, const char *sentence)
{
	if (line)
		find(context, "file", "line %zu: %s", line, sentence);
	else
		find(context, "file", "%s", sentence);
}

static void take_file_paths(struct doctor *d, const struct wgconf *c)
{
	for (size_t i = 0; i < c->n_peers; i++) {
		struct wgconf_span name = c->peers[i].endpoint_host;
		struct endpoint e;
		char host[256];

		if (!name.len || name.len >= sizeof(host))
			continue;
		memcpy(host, name.at, name.len);
		host[name.len] = '\0';
		if (resolve_endpoint(host, c->peers[i].endpoint_port, &e) == 0)
			take_path(d, &e);
		else
			find(d, "peer", "Endpoint %s of line %u cannot be looked up", host,
			     c->peers[i].line);
	}
}

static int examine_file(struct doctor *d, const char *path)
{
	struct conf_file f = { 0 };
	const struct wgconf *c = &f.conf;
	const struct conf_listener to = { .say = warn_of_file, .context = d };
	int code = conf_file_open(&f, path);

	if (code == EXIT_DONE) {
		d->name = f.name;
		d->mtu = c->interface.mtu;
		d->fwmark = c->interface.fwmark;
		d->is_file = true;
		json_put_text(&d->facts, "file", f.name);
		examine_profiles(d, &c->interface.framing, c->profiles, c->n_profiles);
		conf_warn_of_keys(c, &to);
		conf_warn_of_framing(c, true, &to);
		take_file_paths(d, c);
		examine_mtu(d);
	} else {
		conf_file_complain(&f, command);
	}
	conf_file_done(&f);
	return code;
}

/* --- A running interface --- */

static bool is_stuck(const struct uapi_get_peer *peer)
{
	return peer->last_handshake_ns == 0 && (peer->tx_bytes || peer->rx_bytes);
}

/* Which message never arrived: what was counted is authentic, so the first that is missing is
 * the one to ask for. */
static void tell_peer(struct doctor *d, const struct uapi_get_peer *peer)
{
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(peer->public_key, key);
	if (peer->rx_bytes)
		find(d, "peer",
		     "peer %s: its initiations arrive (%" PRIu64
		     " octets), but it never took our "
		     "responses: do they come through, and are S2 and H2 the same at both ends?",
		     key, peer->rx_bytes);
	else
		find(d, "peer",
		     "peer %s: %" PRIu64 " octets sent, and no response ever arrived: are its "
		     "endpoint and keys right, does UDP come through, and are S1, S2, H1, H2 and "
		     "HeaderProtectionKey the same at both ends?",
		     key, peer->tx_bytes);
}

static void examine_peers(struct doctor *d, const struct iface_snapshot *s)
{
	size_t silent = 0, stuck = 0;

	for (size_t i = 0; i < s->n_peers; i++) {
		const struct uapi_get_peer *peer = &s->peers[i];

		silent += peer->last_handshake_ns == 0;
		if (peer->endpoint.ip.family != ADDR_NONE)
			take_path(d, &peer->endpoint);
		if (is_stuck(peer) && stuck++ < PEERS_SHOWN)
			tell_peer(d, peer);
	}
	if (stuck > PEERS_SHOWN)
		find(d, "peer", "%zu more peers were never heard", stuck - PEERS_SHOWN);
	json_put_number(&d->facts, "peers", s->n_peers);
	json_put_number(&d->facts, "never_connected", silent);
	if (!d->json)
		printf("%s: %zu peers, %zu of them never connected\n", d->name, s->n_peers,
		       silent);
}

static uint32_t mtu_of(const char *name)
{
	struct netlink_link link = { .mtu = 0 };
	struct netlink *nl = NULL;

	if (netlink_open(&nl) == 0)
		(void)netlink_link_find(nl, name, &link);
	netlink_close(nl);
	return link.mtu;
}

static int examine_interface(struct doctor *d, const char *name)
{
	struct iface_snapshot s = { 0 };
	struct iface *iface = NULL;
	struct diag why = { 0 };
	int err = running_open(name, &iface, &why);

	if (!err)
		err = iface_snapshot_take(iface, &s, &why);
	if (!err) {
		d->mtu = mtu_of(name);
		d->fwmark = s.fwmark;
		json_put_text(&d->facts, "interface", name);
		examine_profiles(d, &s.framing, s.profiles, s.n_profiles);
		examine_peers(d, &s);
		examine_mtu(d);
	} else {
		fprintf(stderr, "%s: %s\n", command, why.text);
	}
	iface_snapshot_done(&s);
	iface_free(iface);
	return !err ? EXIT_DONE : err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
}

/* --- The command --- */

static int finish(struct doctor *d, int code)
{
	if (code == EXIT_DONE && d->json && !d->facts.err && !d->findings.err)
		printf("{%s,\"findings\":[%s]}\n", d->facts.data + 1,
		       d->findings.len ? d->findings.data + 1 : "");
	else if (code == EXIT_DONE && !d->json && !d->n_findings)
		printf("%s: nothing found\n", d->name);
	text_done(&d->facts);
	text_done(&d->findings);
	return code == EXIT_DONE && d->n_findings ? EXIT_REFUSED : code;
}

/* --- The host --- */

static void take_finding(void *context, const char *about, const char *sentence)
{
	find(context, about, "%s", sentence);
}

static int examine_host(struct doctor *d, const struct doctor_host *h)
{
	d->name = "host";
	json_put_bool(&d->facts, "host", true);
	doctor_host_look(h, take_finding, d);
	return EXIT_DONE;
}

/* A word without a slash that a socket is named after is an interface. */
static bool is_interface(const char *word)
{
	return running_exists(word) || (!strchr(word, '/') && strcmp(word, "-") != 0 &&
					access(word, F_OK) < 0 && !strchr(word, '.'));
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "%s: %s%s\n%s", command, what, word, usage);
	return EXIT_USAGE;
}

/**
 * struct call - The words of a call
 * @wants_host:	--host, or an option that only it has
 */
struct call {
	struct doctor_host host;
	bool wants_host;
	bool json;
};

static int take_option(struct call *c, int option)
{
	uint64_t port = 0;

	switch (option) {
	case 'j':
		c->json = true;
		return EXIT_DONE;
	case 'H':
		break;
	case 'p':
		if (decimal_parse(optarg, strlen(optarg), UINT16_MAX, &port) < 0 || port == 0)
			return complain("--port is 1 to 65535, not ", optarg);
		c->host.port = (uint16_t)port;
		break;
	case 'a':
		c->host.api = optarg;
		break;
	case 's':
		c->host.state = optarg;
		break;
	default:
		return EXIT_USAGE;
	}
	c->wants_host = true;
	return EXIT_DONE;
}

static int examine(const struct call *c, const char *word)
{
	struct doctor d = { .fits = UINT32_MAX, .json = c->json, .name = word };

	text_puts(&d.facts, "{");
	text_puts(&d.findings, "[");
	if (c->wants_host)
		return finish(&d, examine_host(&d, &c->host));
	if (is_interface(word))
		return finish(&d, examine_interface(&d, word));
	return finish(&d, examine_file(&d, word));
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "host", no_argument, NULL, 'H' },
		{ "port", required_argument, NULL, 'p' },
		{ "api", required_argument, NULL, 'a' },
		{ "state", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	char state[STATE_DEFAULT_MAX];
	struct call c = { .host = { .state = state_default(geteuid(), state) } };
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		int code;

		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		code = take_option(&c, option);
		if (code != EXIT_DONE)
			return code;
	}
	if (optind == argc && !c.wants_host)
		return complain("say which INTERFACE or FILE", "");
	if (optind + 1 < argc)
		return complain("one word too many: ", argv[optind + 1]);
	c.host.interface = argv[optind]; /* NULL at the end */
	if (c.wants_host && c.host.interface && strpbrk(c.host.interface, "/."))
		return complain("no name of an interface: ", c.host.interface);
	return examine(&c, argv[optind]);
}
