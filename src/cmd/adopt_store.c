/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database of a gateway that does not run yet. Its peers are decided by the same code as those of one
 * that does, so what is adopted is what could have been made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>

#include "cmd/adopt.h"
#include "gateway/allowed.h"
#include "gateway/gateway.h"
#include "gateway/routes.h"
#include "store/master_key.h"
#include "sys/clock.h"
#include "sys/random.h"

enum { RUN_MAX = 1000 }; /* peers in one transaction */

static const uint64_t SECOND_NS = 1000000000;

/* struct adoption - Everything on the way */
struct adoption {
	const struct adopt_settings *settings;
	const struct import_rows *rows;
	struct adopt_step *steps;
	struct store *store;
	struct gateway *gateway;
	struct generator generator;
	size_t waiting;
};

/* --- No interface follows --- */

static void committed(void *context, struct store_change *first)
{
	(void)context;
	(void)first;
}

static uint64_t idle(void *context)
{
	(void)context;
	return SECOND_NS;
}

/* --- Profiles --- */

/* What the file says is what new clients of its level get; the other levels are drawn. */
static int store_profile(struct adoption *a, const struct wgconf *file, uint64_t now_ns)
{
	struct profiles *p = calloc(1, sizeof(*p));
	struct profile_rows rows = { .n = 0 };
	struct store_change c = { .kind = STORE_SET_PROFILES, .now_ns = now_ns };
	int err;

	if (!p)
		return -ENOMEM;
	p->n = 1;
	p->all[0] = (struct profile){ .level = a->settings->level, .created_ns = now_ns };
	snprintf(p->all[0].name, sizeof(p->all[0].name), "%s",
		 frame_level_name(a->settings->level));
	err = frame_parameters_copy(&p->all[0].parameters, &file->interface.framing);
	if (err == 0)
		err = profile_rows_make(p, &rows);
	c.profiles = rows.rows;
	c.n_profiles = rows.n;
	if (err == 0)
		err = store_apply(a->store, &c);
	profile_rows_done(&rows);
	profiles_done(p);
	free(p);
	return err == 0 ? c.result : err;
}

static int prepare_profiles(struct adoption *a, const struct wgconf *file, struct diag *d)
{
	uint8_t seed[GENERATOR_SEED_LEN];
	uint64_t now_ns = clock_wall_ns();
	int err = a->settings->level == FRAME_OFF ? 0 : store_profile(a, file, now_ns);

	random_fill(seed, sizeof(seed));
	generator_init(&a->generator, seed);
	secret_wipe(seed, sizeof(seed));
	return err == 0 ? profiles_prepare(a->store, &a->generator, now_ns, d) : err;
}

/* --- Opening --- */

static int open_store(struct adoption *a, const char *path, const char *state, struct diag *d)
{
	struct store_config config = { .interface = a->settings->interface,
				       .now_ns = clock_wall_ns() };
	struct secret_key master;
	int err = master_key_read(state, &master, d);

	memcpy(config.public_key, a->settings->public_key, 32);
	config.master = &master;
	if (err == 0)
		err = store_open_sqlite(path, &config, &a->store, d);
	secret_key_done(&master);
	return err == 0 && !a->store ? -EIO : err;
}

static int open_gateway(struct adoption *a, struct diag *d)
{
	const struct writer_callbacks callbacks = { .committed = committed, .idle = idle };
	struct gateway_config config = {
		.subnet4 = a->settings->subnet4,
		.subnet6 = a->settings->subnet6,
		.port = a->settings->port,
		.generator = &a->generator,
	};

	memcpy(config.interface, a->settings->interface, sizeof(config.interface));
	memcpy(config.public_key, a->settings->public_key, 32);
	return gateway_new(&config, a->store, &callbacks, clock_wall_ns(), &a->gateway, d);
}

/* --- Peers --- */

/* struct waiting - Which row a callback is for */
struct waiting {
	struct adoption *adoption;
	size_t place;
};

static void one_done(void *context, int err, int carried, const struct peer *peer)
{
	struct waiting *w = context;

	(void)carried;
	(void)peer;
	w->adoption->steps[w->place].err = err;
	w->adoption->waiting--;
	free(w);
}

static int refuse_all(void *context, const struct ip_prefix *p)
{
	(void)context;
	return p->bits == 0 ? ERR_RANGE : 0;
}

static void explain(const struct adoption *a, const struct allowed *allowed, int err,
		    char out[ADOPT_WHY_MAX])
{
	char v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];

	if (err == ERR_EXISTS && peers_find_address(gateway_peers(a->gateway), &allowed->v4))
		snprintf(out, ADOPT_WHY_MAX, "its IPv4 address is that of a peer above");
	else if (err == ERR_EXISTS &&
		 peers_find_address(gateway_peers(a->gateway), &allowed->v6))
		snprintf(out, ADOPT_WHY_MAX, "its IPv6 address is that of a peer above");
	else if (err == ERR_EXISTS)
		snprintf(
			out, ADOPT_WHY_MAX,
			"it has a network that is behind a peer above, or, like a second address,"
			" lies among the addresses of peers");
	else if (err == ERR_RANGE)
		snprintf(
			out, ADOPT_WHY_MAX,
			"its address is not a client's of %s or %s, or everything is behind it",
			ip_prefix_format(&a->settings->subnet4, v4),
			ip_prefix_format(&a->settings->subnet6, v6));
	else if (err == ERR_KEY)
		snprintf(out, ADOPT_WHY_MAX, "its key is the server's, or nobody's");
	else if (err == ERR_LIMIT)
		snprintf(out, ADOPT_WHY_MAX, "it has more AllowedIPs than a peer may have");
	else
		snprintf(out, ADOPT_WHY_MAX, "%s", err_text(err));
}

static int add(struct adoption *a, const struct import_row *row, const struct allowed *allowed,
	       struct waiting *w)
{
	struct gateway_add add = {
		.name = row->name,
		.dns = "d1",
		.obfuscation = "",
		.v4 = allowed->v4,
		.v6 = allowed->v6,
		.families = STORE_IPV4 | STORE_IPV6,
		.level = a->settings->level,
		.port = a->settings->port,
		.status = row->is_enabled ? STORE_PEER_ACTIVE : STORE_PEER_SUSPENDED,
		.preshared_key = row->preshared_key,
		.limits = { .keepalive_s = row->keepalive_s, .routes = allowed->routes },
	};
	const struct gateway_grant grant = { .now_ns = clock_wall_ns(),
					     .who = "adopt",
					     .detail = row->file };
	int err = routes_each(allowed->routes, refuse_all, NULL);

	memcpy(add.public_key, row->public_key, 32);
	if (err == 0)
		err = gateway_add_peer(a->gateway, &add, &grant, one_done, w);
	secret_key_done(&add.preshared_key);
	return err;
}

static int add_row(struct adoption *a, size_t place)
{
	const struct import_row *row = &a->rows->rows[place];
	const struct adopt_settings *s = a->settings;
	struct waiting *w = malloc(sizeof(*w));
	struct allowed allowed;
	int err;

	if (!w)
		return -ENOMEM;
	*w = (struct waiting){ a, place };
	err = allowed_sort_out(&s->subnet4, &s->subnet6,
			       row->n_prefixes ? &a->rows->prefixes[row->first_prefix] : NULL,
			       row->n_prefixes, &allowed);
	if (err == 0)
		err = add(a, row, &allowed, w);
	if (err == 0) {
		a->waiting++;
		return 0;
	}
	free(w);
	a->steps[place].err = err;
	explain(a, &allowed, err, a->steps[place].why);
	return err == -ENOMEM ? err : 0;
}

static int collect_all(struct adoption *a)
{
	while (a->waiting > 0) {
		struct pollfd p = { .fd = gateway_fd(a->gateway), .events = POLLIN };

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return -errno;
		gateway_collect(a->gateway);
	}
	return 0;
}

static int add_rows(struct adoption *a, struct diag *d)
{
	int err = 0;

	for (size_t at = 0; at < a->rows->n && err == 0;) {
		size_t end = a->rows->n - at > RUN_MAX ? at + RUN_MAX : a->rows->n;

		for (; at < end && err == 0; at++)
			err = add_row(a, at);
		if (collect_all(a) != 0 && err == 0)
			err = -EIO;
	}
	for (size_t i = 0; i < a->rows->n && err == 0; i++)
		if (a->steps[i].err != 0 && !a->steps[i].why[0])
			err = diag_set(d, a->steps[i].err, 0, "the database: %s",
				       err_text(a->steps[i].err));
	return err;
}

int adopt_store_make(const char *path, const char *state, const struct adopt_settings *s,
		     const struct wgconf *file, const struct import_rows *rows,
		     struct adopt_step *steps, size_t *ret_refused, struct diag *d)
{
	struct adoption a = { .settings = s, .rows = rows, .steps = steps };
	int err = open_store(&a, path, state, d);

	if (err == 0)
		err = prepare_profiles(&a, file, d);
	if (err == 0)
		err = open_gateway(&a, d);
	if (err == 0) {
		err = add_rows(&a, d);
		gateway_stop(a.gateway);
	}
	*ret_refused = 0;
	for (size_t i = 0; i < rows->n; i++)
		*ret_refused += steps[i].why[0] != '\0';
	gateway_free(a.gateway);
	if (a.store)
		store_free(a.store);
	secret_wipe(&a.generator, sizeof(a.generator));
	return err;
}
