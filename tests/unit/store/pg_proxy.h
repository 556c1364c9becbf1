/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_proxy.h - Between a client and the server of pg_server.h: it counts messages, and one of them is
 * the last
 *
 *	store ── pg_base/proxy/.s.PGSQL.5499 ── proxy ── pg_base/.s.PGSQL.5499 ── server
 *
 * A process of its own. Messages of both directions are numbered as they come, told apart by the
 * framing of the protocol. At the one that was named the connection is cut: before it is passed on,
 * in its midst, or behind it. With it may end the process that is the client, or the server with all
 * its processes. The next connection is passed through.
 */
#pragma once

#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "pg_server.h"

enum {
	PROXY_PAIRS = 16,
	PROXY_BUFFER = 1 << 18,
};

enum proxy_how {
	PROXY_BEFORE,
	PROXY_HALF,
	PROXY_AFTER,
};

/**
 * struct proxy_control - Shared with the proxy's process
 * @messages:	Seen since it was set to 0
 * @cut_at:	The number of the last message; 0: none. The proxy sets it to 0 then
 * @in_commit:	Instead: how many messages behind the Bind of a COMMIT, from 1; 0: not so
 * @again:	After a cut: how many messages later is the next; 0: none
 * @victim:	Process to kill then; 0: none
 * @server:	Server to kill then; 0: none
 * @crashed:	It was killed; whoever restarts it sets it to false
 * @cuts, @unanswered: Connections that were cut; those with a COMMIT under way
 */
static struct proxy_control {
	_Atomic unsigned int messages;
	_Atomic unsigned int cut_at;
	_Atomic unsigned int in_commit;
	_Atomic unsigned int again;
	_Atomic int how;
	_Atomic int victim;
	_Atomic int server;
	_Atomic bool crashed;
	_Atomic unsigned int cuts;
	_Atomic unsigned int unanswered;
} * proxy;

static pid_t proxy_pid;

/* struct proxy_way - One direction of a connection */
struct proxy_way {
	int from, to;
	bool is_client; /* of @from */
	bool has_begun; /* the first message of a client has no type */
	size_t len;
	uint8_t data[PROXY_BUFFER];
};

struct proxy_pair {
	bool is_open;
	bool binds_commit; /* the client has named it; with its Sync it is under way */
	bool commits;
	struct proxy_way way[2];
};

static struct proxy_pair proxy_pairs[PROXY_PAIRS];

static bool proxy_send(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static void proxy_close(struct proxy_pair *p)
{
	close(p->way[0].from);
	close(p->way[0].to);
	p->is_open = false;
}

/* Length of the message that begins there; 0: not all of it has come. */
static size_t proxy_message(const struct proxy_way *w, const uint8_t *at, size_t left)
{
	size_t type = w->is_client && !w->has_begun ? 0 : 1, len;

	if (left < type + 4)
		return 0;
	len = type + ((size_t)at[type] << 24 | (size_t)at[type + 1] << 16 |
		      (size_t)at[type + 2] << 8 | at[type + 3]);
	return len <= left ? len : 0;
}

/* Bind names a portal, "", and the statement; see postgres.h. */
static bool proxy_is_commit(const struct proxy_way *w, const uint8_t *at, size_t len)
{
	static const char commit[] = "s1";

	return w->is_client && w->has_begun && at[0] == 'B' && len > 9 &&
	       memcmp(at + 6, commit, sizeof(commit)) == 0;
}

/* Is a COMMIT under way? */
static void proxy_note(struct proxy_pair *p, const struct proxy_way *w, const uint8_t *at,
		       size_t len)
{
	if (w->is_client && w->has_begun && at[0] == 'B')
		p->binds_commit = proxy_is_commit(w, at, len);
	if (w->is_client && w->has_begun && at[0] == 'S')
		p->commits = p->binds_commit;
	if (!w->is_client && at[0] == 'Z')
		p->commits = p->binds_commit = false;
}

/* The whole server, at once: its processes first, so that none can go on. */
static void proxy_crash(pid_t server)
{
	char path[64], text[2048], *at = text;
	FILE *f;
	long pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)server, (int)server);
	kill(server, SIGSTOP); /* it starts no more of them */
	f = fopen(path, "r");
	text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	while ((pid = strtol(at, &at, 10)) > 0)
		kill((pid_t)pid, SIGKILL);
	kill(server, SIGKILL);
}

static void proxy_cut(struct proxy_pair *p)
{
	proxy->cut_at = proxy->again ? proxy->messages + proxy->again : 0;
	proxy->again = 0;
	proxy->unanswered += p->commits;
	proxy->cuts++;
	if (proxy->victim > 0)
		kill(proxy->victim, SIGKILL);
	if (proxy->server > 0) {
		proxy_crash(proxy->server);
		proxy->crashed = true;
	}
	proxy_close(p);
}

/* Pass one message on, unless it is the last. Return: false: the connection is closed. */
static bool proxy_pass(struct proxy_pair *p, struct proxy_way *w, const uint8_t *at, size_t len)
{
	unsigned int n = ++proxy->messages;
	int how = proxy->how;
	bool is_last;

	if (proxy->in_commit != 0 && proxy_is_commit(w, at, len)) {
		proxy->cut_at = n + proxy->in_commit - 1;
		proxy->in_commit = 0;
	}
	is_last = proxy->cut_at != 0 && n >= proxy->cut_at;

	if (is_last && how == PROXY_BEFORE)
		len = 0;
	if (is_last && how == PROXY_HALF)
		len /= 2;
	if (!proxy_send(w->to, at, len) && !is_last) {
		proxy_close(p);
		return false;
	}
	if (!is_last || how == PROXY_AFTER)
		proxy_note(p, w, at, len);
	w->has_begun = true;
	if (is_last)
		proxy_cut(p);
	return !is_last;
}

static void proxy_read(struct proxy_pair *p, struct proxy_way *w)
{
	ssize_t n = recv(w->from, w->data + w->len, sizeof(w->data) - w->len, 0);
	size_t done = 0, len;

	if (n <= 0) {
		proxy_close(p);
		return;
	}
	w->len += (size_t)n;
	while ((len = proxy_message(w, w->data + done, w->len - done)) > 0) {
		if (!proxy_pass(p, w, w->data + done, len))
			return;
		done += len;
	}
	memmove(w->data, w->data + done, w->len - done);
	w->len -= done;
}

static int proxy_connect(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%.60s/.s.PGSQL.5499", pg_base);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void proxy_accept(int listener)
{
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), server = proxy_connect();
	struct proxy_pair *p = proxy_pairs;

	while (p < proxy_pairs + PROXY_PAIRS && p->is_open)
		p++;
	if (client < 0 || server < 0 || p == proxy_pairs + PROXY_PAIRS) {
		close(client);
		close(server);
		return;
	}
	p->is_open = true;
	p->binds_commit = p->commits = false;
	for (int i = 0; i < 2; i++) {
		struct proxy_way *w = &p->way[i];

		w->from = i == 0 ? client : server;
		w->to = i == 0 ? server : client;
		w->is_client = i == 0;
		w->has_begun = false;
		w->len = 0;
	}
}

_Noreturn static void proxy_serve(int listener)
{
	for (;;) {
		struct pollfd p[1 + 2 * PROXY_PAIRS] = { { .fd = listener, .events = POLLIN } };

		for (int i = 0; i < 2 * PROXY_PAIRS; i++) {
			const struct proxy_pair *pair = &proxy_pairs[i / 2];

			p[1 + i] = (struct pollfd){ .fd = pair->is_open ? pair->way[i % 2].from
									: -1,
						    .events = POLLIN };
		}
		if (poll(p, 1 + 2 * PROXY_PAIRS, -1) < 0)
			continue;
		for (int i = 0; i < 2 * PROXY_PAIRS; i++) {
			struct proxy_pair *pair = &proxy_pairs[i / 2];

			if (p[1 + i].revents && pair->is_open)
				proxy_read(pair, &pair->way[i % 2]);
		}
		if (p[0].revents)
			proxy_accept(listener);
	}
}

static void proxy_start(void)
{
	struct sockaddr_un own = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	proxy = mmap(NULL, sizeof(*proxy), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	snprintf(own.sun_path, sizeof(own.sun_path), "%.60s/proxy", pg_base);
	if (proxy == MAP_FAILED || mkdir(own.sun_path, 0755) < 0)
		abort();
	snprintf(own.sun_path, sizeof(own.sun_path), "%.60s/proxy/.s.PGSQL.5499", pg_base);
	if (bind(listener, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    listen(listener, 16) < 0)
		abort();
	fflush(stdout);
	proxy_pid = fork();
	if (proxy_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		proxy_serve(listener);
	}
	close(listener);
}

static void proxy_end(void)
{
	kill(proxy_pid, SIGKILL);
	waitpid(proxy_pid, NULL, 0);
}

static const char *proxy_conninfo(char out[PG_CONNINFO_MAX])
{
	snprintf(out, PG_CONNINFO_MAX, "host=%s/proxy port=5499 user=culvert dbname=postgres",
		 pg_base);
	return out;
}
