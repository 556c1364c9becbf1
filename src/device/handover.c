/* SPDX-License-Identifier: Apache-2.0 */
#include "device/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "conf/uapi.h"
#include "device/uapi_apply.h"
#include "device/uapi_server.h"

enum {
	ALIVE_S = 180, /* a handshake this recent: the peer expects us to be there */
	CHUNK = 65536,
};

/* --- The successor: asking --- */

static int ask(const char *name, const char *question, struct handover *h)
{
	const struct timeval patience = { .tv_sec = HANDOVER_PATIENCE_MS / 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	uapi_path(UAPI_WIREGUARD, name, address.sun_path);
	h->connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->connection < 0 ||
	    setsockopt(h->connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) <
		    0 ||
	    connect(h->connection, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(h->connection, question, strlen(question), MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

/* The descriptors that came with this message, appended to @fds. */
static size_t take_fds(struct msghdr *m, int *fds, size_t n)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < came; i++) {
			int fd = -1;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < HANDOVER_FDS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static bool is_complete(const struct text *t)
{
	return t->len >= 2 && memcmp(t->data + t->len - 2, "\n\n", 2) == 0;
}

static int read_answer(const struct handover *h, struct text *out, int *fds, size_t *ret_n)
{
	static char chunk[CHUNK];
	_Alignas(struct cmsghdr) static uint8_t
		control[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];

	while (!is_complete(out) && !out->err) {
		struct iovec iov = { chunk, sizeof(chunk) };
		struct msghdr m = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(h->connection, &m, MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -EPROTO : -errno;
		*ret_n = take_fds(&m, fds, *ret_n);
		text_add(out, chunk, (size_t)n);
	}
	secret_wipe(chunk, sizeof(chunk));
	return out->err;
}

enum { QUEUES, CONTROL, SOCKETS4, SOCKETS6, COUNTS };

/* "handover=QUEUES,CONTROL,SOCKETS4,SOCKETS6\n" */
static int read_counts(const struct text *t, uint64_t counts[COUNTS])
{
	static const char key[] = "handover=";
	const char *end = memchr(t->data, '\n', t->len), *at = t->data + sizeof(key) - 1;

	if (!end || t->len < sizeof(key) || memcmp(t->data, key, sizeof(key) - 1) != 0)
		return ERR_FORMAT;
	for (int i = 0; i < COUNTS; i++) {
		const char *stop = i < COUNTS - 1 ? memchr(at, ',', (size_t)(end - at)) : end;

		if (!stop || decimal_parse(at, (size_t)(stop - at), DEVICE_WORKERS_MAX + 1,
					   &counts[i]) < 0)
			return ERR_FORMAT;
		at = stop + 1;
	}
	return counts[QUEUES] >= 1 && counts[QUEUES] <= DEVICE_WORKERS_MAX &&
			       counts[CONTROL] >= 1 && counts[CONTROL] <= UAPI_DIALECTS
		       ? 0
		       : ERR_FORMAT;
}

/* @n sockets: one per worker and perhaps one for handshakes. */
static bool adopt_family(struct socket_family *f, const int *fds, uint64_t n,
			 unsigned int workers)
{
	if (n == 0)
		return true;
	if (n != workers && n != workers + 1)
		return false;
	for (unsigned int i = 0; i < workers; i++)
		f->data[i] = fds[i];
	if (n > workers)
		f->handshake = fds[workers];
	return true;
}

static int sort_fds(struct handover *h, const int *fds, size_t n)
{
	uint64_t counts[COUNTS];
	size_t at = 0;

	if (read_counts(&h->config, counts) < 0 ||
	    counts[QUEUES] + counts[CONTROL] + counts[SOCKETS4] + counts[SOCKETS6] != n)
		return ERR_FORMAT;
	h->n_queues = (unsigned int)counts[QUEUES];
	for (; at < counts[QUEUES]; at++)
		h->queues[at] = fds[at];
	for (uint64_t i = 0; i < counts[CONTROL]; i++)
		h->uapi[i] = fds[at++];
	if (!adopt_family(&h->v4, fds + at, counts[SOCKETS4], h->n_queues) ||
	    !adopt_family(&h->v6, fds + at + counts[SOCKETS4], counts[SOCKETS6], h->n_queues))
		return ERR_FORMAT;
	h->has_sockets = counts[SOCKETS4] || counts[SOCKETS6];
	return 0;
}

static int take(const char *name, const char *question, struct handover *h)
{
	int fds[HANDOVER_FDS_MAX];
	size_t n = 0;
	int err = 0;

	memset(h, -1, sizeof(*h)); /* no descriptor */
	memset(&h->config, 0, sizeof(h->config));
	h->n_queues = 0;
	h->has_sockets = false;
	h->stops_old = false;
	err = ask(name, question, h);
	if (err == 0)
		err = read_answer(h, &h->config, fds, &n);
	if (err == 0)
		err = sort_fds(h, fds, n);
	if (err < 0)
		handover_free(h);
	return err;
}

int handover_take(const char *name, struct handover *h, struct diag *d)
{
	int err = take(name, "handover=2\n\n", h);

	h->stops_old = err == 0;
	if (err == -EPROTO) /* one of the version before closes */
		err = take(name, "handover=1\n\n", h);
	if (err == 0)
		return 0;
	if (err == -ENOENT || err == -ECONNREFUSED)
		return diag_set(d, -ESRCH, 0,
				"no process serves %s: there is nothing to take over", name);
	return diag_set(d, err, 0, "the process that serves %s does not hand it over: %s", name,
			err == ERR_FORMAT || err == -EPROTO ? "it does not know how"
							    : err_text(err));
}

/* --- The successor: becoming what the old one was --- */

/* Lines of get that set does not take: they report. */
static bool is_report(const char *line, size_t len)
{
	static const char *const keys[] = { "handover=", "last_handshake_time_",
					    "tx_bytes=", "rx_bytes=", "errno=" };
	static const char *const settable[] = { "culvert_budget_bytes=", "culvert_rate_bps=",
						"culvert_greatest_timestamp=",
						"culvert_profile", "culvert_prelude=" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (len >= strlen(keys[i]) && memcmp(line, keys[i], strlen(keys[i])) == 0)
			return true;
	if (len < 8 || memcmp(line, "culvert_", 8) != 0)
		return false;
	for (size_t i = 0; i < sizeof(settable) / sizeof(settable[0]); i++)
		if (len >= strlen(settable[i]) &&
		    memcmp(line, settable[i], strlen(settable[i])) == 0)
			return false;
	return true;
}

struct living {
	struct engine_worker *w;
	uint64_t wall_s;
};

/* A reader's callback: a peer that shook hands lately is greeted. */
static void greet(void *context, const struct uapi_get_peer *get)
{
	struct living *l = context;
	struct peer *p = engine_peer_find(l->w, get->public_key);
	uint64_t then_s = get->last_handshake_ns / ENGINE_SECOND;

	if (p && then_s && then_s + ALIVE_S >= l->wall_s)
		engine_peer_greet(l->w, p);
}

/* "culvert_label=KEY,NS" */
static int take_label(struct engine_worker *w, const char *line, size_t len)
{
	const char *hex = line + strlen(HANDOVER_LABEL);
	const char *number = hex + 2 * 32 + 1;
	uint8_t key[32];
	uint64_t label_ns;
	struct peer *p;

	if (line + len <= number || number[-1] != ',' ||
	    key_from_hex(hex, 2 * sizeof(key), key) < 0 ||
	    decimal_parse(number, (size_t)(line + len - number), UINT64_MAX, &label_ns) < 0)
		return ERR_FORMAT;
	p = engine_peer_find(w, key);
	if (p)
		engine_peer_set_label_ns(p, label_ns);
	return 0;
}

static int take_labels(const struct text *t, struct engine_worker *w)
{
	const char *at = t->data, *end = at + t->len;
	int err = 0;

	while (at < end && err == 0) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = stop ? (size_t)(stop - at) : (size_t)(end - at);

		if (len > strlen(HANDOVER_LABEL) &&
		    memcmp(at, HANDOVER_LABEL, strlen(HANDOVER_LABEL)) == 0)
			err = take_label(w, at, len);
		at += len + 1;
	}
	return err;
}

static int read_lines(const struct handover *h, struct uapi_set *set,
		      struct uapi_get_reader *reader, struct diag *d)
{
	const char *at = h->config.data, *end = at + h->config.len;
	int err = 0;

	while (at < end && err == 0) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = stop ? (size_t)(stop - at) : (size_t)(end - at);

		if (set && len && !is_report(at, len))
			err = uapi_set_line(set, at, len, d);
		if (reader && len && memcmp(at, "handover=", len < 9 ? len : 9) != 0)
			err = uapi_get_line(reader, at, len, d);
		at += len + 1;
	}
	return err;
}

int handover_apply(const struct handover *h, struct engine *e, struct engine_worker *w,
		   uint64_t now_ns, uint64_t wall_ns, uint16_t *ret_port, uint32_t *ret_mark,
		   struct diag *d)
{
	struct living living = { .w = w, .wall_s = wall_ns / ENGINE_SECOND };
	struct uapi_get_reader reader = { .peer = greet, .context = &living };
	struct uapi_ready ready = { .framing = NULL };
	struct uapi_set set = { 0 };
	int err = read_lines(h, &set, NULL, d);

	if (err == 0)
		err = uapi_prepare(e, w, &set, &ready, d);
	if (err == 0)
		err = uapi_apply(e, w, now_ns, &set, &ready, d);
	uapi_ready_done(&ready);
	if (err == 0)
		err = take_labels(&h->config, w); /* before anybody is greeted */
	if (err == 0)
		err = read_lines(h, NULL, &reader, d);
	*ret_port = set.listen_port;
	*ret_mark = set.fwmark;
	uapi_set_done(&set);
	uapi_get_reader_done(&reader);
	return err ? -EPROTO : 0;
}

static int apply_change(struct uapi_set *set, struct engine *e, struct engine_worker *w,
			uint64_t now_ns, uint32_t *ret_mark, struct diag *d)
{
	struct uapi_ready ready = { .framing = NULL };
	int err = uapi_prepare(e, w, set, &ready, d);

	if (err == 0)
		err = uapi_apply(e, w, now_ns, set, &ready, d);
	if (set->has_fwmark) /* the sockets have it already */
		*ret_mark = set->fwmark;
	uapi_ready_done(&ready);
	uapi_set_done(set);
	return err;
}

static int apply_changes(const struct text *t, struct engine *e, struct engine_worker *w,
			 uint64_t now_ns, uint32_t *ret_mark, struct diag *d)
{
	static const char head[] = "stopped=1\n";
	const char *at = t->data + sizeof(head) - 1, *end = t->data + t->len;
	struct uapi_set set = { .peers = NULL };
	int err = 0;

	if (t->len < sizeof(head) || memcmp(t->data, head, sizeof(head) - 1) != 0)
		return ERR_FORMAT;
	while (at < end && err == 0) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = stop ? (size_t)(stop - at) : (size_t)(end - at);

		if (len == 5 && memcmp(at, "set=1", 5) == 0)
			err = apply_change(&set, e, w, now_ns, ret_mark, d);
		else if (len > strlen(HANDOVER_LABEL) &&
			 memcmp(at, HANDOVER_LABEL, strlen(HANDOVER_LABEL)) == 0)
			; /* behind the last set: take_labels() */
		else if (len && !is_report(at, len))
			err = uapi_set_line(&set, at, len, d);
		at += len + 1;
	}
	if (err == 0)
		err = apply_change(&set, e, w, now_ns, ret_mark, d);
	uapi_set_done(&set);
	return err;
}

int handover_stop(struct handover *h, struct engine *e, struct engine_worker *w,
		  uint64_t now_ns, uint32_t *ret_mark, struct diag *d)
{
	static const char word[] = "stop=1\n\n";
	struct text changes = { .len = 0 };
	int fds[HANDOVER_FDS_MAX];
	size_t n = 0;
	int err = 0;

	if (!h->stops_old)
		return 0;
	if (send(h->connection, word, sizeof(word) - 1, MSG_NOSIGNAL) != sizeof(word) - 1)
		err = -EPROTO;
	if (err == 0)
		err = read_answer(h, &changes, fds, &n);
	while (n > 0) /* nothing is passed now */
		close(fds[--n]);
	if (err == 0)
		err = apply_changes(&changes, e, w, now_ns, ret_mark, d);
	if (err == 0)
		err = take_labels(&changes, w);
	text_done(&changes);
	return err ? diag_set(d, -EPROTO, 0,
			      "the process that serves the interface changed it while it was "
			      "handed over: ask again")
		   : 0;
}

int handover_done(struct handover *h)
{
	static const char word[] = "done=1\n\n", yes[] = "errno=0\n\n";
	char answer[sizeof(yes) - 1];
	ssize_t n = send(h->connection, word, sizeof(word) - 1, MSG_NOSIGNAL);

	if (n == (ssize_t)sizeof(word) - 1)
		n = recv(h->connection, answer, sizeof(answer), MSG_WAITALL);
	/* It may be on its way at this moment: what was not queued before this call never is. */
	if (n < 0 && shutdown(h->connection, SHUT_RDWR) == 0)
		n = recv(h->connection, answer, sizeof(answer), MSG_DONTWAIT);
	return n == (ssize_t)sizeof(answer) && memcmp(answer, yes, sizeof(answer)) == 0
		       ? 0
		       : -EPROTO;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void handover_free(struct handover *h)
{
	close_fd(&h->connection);
	for (int i = 0; i < UAPI_DIALECTS; i++)
		close_fd(&h->uapi[i]);
	for (unsigned int i = 0; i < DEVICE_WORKERS_MAX; i++) {
		close_fd(&h->queues[i]);
		close_fd(&h->v4.data[i]);
		close_fd(&h->v6.data[i]);
	}
	close_fd(&h->v4.handshake);
	close_fd(&h->v6.handshake);
	text_done(&h->config);
	memset(&h->config, 0, sizeof(h->config));
}
