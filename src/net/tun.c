/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tun.h"

#include <errno.h>
#include <string.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"

#ifndef TUN_F_USO4 /* headers older than Linux 6.2 */
#	define TUN_F_USO4 0x20
#	define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#	define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
	OFFLOAD_TSO = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
	OFFLOAD_USO = OFFLOAD_TSO | TUN_F_USO4 | TUN_F_USO6,
};

/* Ask for the most and take what the kernel grants. */
static void ask_offloads(struct tun_queue *q)
{
	if (!q->has_header)
		return;
	q->has_uso = ioctl(q->fd, TUNSETOFFLOAD, OFFLOAD_USO) == 0;
	q->has_tso = q->has_uso || ioctl(q->fd, TUNSETOFFLOAD, OFFLOAD_TSO) == 0;
}

static int attach(int fd, const char *name, bool multi_queue, bool has_header)
{
	struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	if (multi_queue)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	if (has_header)
		req.ifr_flags |= IFF_VNET_HDR;
	memcpy(req.ifr_name, name, strlen(name));
	return ioctl(fd, TUNSETIFF, &req) < 0 ? -errno : 0;
}

int tun_open(const char *name, bool multi_queue, struct tun_queue *ret)
{
	struct tun_queue q = { .fd = -1, .has_header = true };
	int err = 0;

	if (!name[0] || strlen(name) >= sizeof(q.name))
		return -ENAMETOOLONG;
	q.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (q.fd < 0)
		return -errno;
	err = attach(q.fd, name, multi_queue, true);
	if (err < 0) {
		close(q.fd);
		return err;
	}
	memcpy(q.name, name, strlen(name));
	ask_offloads(&q);
	*ret = q;
	return 0;
}

int tun_adopt(int fd, struct tun_queue *ret)
{
	struct tun_queue q = { .fd = fd };
	struct ifreq req = { 0 };

	if (ioctl(fd, TUNGETIFF, &req) < 0)
		return -errno;
	if (!(req.ifr_flags & IFF_TUN))
		return -EINVAL;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	q.has_header = req.ifr_flags & IFF_VNET_HDR;
	memcpy(q.name, req.ifr_name, sizeof(q.name));
	q.name[sizeof(q.name) - 1] = '\0';
	ask_offloads(&q);
	*ret = q;
	return 0;
}

void tun_close(struct tun_queue *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
}

static int read_header(const struct virtio_net_hdr *h, struct inet_offload *ret)
{
	*ret = (struct inet_offload){
		.gso_size = h->gso_size,
		.csum_start = h->csum_start,
		.csum_offset = h->csum_offset,
		.needs_csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
	};
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		ret->gso = INET_GSO_NONE;
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		ret->gso = INET_GSO_TCP4;
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		ret->gso = INET_GSO_TCP6;
		return 0;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		ret->gso = INET_GSO_UDP;
		return 0;
	default:
		return ERR_FORMAT;
	}
}

ssize_t tun_read(const struct tun_queue *q, void *packet, size_t room, struct inet_offload *ret)
{
	struct virtio_net_hdr h = { 0 };
	struct iovec iov[2] = { { &h, sizeof(h) }, { packet, room } };
	ssize_t n = q->has_header ? readv(q->fd, iov, 2) : read(q->fd, packet, room);
	int err = 0;

	if (n < 0)
		return -errno;
	if (q->has_header) {
		if (n < (ssize_t)sizeof(h))
			return ERR_FORMAT;
		n -= (ssize_t)sizeof(h);
	}
	err = read_header(&h, ret);
	return err < 0 ? err : n;
}

static uint8_t gso_type(enum inet_gso gso)
{
	switch (gso) {
	case INET_GSO_NONE:
		break;
	case INET_GSO_TCP4:
		return VIRTIO_NET_HDR_GSO_TCPV4;
	case INET_GSO_TCP6:
		return VIRTIO_NET_HDR_GSO_TCPV6;
	case INET_GSO_UDP:
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	}
	return VIRTIO_NET_HDR_GSO_NONE;
}

int tun_write(const struct tun_queue *q, struct iovec *slices, size_t n,
	      const struct inet_offload *offload)
{
	struct virtio_net_hdr h = {
		.flags = offload->needs_csum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.gso_type = gso_type(offload->gso),
		.gso_size = offload->gso == INET_GSO_NONE ? 0 : offload->gso_size,
		.csum_start = offload->csum_start,
		.csum_offset = offload->csum_offset,
	};

	if (offload->gso != INET_GSO_NONE)
		h.hdr_len = (uint16_t)(offload->csum_start +
				       (offload->gso == INET_GSO_UDP ? 8 : 20));
	if (q->has_header) {
		slices--;
		n++;
		slices[0] = (struct iovec){ &h, sizeof(h) };
	}
	return writev(q->fd, slices, (int)n) < 0 ? -errno : 0;
}
