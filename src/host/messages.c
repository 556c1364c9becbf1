/* SPDX-License-Identifier: Apache-2.0 */
#include "host/messages.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

static_assert(offsetof(struct host_message, access) == HOST_HEADER_LEN &&
		      sizeof(struct host_message) ==
			      HOST_HEADER_LEN + sizeof(struct host_access),
	      "no padding that could carry something");

enum { FDS_MAX = 4 }; /* room to see that too many came, and to close them */

#define SECOND_NS UINT64_C(1000000000)

union fd_control {
	struct cmsghdr align;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static size_t size_of(uint32_t type)
{
	return host_access_has_body(type) ? sizeof(struct host_message) : HOST_HEADER_LEN;
}

int host_message_send(int fd, const struct host_message *m, int passed_fd)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)m, /* not written to */
			      .iov_len = size_of(m->type) };
	union fd_control control = { 0 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *item;
	ssize_t n;

	if (passed_fd >= 0) {
		header.msg_control = control.space;
		header.msg_controllen = CMSG_SPACE(sizeof(int));
		item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(item), &passed_fd, sizeof(int));
	}
	do {
		n = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Every descriptor in @header, at most @max of them are kept open. Return: how many came. */
static size_t take_fds(struct msghdr *header, int *fds, size_t max)
{
	size_t seen = 0;

	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item;
	     item = CMSG_NXTHDR(header, item)) {
		size_t n = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int one;

			memcpy(&one, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
			if (seen < max)
				fds[seen] = one;
			else
				close(one);
			seen++;
		}
	}
	return seen;
}

int host_message_read(const struct host_message *m, size_t len)
{
	return len >= HOST_HEADER_LEN && len == size_of(m->type) ? 0 : ERR_FORMAT;
}

int host_message_receive(int fd, struct host_message *ret, int *ret_fd)
{
	struct host_message m;
	struct iovec part = { .iov_base = &m, .iov_len = sizeof(m) };
	union fd_control control;
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space) };
	int passed = -1;
	size_t n_fds;
	ssize_t n;

	do {
		n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	n_fds = take_fds(&header, &passed, 1);
	/* An empty datagram and the end look alike; neither is anything to go on with. */
	if (n == 0 && n_fds == 0)
		return 0;
	if (host_message_read(&m, (size_t)n) < 0 || n_fds > 1 ||
	    (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (passed >= 0)
			close(passed);
		return ERR_FORMAT;
	}
	memcpy(ret, &m, (size_t)n);
	*ret_fd = passed;
	return 1;
}

static bool is_too_many(struct host_dialogue *d, uint32_t type, uint64_t now_ns)
{
	if (now_ns - d->window_ns >= SECOND_NS) {
		d->window_ns = now_ns;
		d->in_window = d->access_in_window = 0;
	}
	return host_access_is_type(type) ? ++d->access_in_window > HOST_ACCESS_PER_SECOND
					 : ++d->in_window > HOST_MESSAGES_PER_SECOND;
}

const char *host_dialogue_judge(struct host_dialogue *d, const struct host_message *m,
				bool has_fd, uint64_t now_ns)
{
	if (is_too_many(d, m->type, now_ns))
		return "more messages than allowed in a second";
	if (has_fd)
		return "a descriptor where none belongs";
	if (m->error != 0)
		return "an error where none belongs";
	if (host_access_is_type(m->type))
		return host_access_has_body(m->type) ? host_access_judge(m->type, &m->access)
						     : NULL;
	if (m->serial != 0 && m->type != HOST_PING && m->type != HOST_ACT)
		return "a serial number where none belongs";
	switch (m->type) {
	case HOST_READY:
		if (d->is_ready)
			return "ready a second time";
		d->is_ready = true;
		return NULL;
	case HOST_RECONNECT:
	case HOST_PING:
	case HOST_DRIFTED:
		return NULL;
	case HOST_ACT:
		if (!d->is_ready)
			return "an action before it is ready";
		return host_action_of(m->serial) >= HOST_ACTION_REBOOT &&
				       host_action_of(m->serial) < HOST_ACTIONS
			       ? NULL
			       : "an action of unknown kind";
	default:
		return "a message of unknown type";
	}
}

bool host_dialogue_may_reconnect(struct host_dialogue *d, uint64_t now_ns)
{
	if (now_ns - d->reconnects_ns >= HOST_RECONNECTS_S * SECOND_NS) {
		d->reconnects_ns = now_ns;
		d->reconnects = 0;
	}
	if (d->reconnects == HOST_RECONNECTS_MAX)
		return false;
	d->reconnects++;
	return true;
}
