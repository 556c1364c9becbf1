/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread waits for: signals, the interface, the socket's file, the clock. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "device/state.h"
#include "net/linkwatch.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { EVENTS = 16 };

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
	if (change.link_changed)
		dev->link_is_up = change.is_up;
	if (change.went_down && dev->is_up)
		control_go_down(dev);
	if (change.link_changed && change.is_up && !dev->is_up)
		control_go_up(dev);
	else if (change.link_changed && !change.is_up && dev->is_up)
		control_go_down(dev);
	if (change.routes_changed)
		engine_forget_sources(dev->control);
	engine_leave(dev->control);
	if (change.overrun)
		linkwatch_ask(dev->fds[WATCHED_LINK], dev->index);
	control_wake_keeper(dev);
}

/* A socket of the same name that we do not serve is another's business. */
static bool is_of_ours(const struct device *dev, int watch)
{
	for (int i = 0; i < UAPI_DIALECTS; i++)
		if (watch == dev->watches[i])
			return dev->uapi[i] >= 0;
	return false;
}

static void file_changed(struct device *dev)
{
	_Alignas(struct inotify_event) char buffer[4096];
	ssize_t n = read(dev->fds[WATCHED_FILE], buffer, sizeof(buffer));

	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		const struct inotify_event *event = (const void *)(buffer + at);

		if (event->len && strcmp(event->name, dev->socket_name) == 0 &&
		    is_of_ours(dev, event->wd)) {
			log_info("a control socket was deleted");
			dev->is_over = true;
			for (int i = 0; i < UAPI_DIALECTS; i++)
				dev->owns_socket[i] &= event->wd != dev->watches[i];
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
	control_wake_keeper(dev);
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
	else if (dev->is_handing_over) /* also what the same wait brought beside its request */
		uapi_server_event(dev->server, event->data.ptr, event->events);
	else if (event->data.ptr == &dev->fds[WATCHED_LINK])
		link_changed(dev);
	else if (event->data.ptr == &dev->fds[WATCHED_FILE])
		file_changed(dev);
	else if (event->data.ptr == &dev->fds[WATCHED_CLOCK])
		clock_changed(dev);
	else if (event->data.ptr == &dev->fds[WATCHED_TICK])
		control_tell_changes(dev);
	else
		uapi_server_event(dev->server, event->data.ptr, event->events);
}

/* --- Opening --- */

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

	if (fd < 0)
		return -errno;
	for (int i = 0; i < UAPI_DIALECTS; i++) {
		/* The directory: a file's own watch does not tell its name's end. */
		const char *path = uapi_directory((enum uapi_dialect)i);

		dev->watches[i] = inotify_add_watch(fd, path, IN_DELETE | IN_MOVED_FROM);
		if (dev->watches[i] < 0 && errno != ENOENT) {
			int err = -errno;

			close(fd);
			return err;
		}
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

int events_open(struct device *dev, struct diag *d)
{
	const struct uapi_handler handler = control_handler(dev);
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

void events_pause(struct device *dev)
{
	for (int i = 0; i < WATCHED; i++)
		if (i != WATCHED_SIGNALS)
			epoll_ctl(dev->epoll, EPOLL_CTL_DEL, dev->fds[i], NULL);
}

void events_resume(struct device *dev)
{
	int err = 0;

	for (int i = 0; i < WATCHED && err == 0; i++)
		if (i != WATCHED_SIGNALS)
			err = watch(dev, (enum watched)i, dev->fds[i]);
	if (err < 0)
		log_error("cannot watch for events any more: %s", err_text(err));
}

/* Return: what to wait at most, for a successor. */
static int patience_ms(const struct device *dev)
{
	uint64_t now_ns = clock_boot_ns();

	if (!dev->is_handing_over && !dev->is_offering)
		return -1;
	if (now_ns >= dev->patience_ns)
		return 0;
	return (int)((dev->patience_ns - now_ns) / (ENGINE_SECOND / 1000)) + 1;
}

int events_wait(struct device *dev)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(dev->epoll, events, EVENTS, patience_ms(dev));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n && !dev->is_over; i++)
		handle_event(dev, &events[i]);
	/* By the clock, whatever else keeps us awake; and only after a done=1 that just came. */
	if (!dev->is_over && patience_ms(dev) == 0)
		uapi_server_end_handover(dev->server);
	return 0;
}
