/* SPDX-License-Identifier: Apache-2.0 */
/* culvert conf apply: a running interface set to what a file says, in one request. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/err.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/running.h"
#include "iface/from_conf.h"
#include "net/resolve.h"

enum {
	RETRIES = 15, /* as many as `wg` */
	PAUSE_MAX_S = 90,
};

static const char command[] = "culvert conf apply";

static const char usage[] =
	"Usage: culvert conf apply [--sync] INTERFACE [FILE]\n"
	"\n"
	"  --sync  leave peers alone that are as the file says; without it all are replaced\n"
	"\n"
	"Sets a running userspace interface to what FILE says, AmneziaWG's keys and\n"
	"CulvertProfile included: all of it or nothing. What the file does not name goes to its\n"
	"default; the port stays where there is no ListenPort. Addresses, routes and hooks are\n"
	"not touched. FILE is also a link of AmneziaVPN; without it, or with -, standard input.\n"
	"Names in Endpoint are looked up, as often as WG_ENDPOINT_RESOLUTION_RETRIES says.\n";

struct job {
	const char *interface;
	bool sync;
	struct conf_file file;
	struct endpoint *endpoints; /* of the file's peers */
	struct iface *iface;
	struct iface_snapshot now;
	struct uapi_set set;
};

/* --- Names --- */

/* `wg` has this setting, and units that start tunnels at boot use it. UINT64_MAX: for good. */
static uint64_t retries(void)
{
	const char *text = getenv("WG_ENDPOINT_RESOLUTION_RETRIES");
	uint64_t n = RETRIES;

	if (text && strcmp(text, "infinity") == 0)
		return UINT64_MAX;
	if (text)
		(void)decimal_parse(text, strlen(text), UINT64_MAX - 1, &n);
	return n;
}

static int look_up(const char *host, uint16_t port, struct endpoint *ret)
{
	uint64_t left = retries();
	unsigned int pause_s = 1;
	int err = resolve_endpoint(host, port, ret);

	while (err == -EAGAIN && left > 0) {
		fprintf(stderr, "%s: %s cannot be looked up now; trying again in %u s\n",
			command, host, pause_s);
		sleep(pause_s);
		pause_s = pause_s * 3 / 2 + 1;
		pause_s = pause_s > PAUSE_MAX_S ? PAUSE_MAX_S : pause_s;
		left -= left != UINT64_MAX;
		err = resolve_endpoint(host, port, ret);
	}
	return err;
}

static int resolve(struct job *job)
{
	const struct wgconf *c = &job->file.conf;

	job->endpoints = calloc(c->n_peers + 1, sizeof(*job->endpoints));
	if (!job->endpoints)
		return diag_set(&job->file.d, -ENOMEM, 0, "out of memory");
	for (size_t i = 0; i < c->n_peers; i++) {
		const struct wgconf_peer *peer = &c->peers[i];
		char host[256]; /* the parser takes names of 253 */
		int err;

		if (!peer->endpoint_host.len || peer->endpoint_host.len >= sizeof(host))
			continue;
		memcpy(host, peer->endpoint_host.at, peer->endpoint_host.len);
		host[peer->endpoint_host.len] = '\0';
		err = look_up(host, peer->endpoint_port, &job->endpoints[i]);
		if (err)
			return diag_set(&job->file.d, err, peer->line, "Endpoint: %s: %s", host,
					err == ERR_UNKNOWN ? "no such host" : err_text(err));
	}
	return 0;
}

/* --- The interface --- */

static int refuse(int err, const struct diag *d)
{
	fprintf(stderr, "%s: %s\n", command, d->text);
	return err == -EINVAL ? EXIT_REFUSED : err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED;
}

static int apply(struct job *job)
{
	struct from_conf from = { .conf = &job->file.conf,
				  .endpoints = job->endpoints,
				  .now = &job->now,
				  .keep_peers = job->sync };
	struct diag d = { 0 };
	int err = running_open(job->interface, &job->iface, &d);

	if (!err)
		err = iface_snapshot_take(job->iface, &job->now, &d);
	if (!err) {
		err = from_conf_make(&from, &job->set);
		if (err)
			diag_set(&d, err, 0, "out of memory");
	}
	if (!err)
		err = iface_set(job->iface, &job->set, &d);
	return err ? refuse(err, &d) : EXIT_DONE;
}

static int run(struct job *job, const char *path)
{
	int code = conf_file_open(&job->file, path);

	if (code == EXIT_DONE && resolve(job))
		code = EXIT_FAILED;
	if (code != EXIT_DONE) {
		conf_file_complain(&job->file, command);
		return code;
	}
	return apply(job);
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "%s: %s%s\n%s", command, what, word, usage);
	return EXIT_USAGE;
}

int cmd_conf_apply(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "sync", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	struct job job = { .sync = false };
	int option, code;

	while ((option = getopt_long(argc, argv, "hs", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		job.sync = true;
	}
	if (optind == argc)
		return complain("say which INTERFACE", "");
	if (optind + 2 < argc)
		return complain("one word too many: ", argv[optind + 2]);
	job.interface = argv[optind];
	code = run(&job, argv[optind + 1]);
	uapi_set_done(&job.set);
	iface_snapshot_done(&job.now);
	iface_free(job.iface);
	free(job.endpoints);
	conf_file_done(&job.file);
	return code;
}
