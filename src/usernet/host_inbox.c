/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/host_inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "usernet/internal.h"

enum { BUFFER_BYTES = HOST_INBOX_FRONT + 65536, CONTROL_BYTES = 64 };

struct host_inbox {
	uint8_t *buffers;
	struct mmsghdr messages[HOST_INBOX_DATAGRAMS];
	struct iovec slices[HOST_INBOX_DATAGRAMS];
	struct sockaddr_storage from[HOST_INBOX_DATAGRAMS];
	struct host_received received[HOST_INBOX_DATAGRAMS];
	_Alignas(struct cmsghdr) uint8_t controls[HOST_INBOX_DATAGRAMS][CONTROL_BYTES];
};

int host_inbox_new(struct host_inbox **ret)
{
	struct host_inbox *b = calloc(1, sizeof(*b));

	if (b)
		b->buffers = malloc((size_t)HOST_INBOX_DATAGRAMS * BUFFER_BYTES);
	if (!b || !b->buffers) {
		host_inbox_free(b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

struct host_inbox *host_inbox_free(struct host_inbox *b)
{
	if (b)
		free(b->buffers);
	free(b);
	return NULL;
}

static void prepare(struct host_inbox *b)
{
	for (size_t i = 0; i < HOST_INBOX_DATAGRAMS; i++) {
		b->slices[i] = (struct iovec){ b->buffers + i * BUFFER_BYTES + HOST_INBOX_FRONT,
					       HOST_INBOX_LEN_MAX };
		b->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &b->from[i],
			.msg_namelen = sizeof(b->from[i]),
			.msg_iov = &b->slices[i],
			.msg_iovlen = 1,
			.msg_control = b->controls[i],
			.msg_controllen = CONTROL_BYTES,
		};
	}
}

static uint32_t segment_size(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size = 0;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return (uint32_t)size;
		}
	return 0;
}

static void read_message(struct host_inbox *b, int i)
{
	struct host_received *r = &b->received[i];

	r->payload = b->slices[i].iov_base;
	r->len = b->messages[i].msg_len;
	r->segment = segment_size(&b->messages[i].msg_hdr);
	if (r->segment == 0 || r->segment > r->len)
		r->segment = r->len;
	host_address_read(&b->from[i], &r->from, &r->from_port);
}

int host_inbox_receive(struct host_inbox *b, int fd, struct host_received **ret)
{
	int n = 0;

	prepare(b);
	n = recvmmsg(fd, b->messages, HOST_INBOX_DATAGRAMS, MSG_DONTWAIT, NULL);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		read_message(b, i);
	*ret = b->received;
	return n;
}
