/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's end that chooses its way itself: UDP where that works, else the first carrier that
 * does. It looks at the tunnel twice a second, and changes nothing of it but its peer's endpoint.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/codec.h"
#include "carrier/fallback.h"
#include "cmd/carrier.h"
#include "cmd/carrier_way.h"
#include "cmd/command.h"
#include "cmd/running.h"
#include "net/resolve.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

enum { LOOK_EVERY_MS = 500, ROUTES_MAX = 65536 };

/* Everything there is. @ways[0] is UDP and has no relay. */
struct pilot {
	const struct options *o;
	const char *interface;
	struct carrier_process process;
	struct carrier_client_config config;
	struct iface *iface;
	uint8_t peer[32];
	struct endpoint udp;
	struct carrier_way ways[FALLBACK_WAYS_MAX];
	unsigned int n_ways;
	unsigned int way;
	bool is_placed; /* the peer's endpoint was set since the last change */
	struct fallback fallback;
	uint64_t network;
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	uint64_t handshake_ns; /* of the last one, by the tunnel's clock */
};

/* --- The network we are on --- */

/* A default route of the table that /proc shows: interface, destination, gateway. The tunnel's own
 * says nothing about where we are. */
static void add_default(const struct pilot *p, EVP_MD_CTX *hash, const char *line)
{
	char name[32] = "", to[32] = "", gateway[32] = "";

	if (sscanf(line, "%31s %31s %31s", name, to, gateway) != 3 ||
	    strcmp(to, "00000000") != 0 || strcmp(name, p->interface) == 0)
		return;
	EVP_DigestUpdate(hash, name, strlen(name) + 1);
	EVP_DigestUpdate(hash, gateway, strlen(gateway) + 1);
}

static void add_defaults(const struct pilot *p, EVP_MD_CTX *hash)
{
	char *text = malloc(ROUTES_MAX + 1), *rest = NULL;
	int fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC);
	ssize_t n = text && fd >= 0 ? read(fd, text, ROUTES_MAX) : 0;

	if (n > 0) {
		text[n] = '\0';
		for (char *line = strtok_r(text, "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest))
			add_default(p, hash, line);
	}
	free(text);
	if (fd >= 0)
		close(fd);
}

/* A number for the network: where the default routes lead. Without any, one of its own. */
static uint64_t find_network(const struct pilot *p)
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	uint8_t digest[32] = { 0 };
	uint64_t number = 0;

	if (hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1) {
		add_defaults(p, hash);
		EVP_DigestFinal_ex(hash, digest, NULL);
	}
	EVP_MD_CTX_free(hash);
	memcpy(&number, digest, sizeof(number));
	return number;
}

/* --- The tunnel --- */

static int open_interface(struct pilot *p, struct diag *d)
{
	p->iface = iface_free(p->iface);
	return running_open(p->interface, &p->iface, d);
}

/* struct sight - What one look is after */
struct sight {
	const struct pilot *pilot;
	struct uapi_get_peer peer;
	unsigned int found;
};

static void take_peer(void *context, const struct uapi_get_peer *peer)
{
	struct sight *s = context;

	if (memcmp(peer->public_key, s->pilot->peer, sizeof(s->pilot->peer)) != 0)
		return;
	s->peer = *peer;
	s->found++;
}

/* Where the tunnel tells its port, no other program of this host is taken for it. */
static void hear_only(struct pilot *p)
{
	struct iface_state state = { .listen_port = 0 };
	struct diag d;

	if (iface_state(p->iface, &state, &d) != 0)
		return;
	for (unsigned int i = 1; i < p->n_ways; i++)
		if (p->ways[i].client)
			carrier_client_hear_only(p->ways[i].client, state.listen_port);
}

static int look(struct pilot *p, struct sight *s, struct diag *d)
{
	int err;

	*s = (struct sight){ .pilot = p };
	err = p->iface && iface_is_open(p->iface) ? 0 : open_interface(p, d);
	if (err == 0)
		hear_only(p);
	if (err == 0)
		err = iface_get(p->iface, take_peer, s, d);
	if (err == 0 && s->found == 0)
		err = diag_set(d, ERR_UNKNOWN, 0, "%s has no such peer", p->interface);
	return err;
}

static struct endpoint place_of(const struct pilot *p, unsigned int way)
{
	struct endpoint e = p->udp;

	if (way == FALLBACK_UDP)
		return e;
	e = p->config.listen;
	e.port = p->ways[way].port;
	return e;
}

static int set_endpoint(struct pilot *p, unsigned int way, struct diag *d)
{
	struct uapi_set_peer peer = { .update_only = true, .has_endpoint = true };
	struct uapi_set set = { .peers = &peer, .n_peers = 1 };

	memcpy(peer.public_key, p->peer, sizeof(peer.public_key));
	peer.endpoint = place_of(p, way);
	return iface_set(p->iface, &set, d);
}

/* Does the tunnel send where @p wants it to? Over UDP its peer may have moved. */
static bool is_in_place(const struct pilot *p, const struct uapi_get_peer *peer)
{
	struct endpoint want = place_of(p, p->way);

	if (p->way == FALLBACK_UDP)
		return !ip_addr_is_loopback(&peer->endpoint.ip) ||
		       ip_addr_is_loopback(&p->udp.ip);
	return endpoint_same_remote(&peer->endpoint, &want);
}

/* --- Ways --- */

/* While UDP is tried the carrier stays, but brings nothing in: what comes over it would lead
 * the tunnel back before UDP had a chance. */
static void arrange(struct pilot *p)
{
	bool is_probing = p->fallback.state == FALLBACK_PROBING;

	for (unsigned int i = 1; i < p->n_ways; i++) {
		bool is_home = is_probing && i == p->fallback.home;

		if (i == p->way || is_home)
			carrier_way_start(&p->ways[i]);
		else
			carrier_way_stop(&p->ways[i]);
		carrier_way_hold(&p->ways[i], is_home);
	}
}

static const char *name_of(const struct pilot *p, unsigned int way)
{
	return way == FALLBACK_UDP ? "UDP" : p->ways[way].url.authority;
}

static void go(struct pilot *p, unsigned int way)
{
	if (way != p->way)
		log_info("%s goes over %s now%s", p->interface, name_of(p, way),
			 p->fallback.state == FALLBACK_PROBING ? ", to see whether that works"
							       : "");
	p->way = way;
	p->is_placed = false;
	arrange(p);
}

/* What the tunnel says, told to @p->fallback. */
static void judge(struct pilot *p, const struct uapi_get_peer *peer, uint64_t now_ns)
{
	bool heard = peer->rx_bytes > p->rx_bytes && is_in_place(p, peer);

	/* By our own clock, as the other may be set meanwhile. */
	if (peer->last_handshake_ns != p->handshake_ns || p->fallback.session_ns == 0)
		fallback_shaken(&p->fallback, now_ns);
	p->handshake_ns = peer->last_handshake_ns;
	if (p->is_placed && peer->tx_bytes > p->tx_bytes)
		fallback_sent(&p->fallback, now_ns);
	if (p->is_placed && heard)
		fallback_heard(&p->fallback, now_ns);
	p->rx_bytes = peer->rx_bytes;
	p->tx_bytes = peer->tx_bytes;
	/* A good way that is interrupted comes back by itself, or falls silent. */
	if (p->fallback.state != FALLBACK_SETTLED && p->way != FALLBACK_UDP &&
	    carrier_way_has_failed(&p->ways[p->way]))
		fallback_refused(&p->fallback, now_ns);
}

static void heed_network(struct pilot *p, uint64_t now_ns)
{
	uint64_t network = find_network(p);

	if (network == p->network)
		return;
	log_info("another network");
	p->network = network;
	fallback_moved(&p->fallback, network, now_ns);
}

static void turn(struct pilot *p)
{
	uint64_t now = clock_boot_ns();
	struct diag d = { .text = "" };
	struct sight s;
	unsigned int way;
	int err = look(p, &s, &d);

	if (err != 0) {
		log_debug("%s", d.text);
		p->iface = iface_free(p->iface);
		return;
	}
	judge(p, &s.peer, now);
	heed_network(p, now);
	way = fallback_step(&p->fallback, now);
	if (way != p->way)
		go(p, way);
	else
		arrange(p); /* a probe may have become more than that */
	if (!p->is_placed || !is_in_place(p, &s.peer))
		p->is_placed = set_endpoint(p, p->way, &d) == 0;
}

/* --- Beginning and ending --- */

static int read_urls(struct pilot *p, struct diag *d)
{
	const char *list = options_get(p->o, "to");

	p->n_ways = 1;
	while (*list) {
		size_t len = strcspn(list, ",");
		char one[CONNECT_UDP_TEMPLATE_MAX + CARRIER_AUTHORITY_MAX];

		if (p->n_ways == FALLBACK_WAYS_MAX || len >= sizeof(one))
			return diag_set(d, ERR_LIMIT, 0, "more than %d carriers in --to",
					FALLBACK_WAYS_MAX - 1);
		memcpy(one, list, len);
		one[len] = '\0';
		if (carrier_url_read(one, &p->ways[p->n_ways].url, d) != 0)
			return ERR_FORMAT;
		p->n_ways++;
		list += len + (list[len] == ',');
	}
	return 0;
}

static int open_ways(struct pilot *p, struct diag *d)
{
	int err = 0;

	for (unsigned int i = 1; i < p->n_ways && err == 0; i++) {
		p->config.url = p->ways[i].url;
		err = carrier_way_open(&p->ways[i], &p->config, d);
	}
	return err;
}

static int read_peer(struct pilot *p, struct diag *d)
{
	const char *key = options_get(p->o, "peer");

	if (!key || key_from_base64(key, strlen(key), p->peer) != 0)
		return diag_set(d, ERR_FORMAT, 0, "--peer is the public key of the gateway");
	return 0;
}

/* Where UDP leads: as said, or as the tunnel has it now. */
static int find_udp(struct pilot *p, struct diag *d)
{
	const char *text = options_get(p->o, "udp");
	struct connect_udp_target t;
	struct sight s;
	int err = look(p, &s, d);

	if (err != 0)
		return err;
	p->rx_bytes = s.peer.rx_bytes;
	p->tx_bytes = s.peer.tx_bytes;
	p->udp = s.peer.endpoint;
	if (text)
		err = carrier_host_port(text, &t, d);
	if (err == 0 && text && resolve_endpoint(t.host, t.port, &p->udp) != 0)
		err = diag_set(d, ERR_UNKNOWN, 0, "%s: no such host now", t.host);
	if (err == 0 && p->udp.ip.family == ADDR_NONE)
		err = diag_set(d, ERR_UNKNOWN, 0,
			       "the peer has no endpoint: say --udp HOST:PORT");
	p->udp.local = (struct ip_addr){ .family = ADDR_NONE };
	p->udp.local_if = 0;
	return err;
}

static int begin(struct pilot *p, struct diag *d)
{
	int err = carrier_client_options(p->o, &p->config, d);

	p->config.listen = (struct endpoint){ .ip = { ADDR_V4, { 127, 0, 0, 1 } } };
	if (err == 0)
		err = read_urls(p, d);
	if (err == 0)
		err = read_peer(p, d);
	if (err == 0)
		err = carrier_process_open(&p->process, d);
	if (err == 0)
		err = find_udp(p, d);
	if (err == 0)
		err = open_ways(p, d);
	if (err == 0)
		err = carrier_process_keep_user(d, p->config.mark || p->config.device[0]);
	return err;
}

static void serve(struct pilot *p)
{
	int signal = 0;

	p->network = find_network(p);
	fallback_begin(&p->fallback, p->n_ways, p->network, clock_boot_ns());
	carrier_process_ready(options_get(p->o, "json") ? "{\"ready\":true}" : "carrier ready");
	while (signal != SIGTERM && signal != SIGINT) {
		turn(p);
		signal = carrier_process_wait(&p->process, -1, LOOK_EVERY_MS);
		if (signal == SIGUSR1)
			log_info("%s goes over %s", p->interface, name_of(p, p->way));
	}
}

/* The tunnel outlives us, and must not be left with a port that nobody serves. */
static void leave(struct pilot *p)
{
	struct diag d;

	if (p->way != FALLBACK_UDP && p->iface)
		(void)set_endpoint(p, FALLBACK_UDP, &d);
	for (unsigned int i = 1; i < p->n_ways; i++)
		carrier_way_close(&p->ways[i]);
	iface_free(p->iface);
}

int carrier_auto(const struct options *o)
{
	struct pilot p = { .o = o,
			   .interface = options_get(o, "auto"),
			   .process = { .signal_fd = -1, .watch_fd = -1 } };
	struct diag d = { .text = "" };
	int err = begin(&p, &d);

	if (err == 0)
		serve(&p);
	else
		carrier_complain(0, d.text[0] ? d.text : err_text(err));
	leave(&p);
	carrier_client_config_done(&p.config);
	carrier_process_close(&p.process);
	return carrier_exit_code(err);
}
