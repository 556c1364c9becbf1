/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy_tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>

#include "inet/split.h"
#include "net/netlink.h"
#include "net/tun.h"
#include "sys/clock.h"

enum {
	PACKETS = 64, /* read before they are worked on */
	PACKET_ROOM = 65536,
	BUFFER_BYTES = 4 * PACKET_ROOM,
	ROUNDS = 4, /* until connections have their turn */
	MILLISECOND_NS = 1000000,
};

struct proxy_tunnel {
	struct tun_queue tun;
	struct usernet *usernet;
	bool is_gone; /* the interface */
	uint8_t *buffer;
	struct inet_write writes[PACKETS];
	struct iovec slices[PACKETS];
};

/* --- To the interface --- */

static void write_one(const struct proxy_tunnel *t, uint8_t *packet, uint32_t len,
		      const struct inet_offload *offload)
{
	struct iovec slices[2] = { [1] = { packet, len } };

	/* A full queue drops, as any does: the connection notices. */
	(void)tun_write(&t->tun, slices + 1, 1, offload);
}

/* For a kernel that does not take super-frames, or no checksums that are still to be made. */
static void write_apart(const struct proxy_tunnel *t, struct engine_packet *p)
{
	const struct inet_offload none = { 0 };
	struct inet_split split;
	uint8_t *packet = NULL;
	uint32_t len = 0;

	if (p->offload.gso == INET_GSO_NONE) {
		if (p->offload.needs_csum)
			inet_checksum_finish(p->data, p->len, &p->offload);
		write_one(t, p->data, p->len, &none);
		return;
	}
	if (inet_split_begin(&split, p->data, p->len, &p->offload) < 0)
		return;
	while ((packet = inet_split_next(&split, &len)) != NULL)
		write_one(t, packet, len, &none);
}

static void write_packets(void *context, uint64_t now_ns, struct engine_packet *packets,
			  size_t n)
{
	const struct proxy_tunnel *t = context;

	(void)now_ns;
	for (size_t i = 0; i < n; i++) {
		bool is_taken = packets[i].offload.gso == INET_GSO_NONE	 ? t->tun.has_header
				: packets[i].offload.gso == INET_GSO_UDP ? t->tun.has_uso
									 : t->tun.has_tso;

		if (is_taken)
			write_one(t, packets[i].data, packets[i].len, &packets[i].offload);
		else
			write_apart(t, &packets[i]);
	}
}

static bool is_peer(void *context, const struct ip_addr *address)
{
	(void)context;
	(void)address;
	return false;
}

/* --- From the interface --- */

/* Return: false when nothing is left. */
static bool read_packets(struct proxy_tunnel *t, uint64_t now_ns)
{
	size_t n = 0, used = 0;
	ssize_t len = 0;

	while (n < PACKETS && used + PACKET_ROOM <= BUFFER_BYTES) {
		struct inet_write *w = &t->writes[n];

		*w = (struct inet_write){ .header = t->buffer + used,
					  .first_slice = (uint32_t)n,
					  .n_slices = 1 };
		len = tun_read(&t->tun, w->header, PACKET_ROOM, &w->offload);
		if (len == ERR_FORMAT || len == -EINTR)
			continue;
		if (len <= 0)
			break;
		w->len = (uint32_t)len;
		t->slices[n++] = (struct iovec){ w->header, (size_t)len };
		used += ((size_t)len + 63) & ~(size_t)63;
	}
	t->is_gone |= len == -EBADFD;
	usernet_receive(t->usernet, now_ns, t->writes, n, t->slices);
	return len >= 0;
}

static int timeout_ms(const struct proxy_tunnel *t, uint64_t now_ns)
{
	uint64_t at = usernet_deadline_ns(t->usernet);

	if (at == UINT64_MAX)
		return -1;
	if (at <= now_ns)
		return 0;
	at = (at - now_ns + MILLISECOND_NS - 1) / MILLISECOND_NS;
	return at > 60000 ? 60000 : (int)at;
}

int proxy_tunnel_run(struct proxy_tunnel *t, int stop)
{
	struct pollfd fds[] = { { .fd = t->tun.fd, .events = POLLIN },
				{ .fd = usernet_fd(t->usernet), .events = POLLIN },
				{ .fd = stop, .events = POLLIN } };
	bool has_more = false;

	while (!t->is_gone) {
		if (poll(fds, 3, has_more ? 0 : timeout_ms(t, clock_boot_ns())) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		if (fds[2].revents)
			return 0;
		if (fds[0].revents & POLLERR) /* what a deleted interface is */
			t->is_gone = true;
		for (int i = 0; i < ROUNDS && fds[0].revents; i++)
			if (!read_packets(t, clock_boot_ns()))
				break;
		has_more = usernet_run(t->usernet, clock_boot_ns());
	}
	return -EBADFD;
}

/* --- Making and unmaking --- */

struct proxy_tunnel *proxy_tunnel_free(struct proxy_tunnel *t)
{
	if (!t)
		return NULL;
	usernet_free(t->usernet);
	tun_close(&t->tun);
	free(t->buffer);
	free(t);
	return NULL;
}

static int open_interface(struct proxy_tunnel *t, const struct proxy_tunnel_options *options,
			  struct diag *d)
{
	struct netlink *nl = NULL;
	struct netlink_link link;
	int err = tun_open(options->name, false, &t->tun);

	if (err == 0)
		err = netlink_open(&nl);
	if (err == 0)
		err = netlink_link_find(nl, options->name, &link);
	if (err == 0)
		err = netlink_link_set_mtu(nl, link.index, options->usernet.mtu);
	netlink_close(nl);
	if (err < 0)
		return diag_set(d, err, 0, "cannot make the interface %s: %s", options->name,
				err_text(err));
	return 0;
}

int proxy_tunnel_open(const struct proxy_tunnel_options *options, struct proxy_tunnel **ret,
		      struct diag *d)
{
	struct usernet_options inner = options->usernet;
	struct proxy_tunnel *t = calloc(1, sizeof(*t));
	int err = 0;

	if (!t)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	t->tun.fd = -1;
	t->buffer = aligned_alloc(64, BUFFER_BYTES);
	inner.send = write_packets;
	inner.is_peer = is_peer;
	inner.context = t;
	err = t->buffer ? open_interface(t, options, d)
			: diag_set(d, -ENOMEM, 0, "out of memory");
	if (err == 0)
		err = usernet_new(&inner, &t->usernet, d);
	if (err < 0) {
		proxy_tunnel_free(t);
		return err;
	}
	*ret = t;
	return 0;
}
