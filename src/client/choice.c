/* SPDX-License-Identifier: Apache-2.0 */
#include "client/choice.h"

#include <errno.h>
#include <string.h>

#include <poll.h>

#include "client/firewall.h"
#include "net/nft.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
	ANSWER_POLL_MS = 10,
	CALL_PAUSE_MS =
		30, /* a server answers one call in 20 ms, and tells two apart after 17 */
};

#define LOCK_PATIENCE_NS (UINT64_C(5) * 1000000000)
#define SILENCE_NS	 (UINT64_C(8) * 1000000000) /* longer than one call and its repetition */

/* struct look - At the peer that is called */
struct look {
	uint64_t rx, tx, last_handshake_ns;
};

static bool look(struct client_session *s, struct look *ret)
{
	struct iface_snapshot now = { .n_peers = 0 };
	const struct uapi_get_peer *peer;
	struct diag ignored;
	bool is_known = client_tunnel_look(&s->tunnel, &now, &ignored) == 0;

	peer = is_known ? iface_snapshot_find(&now,
					      s->config->conf->peers[s->main_peer].public_key)
			: NULL;
	*ret = (struct look){ .rx = 0 };
	if (peer)
		*ret = (struct look){ peer->rx_bytes, peer->tx_bytes, peer->last_handshake_ns };
	iface_snapshot_done(&now);
	return is_known;
}

/* --- The first choice --- */

/* The tunnel's process is new, so any handshake is an answer: one that came before the call, too, to a packet
 * of somebody else or a keepalive, after which the call makes none.
 * Return: 0 with the time in @ret_ms; -ETIMEDOUT, -ECANCELED. */
static int await(struct client_session *s, uint64_t patience_ns, uint32_t *ret_ms)
{
	struct pollfd wake = { .fd = s->signals.fd, .events = POLLIN };
	uint64_t begun_ns = clock_boot_ns();

	for (;;) {
		uint64_t past_ns = clock_boot_ns() - begun_ns;
		struct look now;

		if (look(s, &now) && now.last_handshake_ns) {
			*ret_ms = (uint32_t)(past_ns / 1000000);
			return 0;
		}
		if (past_ns >= patience_ns)
			return -ETIMEDOUT;
		poll(&wake, 1, ANSWER_POLL_MS);
		if (signals_take(&s->signals))
			return -ECANCELED;
	}
}

static int call(struct client_session *s, size_t way, bool afresh, struct diag *d)
{
	s->endpoints[s->main_peer] = s->ways[way];
	s->way = way;
	s->silent_since_ns = 0;
	return client_tunnel_call(&s->tunnel, s->main_peer, &s->ways[way], afresh, d);
}

static int try_way(struct client_session *s, size_t way, uint64_t patience_ns, uint32_t *ret_ms,
		   struct diag *d)
{
	bool afresh = s->n_ways > 1;
	int err;

	if (afresh)
		poll(NULL, 0, CALL_PAUSE_MS);
	err = call(s, way, afresh, d);
	return err < 0 ? err : await(s, patience_ns, ret_ms);
}

int client_choice_wait(struct client_session *s, uint64_t patience_ns, struct diag *d)
{
	uint32_t best_ms = UINT32_MAX, ms;
	size_t best = 0;
	int err = -ETIMEDOUT;

	if (s->config->proxy)
		return client_session_probe(s, patience_ns, d);
	for (size_t i = 0; i < s->n_ways; i++) {
		err = try_way(s, i, patience_ns, &ms, d);
		if (err < 0 && err != -ETIMEDOUT)
			return err;
		if (err == 0 && ms < best_ms) {
			best_ms = ms;
			best = i;
		}
	}
	s->handshake_ms = best_ms;
	if (best_ms == UINT32_MAX)
		err = -ETIMEDOUT;
	else
		err = 0;
	if (s->way != best) { /* the last one that was tried is not the best */
		poll(NULL, 0, CALL_PAUSE_MS);
		ms = 0;
		if (call(s, best, true, d) == 0)
			(void)await(s, patience_ns, &ms);
	}
	return err;
}

/* --- Later --- */

void client_choice_tick(struct client_session *s, uint64_t now_ns)
{
	struct look now;
	struct diag d = { 0 };
	char text[ADDR_TEXT_MAX];

	if (s->n_ways < 2 || !look(s, &now))
		return;
	if (now.rx != s->seen_rx || now.tx < s->seen_tx || now.tx == 0) {
		s->seen_rx = now.rx;
		s->seen_tx = now.tx;
		s->silent_since_ns = 0;
		return;
	}
	if (now.tx == s->seen_tx) /* nothing was sent, so there is nothing to be answered */
		return;
	if (s->silent_since_ns == 0)
		s->silent_since_ns = now_ns;
	if (now_ns - s->silent_since_ns < SILENCE_NS)
		return;
	s->seen_rx = s->seen_tx = 0;
	if (call(s, (s->way + 1) % s->n_ways, true, &d) < 0)
		log_warning("%s", d.text);
	else
		log_warning("no answer; calling %s now",
			    endpoint_format(&s->ways[s->way], text));
}

static size_t find_way(const struct client_session *s, const struct endpoint *to)
{
	for (size_t i = 0; i < s->n_ways; i++) {
		if (endpoint_same_remote(&s->ways[i], to))
			return i;
	}
	return s->n_ways;
}

/* The firewall lets it pass from here on; the journal knows it before. */
static int add_way(struct client_session *s, const struct endpoint *to, struct diag *d)
{
	struct text rule = { .max = 512 };
	char host[ADDR_TEXT_MAX];
	int err;

	if (s->n_ways == CLIENT_ENDPOINTS_MAX || client_plan_add_endpoint(&s->plan, to) < 0)
		return diag_set(d, ERR_LIMIT, 0, "more than %d endpoints",
				CLIENT_ENDPOINTS_MAX);
	err = undo_journal_lock(&s->journal, LOCK_PATIENCE_NS);
	if (err == 0)
		err = undo_journal_pin(&s->journal, ip_addr_format(&to->ip, host), to);
	if (err == 0)
		err = undo_journal_save(&s->journal);
	undo_journal_unlock(&s->journal);
	if (err < 0)
		return diag_set(d, err, 0, "the journal: %s", err_text(err));
	client_firewall_put_endpoint(&rule, s->plan.interface, to);
	err = rule.err ? rule.err : nft_run_text(rule.data, rule.len, d);
	text_done(&rule);
	if (err == 0)
		s->ways[s->n_ways++] = *to;
	return err;
}

int client_choice_switch(struct client_session *s, const struct endpoint *to, struct diag *d)
{
	size_t way = to ? find_way(s, to) : (s->way + 1) % s->n_ways;
	int err;

	if (s->config->proxy)
		return diag_set(d, -EOPNOTSUPP, 0, "what goes through a proxy has one way");
	if (!to && s->n_ways < 2)
		return diag_set(d, -EINVAL, 0, "there is one endpoint only: name another");
	if (to && way == s->n_ways) {
		err = add_way(s, to, d);
		if (err < 0)
			return err;
	}
	return call(s, way, true, d);
}
