/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/capability.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/state.h"
#include "net/linkwatch.h"
#include "net/netlink.h"
#include "net/udp_socket.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/memory.h"
#include "sys/privileges.h"
#include "sys/random.h"

enum {
	DEFAULT_MTU = 1420,
	TXQUEUELEN = 4096,
	/* A super-frame of full packets makes exactly one block of 65 507 octets, also with the PAD
	 * of every level: one packet more, and each super-frame would cost a second call. */
	GSO_SEGMENTS = 44,
	GSO_SIZE = 65536,
	MEMORY_MIN = 4 << 20,
	DATA_BUFFERS_MIN = 2, /* of 64 KiB, per worker */
	DATA_BUFFERS_MAX = 16,
};
/* --- Opening --- */

static int take_over_queues(struct device *dev, const struct device_options *o, struct diag *d)
{
	struct handover *h = &dev->handover;
	int err = handover_take(o->name, h, d);

	if (err < 0)
		return err;
	dev->takes_over = true;
	dev->n_workers = h->n_queues;
	for (unsigned int i = 0; i < h->n_queues; i++) {
		err = tun_adopt(h->queues[i], &dev->shared.queues[i]);
		if (err < 0)
			return diag_set(d, err, 0, "cannot use the interface handed over: %s",
					err_text(err));
		h->queues[i] = -1;
		dev->shared.n_queues++;
	}
	memcpy(dev->name, dev->shared.queues[0].name, sizeof(dev->name));
	return 0;
}

static int open_tun(struct device *dev, const struct device_options *o, struct diag *d)
{
	bool multi = dev->n_workers > 1;
	struct tun_queue *q = dev->shared.queues;

	if (o->takes_over)
		return take_over_queues(dev, o, d);
	int err = o->tun_fd >= 0 ? tun_adopt(o->tun_fd, q) : tun_open(o->name, multi, q);

	if (err < 0 && o->tun_fd >= 0)
		return diag_set(d, err, 0, "WG_TUN_FD=%d is no TUN interface: %s", o->tun_fd,
				err_text(err));
	if (err == -EPERM || err == -EACCES)
		return diag_set(d, err, 0,
				"no permission to create %s: run as root or with CAP_NET_ADMIN",
				o->name);
	if (err == -ENOENT || err == -ENODEV)
		return diag_set(
			d, err, 0,
			"there is no /dev/net/tun: load the module tun, or pass the device in");
	if (err == -EBUSY)
		return diag_set(d, err, 0, "interface %s is in use by another process",
				o->name);
	if (err == -EINVAL)
		return diag_set(
			d, err, 0,
			"%s is no name for an interface, or that of one of another kind",
			o->name);
	if (err < 0)
		return diag_set(d, err, 0, "cannot open interface %s: %s", o->name,
				err_text(err));
	dev->shared.n_queues = 1;
	memcpy(dev->name, q->name, sizeof(dev->name));
	for (unsigned int i = 1; i < dev->n_workers; i++) {
		if (tun_open(dev->name, true, &q[i]) < 0) {
			dev->n_workers =
				i; /* a queue passed in by the caller may stand alone */
			break;
		}
		dev->shared.n_queues++;
	}
	return 0;
}

/* No interface: a pair of sockets takes its place for the one thread that hands packets to another. */
static int open_usernet(struct device *dev, const struct device_options *o, struct diag *d)
{
	struct usernet_options options = *o->usernet;
	int pair[2], err = 0;

	dev->n_workers = 1; /* a flow has one thread */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return diag_set(d, -errno, 0, "cannot make a pair of sockets: %s",
				err_text(-errno));
	dev->shared.queues[0] = (struct tun_queue){
		.fd = pair[0], .has_header = true, .has_tso = true, .has_uso = true
	};
	dev->shared.handed = dev->shared.queues[0];
	dev->shared.handed.fd = pair[1];
	dev->shared.n_queues = 1;
	memcpy(dev->name, o->name, strlen(o->name) + 1);
	worker_usernet(&dev->workers[0], &options);
	err = usernet_new(&options, &dev->shared.usernet, d);
	if (err < 0)
		return err;
	engine_set_mtu(dev->shared.engine, options.mtu);
	if (usernet_tier(dev->shared.usernet) == USERNET_TIER_A)
		log_info("usernet: tier A, TCP of peers by the kernel in a namespace of ours");
	else
		log_info("usernet: tier B, TCP of peers by ourselves%s%s",
			 d->text[0] ? ": " : "", d->text);
	d->text[0] = '\0';
	return 0;
}

/* What the data path likes. An interface that was passed in belongs to someone who may
 * have decided otherwise, and may have taken our capability: then it stays as it is. */
static int shape_link(struct device *dev, bool is_ours, struct diag *d)
{
	struct netlink *nl = NULL;
	struct netlink_link link = { 0 };
	int err = netlink_open(&nl);

	if (err == 0)
		err = netlink_link_find(nl, dev->name, &link);
	if (err < 0) {
		netlink_close(nl);
		return diag_set(d, err, 0, "cannot look at interface %s: %s", dev->name,
				err_text(err));
	}
	dev->index = link.index;
	if (is_ours) {
		netlink_link_set_mtu(nl, link.index, DEFAULT_MTU);
		link.mtu = DEFAULT_MTU;
	}
	netlink_link_set_txqueuelen(nl, link.index, TXQUEUELEN);
	netlink_link_set_gso(nl, link.index, GSO_SIZE, GSO_SEGMENTS);
	engine_set_mtu(dev->shared.engine, link.mtu);
	netlink_close(nl);
	return 0;
}

static void fill_random(void *context, void *out, size_t len)
{
	(void)context;
	random_fill(out, len);
}

static int open_engine(struct device *dev, size_t memory_bytes, struct diag *d)
{
	struct engine_options options = {
		.random = fill_random,
		.staged_bytes_max = memory_bytes / 8,
		.packets_max = DEVICE_PACKETS_PER_RECEIVE,
	};
	int err = engine_new(&options, &dev->shared.engine);

	if (err == 0)
		err = engine_worker_new(dev->shared.engine, &dev->control);
	if (err < 0)
		return diag_set(d, err, 0, "cannot set up the ciphers: %s", err_text(err));
	return 0;
}

/* Half of the budget is for receive buffers, as far as they are of use. */
static unsigned int buffers_within(size_t memory_bytes, unsigned int workers)
{
	size_t n = memory_bytes / 2 / workers / 65536;

	if (n < DATA_BUFFERS_MIN)
		return DATA_BUFFERS_MIN;
	return n > DATA_BUFFERS_MAX ? DATA_BUFFERS_MAX : (unsigned int)n;
}

static int open_workers(struct device *dev, size_t memory_bytes, struct diag *d)
{
	int err = gate_init(&dev->shared.gate);

	if (err == 0)
		err = sockets_init(&dev->shared.sockets, dev->n_workers);
	if (err < 0)
		return diag_set(d, err, 0, "cannot make UDP sockets: %s", err_text(err));
	if (dev->shared.sockets.is_small)
		log_warning(
			"the kernel keeps socket buffers small without CAP_NET_ADMIN: expect loss in bursts; "
			"raise net.core.rmem_max and wmem_max to %d",
			UDP_BUFFER_BYTES);
	control_steer(dev); /* before there are sockets: those of another keep what they have */
	if (dev->takes_over && dev->handover.has_sockets)
		sockets_adopt(&dev->shared.sockets, &dev->handover.v4, &dev->handover.v6);
	dev->shared.data_buffers = buffers_within(memory_bytes, dev->n_workers);
	err = worker_init(&dev->keeper, &dev->shared, 0, true);
	for (unsigned int i = 0; i < dev->n_workers && err == 0; i++)
		err = worker_init(&dev->workers[i], &dev->shared, i, false);
	if (err < 0)
		return diag_set(d, err, 0, "cannot set up the workers: %s", err_text(err));
	return 0;
}

static bool is_listening(int fd)
{
	int listens = 0, domain = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

/* Without a directory for `awg` the device is still one for `wg`. */
static int listen_for_tools(struct device *dev, bool is_needed, struct diag *d)
{
	for (int i = 0; i < UAPI_DIALECTS; i++) {
		int fd = uapi_listen((enum uapi_dialect)i, dev->name, d);

		if (fd == -EADDRINUSE || (fd < 0 && i == UAPI_WIREGUARD && is_needed))
			return fd;
		if (fd < 0)
			log_warning("no socket for %s: %s", i == UAPI_WIREGUARD ? "wg" : "awg",
				    d->text);
		dev->uapi[i] = fd < 0 ? -1 : fd;
		dev->owns_socket[i] = fd >= 0;
	}
	return 0;
}

static int open_socket(struct device *dev, const struct device_options *o, struct diag *d)
{
	size_t len = strlen(dev->name);

	memcpy(dev->socket_name, dev->name, len);
	memcpy(dev->socket_name + len, ".sock", sizeof(".sock"));
	if (dev->takes_over) { /* their files are not ours before the old one says so */
		memcpy(dev->uapi, dev->handover.uapi, sizeof(dev->uapi));
		memset(dev->handover.uapi, -1, sizeof(dev->handover.uapi));
		return 0;
	}
	if (o->uapi_fd >= 0 && !is_listening(o->uapi_fd))
		return diag_set(d, -ENOTSOCK, 0, "WG_UAPI_FD=%d is no listening Unix socket",
				o->uapi_fd);
	if (o->uapi_fd >= 0) {
		dev->uapi[UAPI_WIREGUARD] = o->uapi_fd;
		return 0;
	}
	return listen_for_tools(dev, !o->goes_without_socket, d);
}

static unsigned int default_workers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n <= 2)
		return 1; /* no hand-over at all */
	return n - 1 > 8 ? 8 : (unsigned int)(n - 1);
}

static struct device *device_new(const struct device_options *o)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	dev->n_workers = o->workers ? o->workers : default_workers();
	memset(dev->uapi, -1, sizeof(dev->uapi));
	dev->epoll = -1;
	dev->keeper.epoll = -1;
	dev->keeper.is_keeper = true;
	dev->shared.handed.fd = -1;
	dev->shared.keeper_wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (int i = 0; i < WATCHED; i++)
		dev->fds[i] = -1;
	for (int i = 0; i < DEVICE_WORKERS_MAX; i++) {
		dev->shared.queues[i].fd = -1;
		dev->workers[i].epoll = -1;
		dev->workers[i].wake = -1;
	}
	return dev;
}

int device_open(const struct device_options *o, struct device **ret, struct diag *d)
{
	size_t memory_bytes = o->memory_bytes < MEMORY_MIN ? MEMORY_MIN : o->memory_bytes;
	struct device *dev = device_new(o);
	int err = -ENOMEM;

	if (!dev)
		return diag_set(d, err, 0, "out of memory");
	dev->reports = o->reporter;
	memory_give_back();
	/* The engine first, which takes its time: where a tunnel is taken over, it stands still
	 * from open_tun() on. */
	err = open_engine(dev, memory_bytes, d);
	if (err == 0)
		err = o->usernet ? open_usernet(dev, o, d) : open_tun(dev, o, d);
	if (err == 0 && !o->usernet)
		err = shape_link(dev, o->tun_fd < 0 && !o->takes_over, d);
	if (err == 0)
		err = open_workers(dev, memory_bytes, d);
	if (err == 0)
		err = open_socket(dev, o, d);
	if (err == 0)
		err = events_open(dev, d);
	if (err == 0) {
		*ret = dev;
		dev = NULL;
	}
	device_free(dev);
	return err;
}

/* --- Running --- */

/* Our sockets' files have to be removed at the end: their directories are all that is left of
 * the file system. Without files of our own nothing is. */
static int drop_files(const struct device *dev)
{
	const char *paths[UAPI_DIALECTS];
	size_t n = 0;
	int err = 0;

	if (privileges_is_sanitized()) {
		privileges_add_gap("landlock (sanitizer build)");
		return 0;
	}
	for (int i = 0; i < UAPI_DIALECTS; i++)
		if (dev->owns_socket[i] || (dev->takes_over && dev->uapi[i] >= 0))
			paths[n++] = uapi_directory((enum uapi_dialect)i);
	err = privileges_landlock(paths, n);
	return err == -ENOTSUP ? 0 : err;
}

static int drop_privileges(const struct device *dev, struct diag *d)
{
	static const int caps[] = { CAP_NET_RAW, CAP_NET_BIND_SERVICE };
	int err = privileges_no_dump();

	if (err == 0)
		err = drop_files(dev);
	if (err == 0)
		err = privileges_keep_caps(caps, sizeof(caps) / sizeof(caps[0]));
	if (err < 0)
		return diag_set(d, err, 0, "cannot give up privileges: %s", err_text(err));
	return 0;
}

static int start_threads(struct device *dev, struct diag *d)
{
	int err = worker_start(&dev->keeper);

	for (unsigned int i = 0; i < dev->n_workers && err == 0; i++)
		err = worker_start(&dev->workers[i]);
	if (err == 0)
		err = reporter_start(&dev->reporter, &dev->reports, dev);
	/* After the threads exist: the filter covers them all and allows no new process. */
	if (err == 0)
		err = privileges_seccomp(dev->shared.usernet ? PRIVILEGES_USERNET
							     : PRIVILEGES_DEVICE);
	if (err < 0)
		return diag_set(d, err, 0, "cannot start: %s", err_text(err));
	return 0;
}

static void stop_threads(struct device *dev)
{
	reporter_stop(&dev->reporter);
	atomic_store(&dev->shared.is_stopping, true);
	gate_open(&dev->shared.gate); /* in a handover, on either side, they wait there */
	control_wake_all(dev);
	for (unsigned int i = 0; i < dev->n_workers; i++)
		worker_join(&dev->workers[i]);
	worker_join(&dev->keeper);
}

/* As the old one was, before any thread runs. */
static int become(struct device *dev, struct diag *d)
{
	int err = 0;

	engine_enter(dev->control);
	err = handover_apply(&dev->handover, dev->shared.engine, dev->control, clock_boot_ns(),
			     clock_wall_ns(), &dev->port, &dev->mark, d);
	if (err == 0 && dev->shared.sockets.port) {
		dev->shared.sockets.mark = dev->mark;
		err = control_watch_sockets(dev);
		control_steer(dev);
		dev->link_is_up = true;
		dev->is_up = true;
		engine_set_up(dev->control, clock_boot_ns(), true);
	}
	engine_leave(dev->control);
	control_wake_keeper(dev);
	/* No thread passes before the old process has stopped for good: relieve(). */
	gate_close(&dev->shared.gate, control_wake_all, dev);
	return err;
}

/* Everything that can fail is behind us: the old process may end. */
static int relieve(struct device *dev, struct diag *d)
{
	int err;

	engine_enter(dev->control);
	err = handover_stop(&dev->handover, dev->shared.engine, dev->control, clock_boot_ns(),
			    &dev->mark, d);
	engine_leave(dev->control);
	if (err < 0)
		return err;
	dev->shared.sockets.mark = dev->mark;
	control_steer(dev);
	err = handover_done(&dev->handover);
	handover_free(&dev->handover);
	if (err < 0)
		return diag_set(
			d, err, 0,
			"the process that serves %s goes on: it did not hear in time that "
			"everything is ready",
			dev->name);
	for (int i = 0; i < UAPI_DIALECTS; i++)
		dev->owns_socket[i] = dev->uapi[i] >= 0;
	gate_open(&dev->shared.gate);
	log_info("took over from another process");
	return 0;
}

/* There is no link that could be down. */
static void go_up_at_once(struct device *dev)
{
	dev->link_is_up = true;
	engine_enter(dev->control);
	control_go_up(dev);
	engine_leave(dev->control);
	control_wake_keeper(dev);
}

int device_start(struct device *dev, struct diag *d)
{
	int err = dev->takes_over ? become(dev, d) : 0;

	if (err == 0)
		err = drop_privileges(dev, d);
	if (err == 0)
		err = start_threads(dev, d);
	if (err == 0 && dev->shared.usernet)
		go_up_at_once(dev);
	else if (err == 0)
		err = linkwatch_ask(dev->fds[WATCHED_LINK], dev->index);
	if (err == 0 && dev->takes_over)
		err = relieve(dev, d);
	if (err == 0 && privileges_gaps()[0])
		log_warning("this kernel could not enforce: %s", privileges_gaps());
	if (err < 0)
		stop_threads(dev);
	return err;
}

int device_configure(struct device *dev, const struct uapi_set *set, struct diag *d)
{
	const struct uapi_handler handler = control_handler(dev);
	int err = handler.set(handler.context, set, d);

	return err == UAPI_EADDRINUSE ? -EADDRINUSE : err ? -EINVAL : 0;
}

void device_count(const struct device *dev, struct device_numbers *ret)
{
	*ret = (struct device_numbers){ .flows = 0 };
	engine_counters(dev->shared.engine, &ret->engine);
	if (!dev->shared.usernet)
		return;
	ret->flows = usernet_flows(dev->shared.usernet);
	for (int i = 0; i < USERNET_COUNTS; i++)
		ret->usernet[i] = usernet_counted(dev->shared.usernet, (enum usernet_count)i);
}

int device_run(struct device *dev, struct diag *d)
{
	int err = 0;

	while (err == 0 && !dev->is_over) {
		err = events_wait(dev);
		if (err < 0)
			diag_set(d, err, 0, "waiting for events failed: %s", err_text(err));
	}
	stop_threads(dev);
	return err;
}

struct device *device_free(struct device *dev)
{
	char path[108];

	if (!dev)
		return NULL;
	uapi_server_free(dev->server);
	if (dev->takes_over)
		handover_free(&dev->handover);
	for (int i = 0; i < UAPI_DIALECTS; i++) {
		if (dev->owns_socket[i]) {
			uapi_path((enum uapi_dialect)i, dev->name, path);
			unlink(path);
		}
		if (dev->uapi[i] >= 0)
			close(dev->uapi[i]);
	}
	for (unsigned int i = 0; i < DEVICE_WORKERS_MAX; i++)
		worker_done(&dev->workers[i]);
	worker_done(&dev->keeper);
	usernet_free(dev->shared.usernet);
	tun_close(&dev->shared.handed);
	engine_worker_free(dev->control);
	engine_free(dev->shared.engine);
	if (dev->shared.sockets.workers) {
		sockets_done(&dev->shared.sockets);
		gate_done(&dev->shared.gate);
	}
	for (unsigned int i = 0; i < DEVICE_WORKERS_MAX; i++)
		tun_close(&dev->shared.queues[i]);
	for (int i = 0; i < WATCHED; i++)
		if (dev->fds[i] >= 0)
			close(dev->fds[i]);
	if (dev->epoll >= 0)
		close(dev->epoll);
	if (dev->shared.keeper_wake >= 0)
		close(dev->shared.keeper_wake);
	free(dev);
	return NULL;
}
