/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/capability.h>
#include <malloc.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "device/handover.h"
#include "device/uapi_apply.h"
#include "device/uapi_server.h"
#include "device/worker.h"
#include "net/linkwatch.h"
#include "net/netlink.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/privileges.h"
#include "sys/random.h"

enum {
	DEFAULT_MTU = 1420,
	TXQUEUELEN = 4096,
	/* A super-frame of full packets then makes exactly one block of 65 507 octets. */
	GSO_SEGMENTS = 45,
	GSO_SIZE = 65536,
	PACKETS_PER_RECEIVE = 256,
	MEMORY_MIN = 4 << 20,
	DATA_BUFFERS_MIN = 2, /* of 64 KiB, per worker */
	DATA_BUFFERS_MAX = 16,
	EVENTS = 16,
};

/* Descriptors of the control thread that are not UAPI connections. */
enum watched {
	WATCHED_SIGNALS,
	WATCHED_LINK,
	WATCHED_FILE,
	WATCHED_CLOCK,
	WATCHED_TICK, /* runs while somebody watches */
	WATCHED,
};

struct device {
	char name[TUN_NAME_MAX];
	char socket_name[TUN_NAME_MAX + 8];
	unsigned int index;
	unsigned int n_workers;
	struct worker_shared shared;
	struct worker workers[DEVICE_WORKERS_MAX];
	struct worker keeper;
	struct engine_worker *control; /* the control thread's own */
	uint16_t port;		       /* wanted; 0: any */
	uint32_t mark;
	bool is_up;
	bool is_over;
	bool owns_socket;     /* its file is ours to remove */
	bool is_handing_over; /* the gate is closed; a successor gets ready */
	bool takes_over;
	struct handover handover; /* where it @takes_over */
	uint64_t slept_ns;	  /* boot clock less monotonic clock, last seen */
	int uapi;
	int epoll;
	int fds[WATCHED];
	struct uapi_server *server;
};

/* --- Stopping the others --- */

static void wake_all(void *context)
{
	struct device *dev = context;

	for (unsigned int i = 0; i < dev->n_workers; i++)
		worker_wake(&dev->workers[i]);
	worker_wake(&dev->keeper);
}

static void wake_keeper(struct device *dev)
{
	if (engine_wants_keeper(dev->control))
		worker_wake(&dev->keeper);
}

/* --- Sockets --- */

static int watch_all_sockets(struct device *dev)
{
	int err = worker_watch_sockets(&dev->keeper);

	for (unsigned int i = 0; i < dev->n_workers && err == 0; i++)
		err = worker_watch_sockets(&dev->workers[i]);
	return err;
}

/* Close what is open and open @port. On failure the old port is opened again. */
static int rebind(struct device *dev, uint16_t port, uint32_t mark)
{
	struct sockets *s = &dev->shared.sockets;
	uint16_t old_port = s->port;
	uint32_t old_mark = s->mark;
	int err = 0, again = 0;

	gate_close(&dev->shared.gate, wake_all, dev);
	sockets_close(s);
	err = sockets_open(s, port, mark);
	if (err < 0 && old_port)
		again = sockets_open(s, old_port, old_mark);
	if (again == 0)
		again = watch_all_sockets(dev);
	gate_open(&dev->shared.gate);
	if (again < 0)
		log_error("the sockets could not be opened again: %s", err_text(again));
	engine_forget_sources(dev->control);
	return err;
}

static int set_port(struct device *dev, uint16_t port)
{
	int err = 0;

	/* The same port again is no reason to lose what the kernel has queued. */
	if (dev->is_up && (port == 0 || port != dev->shared.sockets.port)) {
		err = rebind(dev, port, dev->mark);
		port = dev->shared.sockets.port;
	}
	if (err == 0)
		dev->port = port;
	return err;
}

static int set_mark(struct device *dev, uint32_t mark)
{
	int err = 0;

	if (mark == dev->mark)
		return 0;
	if (dev->is_up)
		err = sockets_set_mark(&dev->shared.sockets, mark);
	if (err == 0) {
		dev->mark = mark;
		engine_forget_sources(dev->control);
	}
	return err;
}

static void go_up(struct device *dev)
{
	int err = rebind(dev, dev->port, dev->mark);

	if (err < 0) {
		log_error(
			"cannot open UDP port %u: %s; choose another with `wg set %s listen-port N`",
			dev->port, err_text(err), dev->name);
		return;
	}
	dev->port = dev->shared.sockets.port;
	dev->is_up = true;
	engine_set_up(dev->control, clock_boot_ns(), true);
	log_info("up, listening on port %u", dev->port);
}

static void go_down(struct device *dev)
{
	engine_set_up(dev->control, clock_boot_ns(), false);
	gate_close(&dev->shared.gate, wake_all, dev);
	sockets_close(&dev->shared.sockets);
	gate_open(&dev->shared.gate);
	dev->is_up = false;
	log_info("down");
}

/* --- UAPI --- */

static int handle_set(void *context, const struct uapi_set *set, struct diag *d)
{
	struct device *dev = context;
	int err = 0;

	if (dev->is_handing_over) {
		diag_set(d, 0, 0, "the interface is being handed over: ask again");
		return UAPI_EIO;
	}
	engine_enter(dev->control);
	if (set->has_listen_port)
		err = set_port(dev, set->listen_port);
	if (err == 0 && set->has_fwmark)
		err = set_mark(dev, set->fwmark);
	if (err < 0) {
		diag_set(d, err, 0, "cannot use port %u with mark %u: %s", set->listen_port,
			 set->fwmark, err_text(err));
		err = UAPI_EADDRINUSE;
	} else {
		err = uapi_apply(dev->shared.engine, dev->control, clock_boot_ns(), set, d);
	}
	engine_leave(dev->control);
	wake_keeper(dev);
	return err;
}

static void handle_get(void *context, struct text *out)
{
	struct device *dev = context;

	engine_enter(dev->control);
	uapi_dump(dev->shared.engine, out, dev->port, dev->mark);
	engine_leave(dev->control);
}

static void handle_watched(void *context, bool is_watched)
{
	struct device *dev = context;
	struct itimerspec tick = { .it_interval.tv_sec = is_watched,
				   .it_value.tv_sec = is_watched };

	if (timerfd_settime(dev->fds[WATCHED_TICK], 0, &tick, NULL) < 0)
		log_error("cannot set the timer for those who watch: %s", err_text(-errno));
}

static void tick_came(struct device *dev)
{
	struct text changes = { 0 };
	uint64_t times = 0;

	if (read(dev->fds[WATCHED_TICK], &times, sizeof(times)) < 0)
		return;
	engine_enter(dev->control);
	uapi_dump_changes(dev->shared.engine, &changes);
	engine_leave(dev->control);
	if (changes.len && !changes.err)
		uapi_server_tell(dev->server, changes.data, changes.len);
	text_done(&changes);
}

/* --- Handing over --- */

static size_t handle_handover(void *context, struct text *out, int *fds)
{
	struct device *dev = context;
	size_t n = 0;

	if (dev->is_handing_over)
		return 0;
	dev->is_handing_over = true;
	gate_close(&dev->shared.gate, wake_all, dev);
	n = handover_offer(&dev->shared, dev->uapi, out, fds);
	handle_get(dev, out);
	return n;
}

static void handle_handover_end(void *context, bool is_done)
{
	struct device *dev = context;

	gate_open(&dev->shared.gate);
	dev->is_handing_over = false;
	if (is_done) {
		log_info("handed over to another process");
		dev->is_over = true;
		dev->owns_socket = false;
	} else {
		log_warning("a successor went away before it was ready: going on");
	}
}

/* --- Events --- */

static void link_changed(struct device *dev)
{
	struct linkwatch_change change = { 0 };

	while (linkwatch_read(dev->fds[WATCHED_LINK], dev->index, &change))
		;
	if (change.is_gone) {
		log_info("the interface was deleted");
		dev->is_over = true;
		return;
	}
	engine_enter(dev->control);
	if (change.mtu)
		engine_set_mtu(dev->shared.engine, change.mtu);
	if (change.went_down && dev->is_up)
		go_down(dev);
	if (change.link_changed && change.is_up && !dev->is_up)
		go_up(dev);
	else if (change.link_changed && !change.is_up && dev->is_up)
		go_down(dev);
	if (change.routes_changed)
		engine_forget_sources(dev->control);
	engine_leave(dev->control);
	if (change.overrun)
		linkwatch_ask(dev->fds[WATCHED_LINK], dev->index);
	wake_keeper(dev);
}

static void file_changed(struct device *dev)
{
	_Alignas(struct inotify_event) char buffer[4096];
	ssize_t n = read(dev->fds[WATCHED_FILE], buffer, sizeof(buffer));

	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		if (event->len && strcmp(event->name, dev->socket_name) == 0) {
			log_info("the control socket was deleted");
			dev->is_over = true;
			dev->owns_socket = false;
		}
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

static uint64_t slept_ns(void)
{
	struct timespec mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	return clock_boot_ns() -
	       ((uint64_t)mono.tv_sec * ENGINE_SECOND + (uint64_t)mono.tv_nsec);
}

/* A timer on the wall clock that the kernel cancels when the clock is set or the machine
 * woke up: nothing polls. */
static int arm_clock_watch(int fd)
{
	struct itimerspec never = { .it_value.tv_sec = (time_t)4102444800 }; /* the year 2100 */

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) <
			       0
		       ? -errno
		       : 0;
}

static void clock_changed(struct device *dev)
{
	uint64_t slept = slept_ns(), value = 0;

	if (read(dev->fds[WATCHED_CLOCK], &value, sizeof(value)) < 0 && errno == EAGAIN)
		return;
	arm_clock_watch(dev->fds[WATCHED_CLOCK]);
	if (slept < dev->slept_ns + ENGINE_SECOND / 10)
		return;
	dev->slept_ns = slept;
	log_info("the machine slept: all session keys are dropped");
	engine_enter(dev->control);
	engine_forget_keys(dev->control, clock_boot_ns());
	engine_leave(dev->control);
	wake_keeper(dev);
}

static void signal_came(struct device *dev)
{
	struct signalfd_siginfo info;

	if (read(dev->fds[WATCHED_SIGNALS], &info, sizeof(info)) == (ssize_t)sizeof(info))
		dev->is_over = true;
}

static void handle_event(struct device *dev, const struct epoll_event *event)
{
	if (event->data.ptr == &dev->fds[WATCHED_SIGNALS])
		signal_came(dev);
	else if (
		dev->is_handing_over) /* what else happens is for the successor, or for later */
		uapi_server_event(dev->server, event->data.ptr, event->events);
	else if (event->data.ptr == &dev->fds[WATCHED_LINK])
		link_changed(dev);
	else if (event->data.ptr == &dev->fds[WATCHED_FILE])
		file_changed(dev);
	else if (event->data.ptr == &dev->fds[WATCHED_CLOCK])
		clock_changed(dev);
	else if (event->data.ptr == &dev->fds[WATCHED_TICK])
		tick_came(dev);
	else
		uapi_server_event(dev->server, event->data.ptr, event->events);
}

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
		.packets_max = PACKETS_PER_RECEIVE,
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

static int open_socket(struct device *dev, const struct device_options *o, struct diag *d)
{
	size_t len = strlen(dev->name);

	memcpy(dev->socket_name, dev->name, len);
	memcpy(dev->socket_name + len, ".sock", sizeof(".sock"));
	if (dev->takes_over) {
		dev->uapi = dev->handover.uapi;
		dev->handover.uapi = -1;
		dev->owns_socket = true;
		return 0;
	}
	if (o->uapi_fd >= 0) {
		dev->uapi = o->uapi_fd;
		return 0;
	}
	dev->uapi = uapi_listen(dev->name, d);
	if (dev->uapi < 0)
		return dev->uapi;
	dev->owns_socket = true;
	return 0;
}

static int watch(struct device *dev, enum watched what, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &dev->fds[what] };

	dev->fds[what] = fd;
	if (fd < 0)
		return fd;
	return epoll_ctl(dev->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int watch_signals(struct device *dev)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	return watch(dev, WATCHED_SIGNALS, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

static int watch_file(struct device *dev)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[108];

	if (fd < 0)
		return -errno;
	uapi_path(dev->name, path);
	*strrchr(path, '/') =
		'\0'; /* the directory: a file's own watch does not tell its name's end */
	if (inotify_add_watch(fd, path, IN_DELETE | IN_MOVED_FROM) < 0 && errno != ENOENT) {
		int err = -errno;

		close(fd);
		return err;
	}
	return watch(dev, WATCHED_FILE, fd);
}

static int watch_clock(struct device *dev)
{
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);

	dev->slept_ns = slept_ns();
	return fd < 0			 ? -errno
	       : arm_clock_watch(fd) < 0 ? -EINVAL
					 : watch(dev, WATCHED_CLOCK, fd);
}

static int open_events(struct device *dev, struct diag *d)
{
	const struct uapi_handler handler = {
		.set = handle_set,
		.get = handle_get,
		.watched = handle_watched,
		.handover = handle_handover,
		.handover_end = handle_handover_end,
		.context = dev,
	};
	int err = 0;

	dev->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (dev->epoll < 0)
		err = -errno;
	if (err == 0)
		err = watch_signals(dev);
	if (err == 0)
		err = watch(dev, WATCHED_LINK, linkwatch_open());
	if (err == 0)
		err = watch_file(dev);
	if (err == 0)
		err = watch_clock(dev);
	if (err == 0)
		err = watch(dev, WATCHED_TICK,
			    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	if (err == 0)
		err = uapi_server_new(dev->uapi, dev->epoll, &handler, &dev->server);
	if (err < 0)
		return diag_set(d, err, 0, "cannot watch for events: %s", err_text(err));
	return 0;
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
	dev->uapi = -1;
	dev->epoll = -1;
	dev->keeper.epoll = -1;
	dev->keeper.is_keeper = true;
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
	/* One arena: threads of ours allocate rarely, and arenas keep memory. */
	mallopt(M_ARENA_MAX, 1);
	err = open_tun(dev, o, d);
	if (err == 0)
		err = open_engine(
			dev, o->memory_bytes < MEMORY_MIN ? MEMORY_MIN : o->memory_bytes, d);
	if (err == 0)
		err = shape_link(dev, o->tun_fd < 0 && !o->takes_over, d);
	if (err == 0)
		err = open_workers(dev, memory_bytes, d);
	if (err == 0)
		err = open_socket(dev, o, d);
	if (err == 0)
		err = open_events(dev, d);
	if (err == 0) {
		*ret = dev;
		dev = NULL;
	}
	device_free(dev);
	return err;
}

/* --- Running --- */

static int drop_privileges(struct diag *d)
{
	static const int caps[] = { CAP_NET_RAW, CAP_NET_BIND_SERVICE };
	int err = privileges_no_dump();

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
	/* After the threads exist: the filter covers them all and allows no new process. */
	if (err == 0)
		err = privileges_seccomp(PRIVILEGES_DEVICE);
	if (err < 0)
		return diag_set(d, err, 0, "cannot start: %s", err_text(err));
	return 0;
}

static void stop_threads(struct device *dev)
{
	atomic_store(&dev->shared.is_stopping, true);
	wake_all(dev);
	for (unsigned int i = 0; i < dev->n_workers; i++)
		worker_join(&dev->workers[i]);
	worker_join(&dev->keeper);
}

/* As the old one was, before any thread runs; then it may end. */
static int become(struct device *dev, struct diag *d)
{
	int err = 0;

	engine_enter(dev->control);
	err = handover_apply(&dev->handover, dev->shared.engine, dev->control, clock_boot_ns(),
			     clock_wall_ns(), &dev->port, &dev->mark, d);
	if (err == 0 && dev->shared.sockets.port) {
		dev->shared.sockets.mark = dev->mark;
		err = watch_all_sockets(dev);
		dev->is_up = true;
		engine_set_up(dev->control, clock_boot_ns(), true);
	}
	engine_leave(dev->control);
	if (err == 0)
		err = handover_done(&dev->handover);
	handover_free(&dev->handover);
	wake_keeper(dev);
	return err;
}

/* Return: what to wait at most, while a successor keeps everybody waiting. */
static int patience_ms(const struct device *dev)
{
	return dev->is_handing_over ? HANDOVER_PATIENCE_MS : -1;
}

int device_run(struct device *dev, struct diag *d)
{
	struct epoll_event events[EVENTS];
	int err = dev->takes_over ? become(dev, d) : 0;

	if (err == 0)
		err = drop_privileges(d);

	if (err == 0)
		err = start_threads(dev, d);
	if (err == 0)
		err = linkwatch_ask(dev->fds[WATCHED_LINK], dev->index);
	if (err == 0 && privileges_gaps()[0])
		log_warning("this kernel could not enforce: %s", privileges_gaps());
	while (err == 0 && !dev->is_over) {
		int n = epoll_wait(dev->epoll, events, EVENTS, patience_ms(dev));

		if (n == 0)
			uapi_server_end_handover(dev->server);
		if (n < 0 && errno != EINTR)
			err = diag_set(d, -errno, 0, "waiting for events failed: %s",
				       err_text(-errno));
		for (int i = 0; i < n && !dev->is_over; i++)
			handle_event(dev, &events[i]);
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
	if (dev->owns_socket) {
		uapi_path(dev->name, path);
		unlink(path);
	}
	for (unsigned int i = 0; i < DEVICE_WORKERS_MAX; i++)
		worker_done(&dev->workers[i]);
	worker_done(&dev->keeper);
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
	if (dev->uapi >= 0)
		close(dev->uapi);
	if (dev->epoll >= 0)
		close(dev->epoll);
	if (dev->shared.keeper_wake >= 0)
		close(dev->shared.keeper_wake);
	free(dev);
	return NULL;
}
