/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway-serve: the unprivileged side of a gateway. It parses what strangers send,
 * owns the database and the local socket, and drives the interface through a UAPI socket
 * that the host process hands over. Started by `culvert gateway`; see host/messages.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/access_lists.h"
#include "api/actions.h"
#include "api/audit.h"
#include "api/call.h"
#include "api/dispatch.h"
#include "api/dns_stats.h"
#include "api/links.h"
#include "api/objects.h"
#include "api/own_address.h"
#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/gateway_doors.h"
#include "cmd/gateway_lives.h"
#include "cmd/gateway_status.h"
#include "cmd/gateway_store.h"
#include "cmd/gateway_told.h"
#include "cmd/gateway_users.h"
#include "cmd/local_api.h"
#include "cmd/options.h"
#include "cmd/places.h"
#include "cmd/role.h"
#include "cmd/serving.h"
#include "gateway/adopt.h"
#include "gateway/courier.h"
#include "gateway/uplink.h"
#include "store/master_key.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/memory.h"
#include "sys/privileges.h"
#include "sys/random.h"

enum {
	REPLAY_ENTRIES_MAX = 1 << 20,
	POLLED_OWN = 7,
	KEEP_MS = 1500,	   /* at the end: for counting once more */
	DRAIN_MS = 3000,   /* at the end: for requests under way */
	SEE_OFF_MS = 1000, /* before another process takes over: for callers that are here */
};

static const uint64_t SECOND_NS = 1000000000, MS_NS = 1000000;

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "state directory", NULL },
	{ "interface", "NAME", "wg0", NULL, "the tunnel's interface", NULL },
	{ "listen", "URL", "http://127.0.0.1:8000", NULL, "where the REST API listens", NULL },
	{ "uapi-fd", "N", NULL, NULL, "connected UAPI socket", NULL },
	{ "host-fd", "N", NULL, NULL, "conversation with the host process", NULL },
	{ "shelf-in-fd", "N", NULL, NULL, "where sockets are left for the next", NULL },
	{ "shelf-out-fd", "N", NULL, NULL, "and found", NULL },
	{ "public-key", "BASE64", NULL, NULL, "the interface's public key", NULL },
	{ "subnet4", "PREFIX", "10.0.1.0/24", NULL, "IPv4 addresses of the peers", NULL },
	{ "subnet6", "PREFIX", "fd42:4242:1::/64", NULL, "IPv6 addresses of the peers", NULL },
	{ "port", "N", "51820", NULL, "UDP port of the tunnel", NULL },
	{ "endpoint", "HOST", NULL, NULL, "name or address peers connect to", NULL },
	{ "obfuscation", "LEVEL", "off", NULL, "of new peers", NULL },
	{ "isolation", "WORD", "off", NULL, "on: peers do not reach each other", NULL },
	{ "kind", "KIND", "userspace", NULL,
	  "what serves the interface: userspace, usernet or kernel", NULL },
	{ "kind-why", "TEXT", NULL, NULL, "with usernet: why", NULL },
	{ "log-level", "LEVEL", "info", NULL, "silent, error, warning, info or debug", NULL },
	{ "log-json", NULL, NULL, NULL, "log lines as JSON", NULL },
	{ "proxy-keys", NULL, NULL, NULL, "write the users' keys for a proxy", NULL },
	{ "actions", "BITS", "0", NULL, "what the host may be asked for", NULL },
	{ "rest", "SECONDS", "120", NULL, "how long a freed address is not given again", NULL },
	SERVING_ROWS,
};

/* --- Opening everything --- */

static int fail(const struct diag *d, int err)
{
	log_error("%s", d->text[0] ? d->text : err_text(err));
	return EXIT_FAILED;
}

/* Whose it was is not stored: either cache may be asked for it. */
static int load_signature(void *context, const struct store_signature *one)
{
	struct serve *s = context;
	struct replay_cache *const caches[] = { s->cache, s->api.agent_cache };

	for (int i = 0; i < 2 && caches[i]; i++) {
		int err = replay_cache_add(caches[i], clock_wall_ns() / SECOND_NS, one->digest,
					   one->signed_s);

		if (err != 0 && err != ERR_EXPIRED && err != ERR_REPLAY)
			return err;
	}
	return 0;
}

static int open_store(struct serve *s, struct diag *d)
{
	uint64_t floor_s = 0;
	struct store_config config = { .interface = s->config.interface,
				       .now_ns = clock_wall_ns() };
	struct secret_key master;
	int err = master_key_read(s->state, &master, d);

	memcpy(config.public_key, s->config.public_key, 32);
	config.master = &master;
	if (err == 0)
		err = gateway_store_open(&s->store_option, s->state, s->database, &config,
					 &s->store, d);
	secret_key_done(&master);
	if (err == 0)
		err = replay_cache_new(s->api.window_s, REPLAY_ENTRIES_MAX, &s->cache);
	if (err == 0 && s->api.agent_key.len > 0)
		err = replay_cache_new(s->api.agent_window_s, REPLAY_ENTRIES_MAX,
				       &s->api.agent_cache);
	if (err == 0)
		err = store_load_signatures(s->store, load_signature, s, &floor_s);
	if (err == 0)
		replay_cache_raise_floor(s->cache, floor_s);
	if (err == 0 && s->api.agent_cache)
		replay_cache_raise_floor(s->api.agent_cache, floor_s);
	return err;
}

/* Before the interface is set for the first time: it gets what is stored. */
static void prepare_profiles(struct serve *s)
{
	uint8_t seed[GENERATOR_SEED_LEN];
	struct diag d = { .text = "" };

	random_fill(seed, sizeof(seed));
	generator_init(&s->generator, seed);
	secret_wipe(seed, sizeof(seed));
	s->config.generator = &s->generator;
	if (profiles_prepare(s->store, &s->generator, clock_wall_ns(), &d) != 0)
		log_error("levels of obfuscation may be missing until the next start: %s",
			  d.text);
}

static void device_restarted(void *context)
{
	struct serve *s = context;

	log_info("the device was restarted: setting its profiles and peers again");
	reconcile_mark_stale(&s->reconcile);
	gateway_wake(s->api.gateway);
}

static void told_to_stop(void *context)
{
	((struct serve *)context)->is_over = true;
}

static void acted(void *context, uint64_t serial, int err)
{
	struct serve *s = context;

	actions_acted(&s->api, serial, err);
}

static void told_to_hand_on(void *context)
{
	struct serve *s = context;

	s->hands_on = true;
	s->is_over = true;
}

/* Its key or port: the host has those, and sets them. */
static void identity_changed(void *context)
{
	uplink_drifted(((struct serve *)context)->uplink);
}

static void prepare_drift(struct serve *s)
{
	struct drift *d = &s->reconcile.drift;

	d->port = s->config.port;
	memcpy(d->public_key, s->config.public_key, sizeof(d->public_key));
	d->identity_changed = identity_changed;
	d->context = s;
}

static int open_interface(struct serve *s, int uapi_fd, int host_fd, struct diag *d)
{
	const struct uplink_events events = { .device_restarted = device_restarted,
					      .stop = told_to_stop,
					      .acted = acted,
					      .hand_on = told_to_hand_on,
					      .context = s };
	int err = uplink_new(host_fd, &events, &s->uplink);

	if (err == 0)
		err = iface_userspace_new(uapi_fd, uplink_connect, s->uplink, &s->iface);
	if (err == 0)
		err = access_sync_new(s->store, uplink_access, s->uplink, &access_list_readers,
				      &s->reconcile.access);
	if (err != 0)
		return err;
	prepare_drift(s);
	s->reconcile.store = s->store;
	s->reconcile.iface = s->iface;
	s->reconcile.endpoints = endpoints_new();
	if (!s->reconcile.endpoints)
		return -ENOMEM;
	/* Served anyway: what is asked and stored does not need the interface, and the
	 * writer's thread keeps trying. */
	if (reconcile_now(&s->reconcile, d) != 0)
		log_error("the interface is not in sync yet: %s", d->text);
	d->text[0] = '\0';
	uplink_attend(s->uplink, true);
	return 0;
}

static void group_committed(void *context, struct store_change *first)
{
	struct serve *s = context;

	reconcile_group(&s->reconcile, first);
}

static uint64_t writer_idle(void *context)
{
	struct serve *s = context;

	return reconcile_idle(&s->reconcile);
}

/* After an I/O error nobody knows what the disk holds, but it can be read again now. The host
 * starts us anew; no packet notices. */
static void store_outdated(void *context)
{
	struct serve *s = context;

	log_warning(
		"the disk of the database works again: starting anew to read what it holds");
	atomic_store(&s->is_outdated, true);
}

/* Before the writer's thread, which finds what is to be taken over. */
static int open_adoption(struct serve *s)
{
	struct drift *d = &s->reconcile.drift;
	int err = d->policy == DRIFT_ADOPT ? adopt_new(&s->adopt) : 0;

	if (s->adopt) {
		d->take = adopt_take;
		d->take_context = s->adopt;
	}
	return err;
}

static int open_gateway(struct serve *s, struct diag *d)
{
	const struct writer_callbacks callbacks = { .committed = group_committed,
						    .idle = writer_idle,
						    .outdated = store_outdated,
						    .context = s };
	struct iface *second = NULL;
	int err = open_adoption(s);

	if (err != 0)
		return err;
	err = gateway_new(&s->config, s->store, &callbacks, clock_wall_ns(), &s->api.gateway,
			  d);

	if (err == 0)
		err = iface_userspace_new(-1, uplink_connect, s->uplink, &second);
	if (err == 0) {
		err = observer_new(second, s->reconcile.endpoints, &s->api.observer);
		if (err != 0)
			iface_free(second);
	}
	if (s->adopt)
		adopt_serve(s->adopt, s->api.gateway);
	return err == 0 ? background_new(&s->api.background) : err;
}

static int open_server(struct serve *s, struct diag *d)
{
	int err;

	s->places.http.handle = dispatch_request;
	s->places.http.refuse = call_refusal_body;
	s->places.http.context = &s->api;
	err = http_server_new(&s->places.http, &s->server);
	if (err != 0)
		return diag_set(d, err, 0, "the HTTP server does not start");
	return 0;
}

static void open_machine(struct serve *s)
{
	machine_open(&s->machine, s->state);
	s->api.machine = &s->machine;
	tzset(); /* reads a file too */
}

/* What needs files and addresses that are out of reach later. */
static int open_outside(struct serve *s, const struct options *o, int uapi_fd, int host_fd,
			struct diag *d)
{
	int err = gateway_doors_signals(&s->signal_fd);

	gateway_doors_raise_limit();
	if (err == 0)
		err = open_store(s, d);
	if (err == 0)
		prepare_profiles(s);
	if (err == 0)
		err = suite_new(SUITE_BEST, &s->api.suite);
	if (err == 0)
		err = pace_new(&s->api.failures);
	if (err == 0)
		err = pace_new(&s->api.link_failures);
	if (err == 0)
		err = pace_new(&s->api.allowance.sources);
	if (err == 0)
		err = pace_new(&s->api.allowance.keys);
	if (err == 0)
		err = events_new(&s->api.events);
	if (err == 0)
		err = dns_laps_new(&s->api.laps);
	if (err == 0)
		err = places_open(&s->places, o, d);
	if (err == 0)
		err = gateway_users_open(&s->users, o, &s->places.serving, s->state,
					 s->config.public_key, s->store, &s->api, d);
	if (err == 0 && options_get(o, "proxy-keys"))
		err = gateway_users_list_keys(&s->users, s->state, d);
	if (err == 0)
		err = gateway_status_open(o, &s->api.postgres, d);
	if (err == 0)
		err = open_interface(s, uapi_fd, host_fd, d);
	if (err != 0)
		return err;
	open_machine(s);
	if (own_address_any(s->config.interface, &s->api.fallback) != 0)
		s->api.fallback.family = ADDR_NONE;
	return 0;
}

static int close_the_doors(const struct serve *s, struct diag *d)
{
	const struct gateway_doors doors = {
		.state = s->state,
		.elsewhere = s->database == s->database_path ? NULL : s->database, /* DB_PATH */
		.postgres = s->store_option.is_postgres ? s->store : NULL,
		.watch = s->api.postgres,
		.users = &s->users,
	};

	return gateway_doors_close(&doors, d);
}

static int open_inside(struct serve *s, struct diag *d)
{
	int err = open_gateway(s, d);

	if (err == 0)
		err = gateway_lives_open(&s->api, &s->places.serving);
	if (err == 0)
		err = gateway_users_start(&s->users, &s->api, d);
	s->api.cache = s->cache;
	s->api.reconcile = &s->reconcile;
	s->api.uplink = s->uplink;
	s->api.own_uid = geteuid();
	if (err == 0 && s->api.postgres)
		err = postgres_watch_start(s->api.postgres);
	if (err == 0)
		err = open_server(s, d);
	/* Reading everything took memory that serving does not need. */
	store_relax(s->store);
	malloc_trim(0);
	return err;
}

/* --- Serving --- */

static void read_signal(struct serve *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info) &&
	    info.ssi_signo != SIGHUP)
		s->is_over = true;
}

static void read_uplink(struct serve *s)
{
	if (uplink_read(s->uplink))
		return;
	log_warning("the host process is gone");
	s->host_is_gone = true;
	s->is_over = true;
}

/* One turn: wait for whatever comes first, then look after everything. */
static void turn(struct serve *s, int timeout_ms)
{
	struct pollfd p[POLLED_OWN + HTTP_LISTENERS_MAX] = {
		{ .fd = gateway_fd(s->api.gateway), .events = POLLIN },
		{ .fd = observer_fd(s->api.observer), .events = POLLIN },
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = s->host_is_gone ? -1 : uplink_fd(s->uplink), .events = POLLIN },
		{ .fd = background_fd(s->api.background), .events = POLLIN },
		{ .fd = webhooks_fd(s->api.webhooks), .events = POLLIN },
		{ .fd = users_fd(s->api.users), .events = POLLIN },
	};
	nfds_t n = POLLED_OWN;
	int fds[HTTP_LISTENERS_MAX];
	unsigned int servers = http_server_fds(s->server, fds);

	for (unsigned int i = 0; i < servers; i++)
		p[n++] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	if (poll(p, n, timeout_ms) < 0)
		return; /* interrupted: the next turn looks again */
	if (p[0].revents)
		gateway_collect(s->api.gateway);
	if (p[1].revents)
		observer_collect(s->api.observer, clock_boot_ns());
	if (p[2].revents)
		read_signal(s);
	if (p[3].revents)
		read_uplink(s);
	if (p[4].revents)
		background_collect(s->api.background);
	if (p[5].revents)
		webhooks_collect(s->api.webhooks);
	if (p[6].revents)
		users_collect(s->api.users);
	events_tick(s->api.events, clock_boot_ns());
	links_tick(&s->api, clock_boot_ns(), clock_wall_ns());
}

/* What peers have used up to now, before nobody counts any more. */
static void keep_usage(struct serve *s)
{
	uint64_t end_ns = clock_boot_ns() + KEEP_MS * MS_NS;

	while (!lives_finish(s->api.lives, clock_boot_ns(), clock_wall_ns()) &&
	       clock_boot_ns() < end_ns)
		turn(s, http_server_run(s->server, clock_boot_ns()) > 20 ? 20 : 0);
}

/* Callers that are connected ask what they were about to, and are told to connect anew. */
static void see_off(struct serve *s)
{
	uint64_t end_ns = clock_boot_ns() + SEE_OFF_MS * MS_NS;

	while (http_server_connections(s->server) > 0 && clock_boot_ns() < end_ns)
		turn(s, http_server_run(s->server, clock_boot_ns()) > 20 ? 20 : 0);
}

static void drain(struct serve *s)
{
	uint64_t end_ns = clock_boot_ns() + DRAIN_MS * MS_NS;

	http_server_quiesce(s->server);
	if (s->hands_on)
		see_off(s);
	keep_usage(s);
	users_stop(s->api.users);
	uplink_attend(s->uplink, false); /* the writer's thread may be asking something */
	gateway_stop(s->api.gateway);
	actions_give_up(&s->api);
	while (http_server_waiting(s->server) > 0 && clock_boot_ns() < end_ns)
		turn(s, http_server_run(s->server, clock_boot_ns()) > 20 ? 20 : 0);
	for (int i = 0; i < 10; i++) /* let the last answers leave */
		http_server_run(s->server, clock_boot_ns());
}

static int serve(struct serve *s)
{
	int timeout_ms = http_server_run(s->server, clock_boot_ns());

	while (!s->is_over && !atomic_load(&s->is_outdated)) {
		int lives_ms = lives_tick(s->api.lives, clock_boot_ns(), clock_wall_ns());
		int webhooks_ms = webhooks_tick(s->api.webhooks, clock_boot_ns());
		int users_ms = users_tick(s->api.users, clock_boot_ns());
		int keys_ms = key_list_tick(s->users.keys, s->api.users, clock_boot_ns());

		if (s->adopt)
			adopt_tick(s->adopt, clock_wall_ns());
		timeout_ms = lives_ms < timeout_ms ? lives_ms : timeout_ms;
		timeout_ms = users_ms < timeout_ms ? users_ms : timeout_ms;
		timeout_ms = keys_ms < timeout_ms ? keys_ms : timeout_ms;
		turn(s, webhooks_ms < timeout_ms ? webhooks_ms : timeout_ms);
		timeout_ms = http_server_run(s->server, clock_boot_ns());
	}
	drain(s);
	log_info("stopped");
	return s->is_over ? EXIT_DONE : EXIT_FAILED;
}

static void say_ready(const struct serve *s)
{
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];

	if (privileges_gaps()[0])
		log_warning("not enforced here: %s", privileges_gaps());
	printf("gateway ready: API %s and %s, interface %s, UDP port %u, peers from %s and %s%s%s\n",
	       s->places.shown, s->socket_path, s->config.interface, s->config.port,
	       ip_prefix_format(&s->config.subnet4, v4),
	       ip_prefix_format(&s->config.subnet6, v6), s->api.kind_why ? "; usernet: " : "",
	       s->api.kind_why ? s->api.kind_why : "");
	if (isatty(STDOUT_FILENO))
		places_say_first_steps(&s->places);
	fflush(stdout);
	uplink_ready(s->uplink);
}

/* An exchange that still waits cannot be freed; the process ends anyway, and the store is
 * closed properly in either case. */
static void close_all(struct serve *s)
{
	if (s->server) {
		if (!s->hands_on)
			unlink(s->socket_path);
		if (http_server_waiting(s->server) == 0)
			http_server_free(s->server);
	}
	postgres_watch_free(s->api.postgres);
	background_free(s->api.background);
	webhooks_free(s->api.webhooks);
	lives_free(s->api.lives);
	observer_free(s->api.observer);
	gateway_free(s->api.gateway);
	adopt_free(s->adopt); /* behind the writer's thread, which hands it what it finds */
	endpoints_free(s->reconcile.endpoints);
	access_sync_free(s->reconcile.access);
	iface_free(s->iface);
	store_free(s->store);
	uplink_free(s->uplink);
	replay_cache_free(s->cache);
	replay_cache_free(s->api.agent_cache);
	hmac_key_done(&s->api.agent_key);
	events_free(s->api.events);
	dns_laps_free(s->api.laps);
	machine_close(&s->machine);
	secret_key_done(&s->api.ecdh_key);
	pace_free(s->api.failures);
	pace_free(s->api.link_failures);
	pace_free(s->api.allowance.sources);
	pace_free(s->api.allowance.keys);
	suite_free(s->api.suite);
	places_done(&s->places);
	hmac_key_done(&s->api.key);
	generator_done(&s->generator);
	/* A call to a tree that is far away may still run: by now everything else is closed. */
	users_free(s->api.users);
	key_list_free(s->users.keys);
}

static int run(const struct options *o)
{
	struct serve s = { .signal_fd = -1, .places.shelf = { -1, -1 } };
	struct diag d = { .text = "" };
	int uapi_fd = -1, host_fd = -1, err;
	int code = gateway_told_read(o, &s, &uapi_fd, &host_fd);

	machine_init(&s.machine);
	if (code != EXIT_DONE)
		return code;
	memory_give_back();
	err = open_outside(&s, o, uapi_fd, host_fd, &d);
	if (err == 0)
		err = close_the_doors(&s, &d);
	if (err == 0)
		err = open_inside(&s, &d);
	if (err == 0) {
		say_ready(&s);
		code = serve(&s);
	} else {
		code = fail(&d, err);
	}
	close_all(&s);
	return code;
}

int role_gateway_serve(int argc, char **argv)
{
	struct options o = { .command = "gateway-serve",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	struct diag d = { .text = "" };
	enum log_level level;
	char name[40];
	int code;

	/* Replies hold private keys: what JSON needed to make them is wiped when freed. */
	json_set_alloc_funcs(malloc, local_api_wipe_and_free);
	if (options_read_arguments(&o, argc, argv, &d) != 0) {
		options_done(&o);
		return gateway_told_complain(EXIT_USAGE, d.text);
	}
	if (o.wants_help) {
		puts("Usage: culvert gateway-serve …\n\nStarted by 'culvert gateway', not by hand.");
		options_print_help(&o, stdout);
		options_done(&o);
		return EXIT_DONE;
	}
	snprintf(name, sizeof(name), "gateway %.15s", options_get(&o, "interface"));
	if (!log_level_find(options_get(&o, "log-level"), &level)) {
		options_done(&o);
		return gateway_told_complain(
			EXIT_USAGE, "--log-level is silent, error, warning, info or debug");
	}
	log_init(name, level, options_get(&o, "log-json") != NULL);
	/* Best done by whoever starts us, and repeated here for whoever does not. */
	(void)privileges_no_dump();
	code = run(&o);
	options_done(&o);
	return code;
}
