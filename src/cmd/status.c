/* SPDX-License-Identifier: Apache-2.0 */
/* culvert status: which connections there are, and what those have left that are gone. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "base/json_write.h"
#include "client/steps.h"
#include "client/undo_journal.h"
#include "cmd/client_file.h"
#include "cmd/command.h"
#include "cmd/running.h"
#include "cmd/state_default.h"
#include "sys/clock.h"

enum { OUT_MAX = 1 << 20 };

#define SECOND_NS UINT64_C(1000000000)

static const char usage[] =
	"Usage: culvert status [--json] [--state DIR] [NAME]\n"
	"\n"
	"Shows the connections of 'culvert connect', or one of them. One whose process is gone, after a\n"
	"crash or a restart, is shown with what it has left; 'culvert disconnect' takes that back.\n"
	"One that nobody has answered yet is \"waiting\".\n"
	"Ends with 1 when the connection that was named, or when nothing was named any one, does not run.\n";

/** struct report - What is written, and whether what was asked for runs */
struct report {
	const char *state;
	struct text out;
	bool json;
	unsigned int seen;
	unsigned int running;
	unsigned int broken;
};

/** struct traffic - Of all peers; @last_ns: Unix time of the last handshake, 0: none */
struct traffic {
	uint64_t rx, tx, last_ns;
	char endpoint[ADDR_TEXT_MAX];
	bool is_known;
};

static void look(const char *interface, struct traffic *t)
{
	struct iface_snapshot now = { .n_peers = 0 };
	struct iface *iface = NULL;
	struct diag ignored;

	*t = (struct traffic){ .rx = 0 };
	if (running_open(interface, &iface, &ignored) == 0)
		t->is_known = iface_snapshot_take(iface, &now, &ignored) == 0;
	for (size_t i = 0; i < now.n_peers; i++) {
		const struct uapi_get_peer *p = &now.peers[i];

		t->rx += p->rx_bytes;
		t->tx += p->tx_bytes;
		if (p->last_handshake_ns > t->last_ns)
			t->last_ns = p->last_handshake_ns;
		if (!t->endpoint[0] && p->endpoint.ip.family != ADDR_NONE)
			endpoint_format(&p->endpoint, t->endpoint);
	}
	iface_snapshot_done(&now);
	iface_free(iface);
}

/* What the journal says, unless somebody has removed the firewall. In another network namespace nobody can look. */
static bool has_kill_switch(const struct undo_journal *j)
{
	return j->has_kill_switch && undo_journal_is_of_this_boot(j) &&
	       (undo_journal_is_elsewhere(j) || client_firewall_stands(j->interface));
}

static const char *kill_switch_text(const struct undo_journal *j)
{
	if (has_kill_switch(j))
		return "on";
	return j->has_kill_switch ? "off: the firewall is not there" : "off";
}

/* Until the first answer it is no connection. Through a proxy there is nothing to be asked. */
static const char *state_text(bool runs, const struct traffic *t)
{
	if (!runs)
		return "left";
	return t->is_known && t->last_ns == 0 ? "waiting" : "connected";
}

static void put_steps_json(struct text *out, const struct undo_journal *j)
{
	json_put_name(out, "changes");
	text_puts(out, "[");
	for (size_t i = 0; i < j->n_steps; i++) {
		struct text step = { .max = 256 };

		undo_step_put(&step, &j->steps[i]);
		json_put_next(out);
		json_put_string(out, step.data ? step.data : "", step.len);
		text_done(&step);
	}
	text_puts(out, "]");
}

static void put_json(struct report *r, const struct undo_journal *j, bool runs,
		     const struct traffic *t)
{
	struct text *out = &r->out;

	json_put_next(out);
	text_puts(out, "{");
	json_put_text(out, "name", j->name);
	json_put_text(out, "interface", j->interface);
	json_put_text(out, "state", state_text(runs, t));
	json_put_bool(out, "kill_switch", has_kill_switch(j));
	if (t->is_known) {
		json_put_text(out, "endpoint", t->endpoint);
		json_put_number(out, "received_bytes", t->rx);
		json_put_number(out, "sent_bytes", t->tx);
		json_put_number(out, "last_handshake", t->last_ns / SECOND_NS);
	}
	put_steps_json(out, j);
	text_puts(out, "}");
}

static void put_people(struct report *r, const struct undo_journal *j, bool runs,
		       const struct traffic *t)
{
	struct text *out = &r->out;

	text_printf(out, "%s: %s\n", j->interface,
		    runs ? state_text(runs, t) : "not connected; its process is gone");
	text_printf(out, "  name: %s\n  kill switch: %s\n", j->name, kill_switch_text(j));
	if (t->is_known)
		text_printf(out,
			    "  endpoint: %s\n  received: %" PRIu64 "\n  sent: %" PRIu64 "\n",
			    t->endpoint[0] ? t->endpoint : "none", t->rx, t->tx);
	if (t->last_ns && clock_wall_ns() >= t->last_ns)
		text_printf(out, "  last handshake: %" PRIu64 " seconds ago\n",
			    (clock_wall_ns() - t->last_ns) / SECOND_NS);
	else if (t->is_known)
		text_puts(out, "  last handshake: none yet\n");
	for (size_t i = 0; !runs && i < j->n_steps; i++) {
		text_puts(out, "  left: ");
		undo_step_put(out, &j->steps[i]);
		text_puts(out, "\n");
	}
	if (!runs)
		text_printf(out, "  culvert disconnect %s takes that back\n", j->interface);
}

static void show(void *context, const char *interface)
{
	struct report *r = context;
	struct undo_journal j;
	struct traffic t = { .rx = 0 };
	struct diag d = { 0 };
	bool runs;
	int err = undo_journal_peek(&j, r->state, interface, &d);

	if (err < 0) {
		if (err == -ENOENT)
			fprintf(stderr, "culvert status: there is no connection %s\n",
				interface);
		else
			fprintf(stderr, "culvert status: %s\n", d.text);
		r->broken++;
		return;
	}
	runs = undo_journal_is_kept(&j);
	if (runs)
		look(interface, &t);
	r->seen++;
	r->running += runs;
	if (r->json)
		put_json(r, &j, runs, &t);
	else
		put_people(r, &j, runs, &t);
	undo_journal_close(&j);
}

static int run(struct report *r, const char *word)
{
	char interface[LINK_NAME_MAX];
	int err = 0;

	text_puts(&r->out, r->json ? "[" : "WireGuard Status:\n");
	if (word) {
		client_file_interface(r->state, word, interface);
		show(r, interface);
	} else {
		err = undo_journal_interfaces(r->state, show, r);
	}
	if (err < 0) {
		fprintf(stderr, "culvert status: %s/client: %s\n", r->state, err_text(err));
		return err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
	}
	if (r->json)
		text_puts(&r->out, "]\n");
	else if (!r->seen && !r->broken)
		text_puts(&r->out, "not connected\n");
	if (r->out.err)
		return EXIT_FAILED;
	fputs(r->out.data, stdout);
	return r->running && r->running == r->seen && !r->broken ? EXIT_DONE : EXIT_FAILED;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "state", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct report r = { .out = { .max = OUT_MAX } };
	char root_state[STATE_DEFAULT_MAX];
	int option, code;

	r.state = state_default(0, root_state);
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		if (option == 's')
			r.state = optarg;
		r.json |= option == 'j';
	}
	if (optind + 1 < argc) {
		fprintf(stderr, "culvert status: one word too many: %s\n", argv[optind + 1]);
		return EXIT_USAGE;
	}
	if (geteuid() != 0) {
		fputs("culvert status: only root can look into the journal\n", stderr);
		return EXIT_PRIVILEGE;
	}
	code = run(&r, argv[optind]);
	text_done(&r.out);
	return code;
}
