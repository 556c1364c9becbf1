/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "usernet/internal.h"

enum { BACKLOG = 1024, ACCEPTS_PER_TURN = 64 };

struct forward {
	struct flow flow;
	struct usernet_forward rule;
};

struct flow *forward_close(struct flow *flow)
{
	if (flow && flow->fd >= 0)
		close(flow->fd);
	free(flow);
	return NULL;
}

/* One socket for both families, or for IPv4 where the host has no other. */
static int open_listener(uint16_t port)
{
	const int on = 1, off = 0;
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err = 0;
	bool is_v6 =
		fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	err = is_v6 ? bind(fd, (const struct sockaddr *)&any6, sizeof(any6))
		    : bind(fd, (const struct sockaddr *)&any4, sizeof(any4));
	if (err < 0 || listen(fd, BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int forward_open(struct usernet *u, const struct usernet_forward *rule, struct flow **ret,
		 struct diag *d)
{
	struct forward *f = calloc(1, sizeof(*f));
	int err = f ? open_listener(rule->port) : -ENOMEM;

	if (err >= 0) {
		f->rule = *rule;
		f->flow = (struct flow){ .kind = FLOW_FORWARD, .fd = err };
		err = host_watch(u, &f->flow);
	}
	if (err < 0) {
		if (f && f->flow.kind == FLOW_FORWARD)
			forward_close(&f->flow);
		else
			free(f);
		return diag_set(d, err, 0, "cannot listen on TCP port %u: %s", rule->port,
				err_text(err));
	}
	*ret = &f->flow;
	return 0;
}

void forward_work(struct usernet *u, struct flow *flow)
{
	const struct forward *f = (const struct forward *)(const void *)flow;

	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(flow->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && (errno == EAGAIN || errno == EMFILE || errno == ENFILE)) {
			flow->events &=
				~(uint32_t)EPOLLIN; /* of the latter the next one reminds us */
			return;
		}
		if (fd >= 0)
			tcp_flow_call(u, fd, &f->rule.to, f->rule.to_port);
	}
	flow_mark(&u->flows, flow);
}
