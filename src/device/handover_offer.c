/* SPDX-License-Identifier: Apache-2.0 */
/* The old process's side of a handover: what it tells a successor, at first and at last. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/handover.h"

static size_t list_family(const struct socket_family *f, unsigned int workers, int *fds)
{
	size_t n = 0;

	if (workers == 0 || f->data[0] < 0)
		return 0;
	for (unsigned int i = 0; i < workers; i++)
		fds[n++] = f->data[i];
	if (f->handshake >= 0)
		fds[n++] = f->handshake;
	return n;
}

size_t handover_offer(const struct worker_shared *shared, const int uapi[UAPI_DIALECTS],
		      struct text *out, int fds[HANDOVER_FDS_MAX])
{
	const struct sockets *s = &shared->sockets;
	size_t n = 0, n_control = 0, n4 = 0, n6 = 0;

	for (unsigned int i = 0; i < shared->n_queues; i++)
		fds[n++] = shared->queues[i].fd;
	for (int i = 0; i < UAPI_DIALECTS && uapi[i] >= 0; i++)
		fds[n + n_control++] = uapi[i];
	n += n_control;
	n += n4 = list_family(&s->v4, s->workers, fds + n);
	n += n6 = list_family(&s->v6, s->workers, fds + n);
	text_printf(out, "handover=%u,%zu,%zu,%zu\n", shared->n_queues, n_control, n4, n6);
	return n;
}

static void write_label(struct text *out, const uint8_t public_key[32], uint64_t label_ns)
{
	text_puts(out, HANDOVER_LABEL);
	text_put_hex(out, public_key, 32);
	text_puts(out, ",");
	text_put_u64(out, label_ns);
	text_puts(out, "\n");
}

void handover_labels(const struct engine *e, struct text *out)
{
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p)) {
		struct engine_peer_info info;

		if (engine_peer_label_ns(p) == 0)
			continue;
		engine_peer_info(p, &info);
		write_label(out, info.public_key, engine_peer_label_ns(p));
		secret_key_done(&info.preshared_key);
	}
}

/* What one was like. Compared by its place, and where that has another by none: then all is told. */
struct handover_peer {
	const struct peer *peer;
	struct endpoint endpoint;
	uint64_t budget_bytes;
	uint64_t label_ns;
	uint8_t greatest_time[12];
};

static struct handover_peer look_at(struct peer *p, struct engine_peer_info *info)
{
	struct handover_peer seen = { .peer = p, .label_ns = engine_peer_label_ns(p) };

	engine_peer_info(p, info);
	secret_key_done(&info->preshared_key);
	seen.endpoint = info->endpoint;
	seen.budget_bytes = info->budget_bytes;
	memcpy(seen.greatest_time, info->greatest_time, sizeof(seen.greatest_time));
	return seen;
}

int handover_note(struct handover_offered *o, const struct engine *e, const int *fds, size_t n)
{
	size_t count = engine_peer_count(e);
	struct engine_peer_info info;

	*o = (struct handover_offered){ .n_fds = n, .since = { .max = HANDOVER_SINCE_MAX } };
	memcpy(o->fds, fds, n * sizeof(*fds));
	o->peers = calloc(count ? count : 1, sizeof(*o->peers));
	if (!o->peers)
		return -ENOMEM;
	for (struct peer *p = engine_peer_next(e, NULL); p && o->n_peers < count;
	     p = engine_peer_next(e, p))
		o->peers[o->n_peers++] = look_at(p, &info);
	return 0;
}

/* An empty line would end the answer. */
void handover_note_set(struct handover_offered *o, const struct uapi_set *set)
{
	uapi_write_set(&o->since, set);
	if (o->since.err == 0)
		o->since.len--;
}

static void write_change(struct text *out, const struct engine_peer_info *info)
{
	char text[ADDR_TEXT_MAX];

	text_puts(out, "public_key=");
	text_put_hex(out, info->public_key, sizeof(info->public_key));
	text_puts(out, "\nupdate_only=true\nculvert_greatest_timestamp=");
	text_put_hex(out, info->greatest_time, sizeof(info->greatest_time));
	if (info->endpoint.ip.family != ADDR_NONE)
		text_printf(out, "\nendpoint=%s", endpoint_format(&info->endpoint, text));
	if (info->budget_bytes != UINT64_MAX)
		text_printf(out, "\nculvert_budget_bytes=%" PRIu64, info->budget_bytes);
	text_puts(out, "\n");
}

static bool is_same_place(const struct endpoint *a, const struct endpoint *b)
{
	return ip_addr_equal(&a->ip, &b->ip) && a->port == b->port && a->scope == b->scope;
}

static bool is_as_it_was(const struct handover_peer *was, const struct handover_peer *is)
{
	return was->peer == is->peer && is_same_place(&was->endpoint, &is->endpoint) &&
	       was->budget_bytes == is->budget_bytes && was->label_ns == is->label_ns &&
	       memcmp(was->greatest_time, is->greatest_time, sizeof(is->greatest_time)) == 0;
}

bool handover_changes(const struct handover_offered *o, const struct engine *e, const int *fds,
		      size_t n, struct text *out)
{
	struct text labels = { .len = 0 };
	size_t at = 0;

	if (o->since.err || n != o->n_fds || memcmp(fds, o->fds, n * sizeof(*fds)) != 0)
		return false;
	text_puts(out, "stopped=1\n");
	text_add(out, o->since.data, o->since.len);
	text_puts(out, "set=1\n");
	for (struct peer *p = engine_peer_next(e, NULL); p; p = engine_peer_next(e, p), at++) {
		struct engine_peer_info info;
		struct handover_peer is = look_at(p, &info);

		if (at < o->n_peers && is_as_it_was(&o->peers[at], &is))
			continue;
		write_change(out, &info);
		if (is.label_ns)
			write_label(&labels, info.public_key, is.label_ns);
	}
	if (labels.err == 0)
		text_add(out, labels.data, labels.len);
	if (labels.err < 0)
		out->err = labels.err;
	text_done(&labels);
	return out->err == 0;
}

void handover_forget(struct handover_offered *o)
{
	free(o->peers);
	text_done(&o->since);
	*o = (struct handover_offered){ .n_fds = 0 };
}
