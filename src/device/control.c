/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread does: the port, the mark, up and down, and UAPI. */
#include <errno.h>
#include <string.h>

#include <sys/timerfd.h>
#include <unistd.h>

#include "device/state.h"
#include "device/steering.h"
#include "device/uapi_apply.h"
#include "sys/clock.h"
#include "sys/log.h"

/* --- Stopping the others --- */

void control_wake_all(void *context)
{
	struct device *dev = context;

	for (unsigned int i = 0; i < dev->n_workers; i++)
		worker_wake(&dev->workers[i]);
	worker_wake(&dev->keeper);
}

void control_wake_keeper(struct device *dev)
{
	if (engine_wants_keeper(dev->control))
		worker_wake(&dev->keeper);
}

/* --- Sockets --- */

int control_watch_sockets(struct device *dev)
{
	int err = worker_watch_sockets(&dev->keeper);

	for (unsigned int i = 0; i < dev->n_workers && err == 0; i++)
		err = worker_watch_sockets(&dev->workers[i]);
	return err;
}

void control_steer(struct device *dev)
{
	struct udp_steering steering;

	steering_make(engine_profiles(dev->shared.engine), &steering);
	sockets_steer(&dev->shared.sockets, &steering);
}

/* Close what is open and open @port. On failure the old port is opened again. */
static int rebind(struct device *dev, uint16_t port, uint32_t mark)
{
	struct sockets *s = &dev->shared.sockets;
	uint16_t old_port = s->port;
	uint32_t old_mark = s->mark;
	int err = 0, again = 0;

	gate_close(&dev->shared.gate, control_wake_all, dev);
	sockets_close(s);
	err = sockets_open(s, port, mark);
	if (err < 0 && old_port)
		again = sockets_open(s, old_port, old_mark);
	if (again == 0)
		again = control_watch_sockets(dev);
	gate_open(&dev->shared.gate);
	if (again < 0)
		log_error("the sockets could not be opened again: %s", err_text(again));
	engine_forget_sources(dev->control);
	return err;
}

static void come_up(struct device *dev)
{
	dev->is_up = true;
	engine_set_up(dev->control, clock_boot_ns(), true);
	log_info("up, listening on port %u", dev->port);
}

static int set_port(struct device *dev, uint16_t port)
{
	int err = 0;

	/* The same port again is no reason to lose what the kernel has queued. */
	if (dev->link_is_up && (port == 0 || port != dev->shared.sockets.port)) {
		err = rebind(dev, port, dev->mark);
		port = dev->shared.sockets.port;
	}
	if (err < 0)
		return err;
	if (dev->is_up && port != dev->port) /* no longer at the one that was said */
		log_info("listening on port %u now", port);
	dev->port = port;
	if (dev->link_is_up && !dev->is_up) /* the port it had was in use */
		come_up(dev);
	return 0;
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

void control_go_up(struct device *dev)
{
	int err = rebind(dev, dev->port, dev->mark);

	if (err < 0) {
		log_error(
			"cannot open UDP port %u: %s; choose another with `wg set %s listen-port N`",
			dev->port, err_text(err), dev->name);
		return;
	}
	dev->port = dev->shared.sockets.port;
	come_up(dev);
}

void control_go_down(struct device *dev)
{
	engine_set_up(dev->control, clock_boot_ns(), false);
	gate_close(&dev->shared.gate, control_wake_all, dev);
	sockets_close(&dev->shared.sockets);
	gate_open(&dev->shared.gate);
	dev->is_up = false;
	log_info("down");
}

/* --- UAPI --- */

/* Port and mark, both or neither. */
static int set_port_and_mark(struct device *dev, const struct uapi_set *set)
{
	uint16_t old_port = dev->port;
	int err = 0;

	if (set->has_listen_port)
		err = set_port(dev, set->listen_port);
	if (err == 0 && set->has_fwmark)
		err = set_mark(dev, set->fwmark);
	if (err < 0 && dev->port != old_port)
		set_port(dev, old_port);
	return err;
}

/* --- What is allowed, and should be known --- */

/* Most paths carry 1500 octets; the tunnel's packets shall fit whichever family is outside. */
enum { PATH_MTU = 1500 };

struct about {
	const char *profile; /* "" is the default */
};

static void say(void *context, struct frame_fault fault, const char *sentence)
{
	const struct about *a = context;

	(void)fault; /* the sentence names its keys, and a request has no lines */

	if (a->profile[0])
		log_warning("profile %s: %s", a->profile, sentence);
	else
		log_warning("%s", sentence);
}

static void warn_of_mtu(struct device *dev, const struct frame_profile *p)
{
	uint32_t s4 = p->pad[MESSAGE_DATA], mtu = engine_mtu(dev->shared.engine);
	uint32_t fits = frame_mtu(PATH_MTU, s4, false);

	if (s4 && mtu > fits)
		log_warning(
			"MTU %u and S4 %u: full packets do not fit a path of %d octets over "
			"IPv6; `ip link set %s mtu %u`",
			mtu, s4, PATH_MTU, dev->name, fits);
}

static bool concerns(const struct uapi_set *set, const struct frame_profile *p)
{
	if (!p->name[0])
		return set->framing_given != 0;
	for (size_t i = 0; i < set->n_profiles; i++)
		if (strcmp(set->profiles[i].name, p->name) == 0)
			return true;
	return false;
}

/* Of the profiles that a request has changed. */
static void warn_of_framing(struct device *dev, const struct uapi_set *set)
{
	const struct frame_set *now = engine_profiles(dev->shared.engine);

	for (uint32_t i = 0; i < now->n; i++) {
		const struct frame_profile *p = &now->profiles[i];
		struct about about = { .profile = p->name };

		if (!concerns(set, p))
			continue;
		frame_parameters_warn(&p->parameters, say, &about);
		warn_of_mtu(dev, p);
	}
}

static int handle_set(void *context, const struct uapi_set *set, struct diag *d)
{
	struct device *dev = context;
	struct uapi_ready ready = { .framing = NULL };
	int err = 0;

	if (dev->is_handing_over) {
		diag_set(d, 0, 0, "the interface is being handed over: ask again");
		return UAPI_EIO;
	}
	engine_enter(dev->control);
	err = uapi_prepare(dev->shared.engine, dev->control, set, &ready, d);
	if (err == 0)
		err = set_port_and_mark(dev, set);
	if (err < 0) {
		diag_set(d, err, 0, "cannot use port %u with mark %u: %s", set->listen_port,
			 set->fwmark, err_text(err));
		err = UAPI_EADDRINUSE;
	} else if (err == 0) {
		err = uapi_apply(dev->shared.engine, dev->control, clock_boot_ns(), set, &ready,
				 d);
		if (set->framing_given || set->n_profiles || set->replace_profiles) {
			control_steer(dev);
			warn_of_framing(dev, set);
		}
	}
	uapi_ready_done(&ready);
	engine_leave(dev->control);
	control_wake_keeper(dev);
	if (err == 0 && dev->is_offering)
		handover_note_set(&dev->offered, set);
	return err;
}

static uint64_t counted(const struct device *dev, enum worker_count c)
{
	uint64_t sum = worker_counted(&dev->keeper, c);

	for (unsigned int i = 0; i < dev->n_workers; i++)
		sum += worker_counted(&dev->workers[i], c);
	return sum;
}

static void handle_get(void *context, struct text *out, enum uapi_dialect dialect,
		       bool with_private_key)
{
	struct device *dev = context;
	struct uapi_outside outside = { .listen_port = dev->port,
					.fwmark = dev->mark,
					.send_failed = counted(dev, WORKER_SEND_FAILED),
					.write_failed = counted(dev, WORKER_WRITE_FAILED),
					.cut = counted(dev, WORKER_CUT),
					.usernet = dev->shared.usernet };

	engine_enter(dev->control);
	uapi_dump(dev->shared.engine, out, dialect, &outside, with_private_key);
	engine_leave(dev->control);
}

static void handle_state(void *context, struct uapi_get_device *ret)
{
	struct device *dev = context;

	ret->listen_port = dev->port;
	engine_enter(dev->control);
	engine_get_public_key(dev->shared.engine, ret->public_key);
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

void control_tell_changes(struct device *dev)
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

static void wait_at_most(struct device *dev, unsigned int ms)
{
	dev->patience_ns = clock_boot_ns() + ms * (ENGINE_SECOND / 1000);
}

static void stand_still(struct device *dev)
{
	dev->is_handing_over = true;
	wait_at_most(dev, HANDOVER_PATIENCE_MS);
	events_pause(dev);
	gate_close(&dev->shared.gate, control_wake_all, dev);
}

static size_t handle_handover(void *context, bool stops, struct text *out, int *fds)
{
	struct device *dev = context;
	size_t n = 0;

	/* Connections of usernet cannot be handed over. */
	if (dev->is_handing_over || dev->is_offering || dev->shared.usernet)
		return 0;
	if (stops)
		stand_still(dev);
	n = handover_offer(&dev->shared, dev->uapi, out, fds);
	handle_get(dev, out, UAPI_AMNEZIA, true);
	handover_labels(dev->shared.engine, out);
	if (stops)
		return n;
	if (handover_note(&dev->offered, dev->shared.engine, fds, n) < 0)
		return 0;
	dev->is_offering = true;
	wait_at_most(dev, HANDOVER_OFFER_MS);
	return n;
}

static bool handle_stop(void *context, struct text *out)
{
	struct device *dev = context;
	struct text line = { .len = 0 };
	int fds[HANDOVER_FDS_MAX];
	size_t n = 0;

	stand_still(dev);
	n = handover_offer(&dev->shared, dev->uapi, &line, fds);
	text_done(&line);
	return handover_changes(&dev->offered, dev->shared.engine, fds, n, out);
}

static void handle_handover_end(void *context, bool is_done)
{
	struct device *dev = context;

	if (is_done) {
		log_info("handed over to another process");
		dev->is_over = true;
		memset(dev->owns_socket, 0, sizeof(dev->owns_socket));
		/* Before the gate opens: what waits in the sockets is the successor's. */
		atomic_store(&dev->shared.is_stopping, true);
	} else {
		log_warning("a successor went away before it was ready: going on");
	}
	if (!is_done && dev->is_handing_over)
		events_resume(dev);
	if (dev->is_handing_over)
		gate_open(&dev->shared.gate);
	handover_forget(&dev->offered);
	dev->is_offering = false;
	dev->is_handing_over = false;
}

struct uapi_handler control_handler(struct device *dev)
{
	return (struct uapi_handler){
		.set = handle_set,
		.get = handle_get,
		.state = handle_state,
		.watched = handle_watched,
		.handover = handle_handover,
		.handover_stop = handle_stop,
		.handover_end = handle_handover_end,
		.context = dev,
	};
}
