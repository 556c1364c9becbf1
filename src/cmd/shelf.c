/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/shelf.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "http/server.h"

enum { FOUND_MAX = HTTP_LISTENERS_MAX };

/* What lay on the shelf and was not asked for yet. */
static int found[FOUND_MAX];
static size_t n_found;

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(FOUND_MAX * sizeof(int))];
};

static bool is_listening(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static void keep(const struct cmsghdr *item)
{
	size_t n = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(item) + i * sizeof(fd), sizeof(fd));
		if (n_found < FOUND_MAX && is_listening(fd))
			found[n_found++] = fd;
		else
			close(fd);
	}
}

size_t shelf_look(int out_fd)
{
	char octet;
	union control control;
	struct iovec part = { .iov_base = &octet, .iov_len = sizeof(octet) };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space) };
	struct cmsghdr *item;

	if (recvmsg(out_fd, &header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return n_found;
	for (item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
		if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
			keep(item);
	}
	return n_found;
}

static bool has_address(int fd, const struct sockaddr *wanted, socklen_t len)
{
	struct sockaddr_storage own = { .ss_family = AF_UNSPEC };
	socklen_t own_len = sizeof(own);

	return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 && own_len == len &&
	       memcmp(&own, wanted, len) == 0;
}

/* Somebody may have removed it; nobody finds the socket then. */
static bool has_file(const struct sockaddr *address, socklen_t len)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat st;

	if (address->sa_family != AF_UNIX)
		return true;
	memcpy(&un, address, len < sizeof(un) ? len : sizeof(un) - 1);
	return lstat(un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
}

int shelf_take(const struct sockaddr *address, socklen_t len)
{
	for (size_t i = 0; i < n_found; i++) {
		int fd = found[i];

		if (!has_address(fd, address, len) || !has_file(address, len))
			continue;
		found[i] = found[--n_found];
		(void)fcntl(fd, F_SETFL, O_NONBLOCK); /* shared by all who have it */
		return fd;
	}
	return -1;
}

static int put(int in_fd, const int *fds, size_t n)
{
	char octet = 1;
	union control control = { .space = { 0 } };
	struct iovec part = { .iov_base = &octet, .iov_len = sizeof(octet) };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *item = CMSG_FIRSTHDR(&header);

	item->cmsg_level = SOL_SOCKET;
	item->cmsg_type = SCM_RIGHTS;
	item->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(item), fds, n * sizeof(int));
	return sendmsg(in_fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int shelf_put(int in_fd, int out_fd, const int *fds, size_t n)
{
	char octet;

	while (n_found > 0)
		close(found[--n_found]);
	if (n > FOUND_MAX)
		return ERR_LIMIT;
	/* Without room for descriptors the kernel closes those that come along. */
	while (recv(out_fd, &octet, sizeof(octet), MSG_DONTWAIT) > 0)
		;
	return n == 0 ? 0 : put(in_fd, fds, n);
}
