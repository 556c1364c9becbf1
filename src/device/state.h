/* SPDX-License-Identifier: Apache-2.0 */
/**
 * state.h - What the files of this directory share about one device, and nobody else
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"
#include "device/handover.h"
#include "device/uapi_server.h"
#include "device/worker.h"

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
	char socket_name[TUN_NAME_MAX + 8]; /* the same in both directories */
	unsigned int index;
	unsigned int n_workers;
	struct worker_shared shared;
	struct worker workers[DEVICE_WORKERS_MAX];
	struct worker keeper;
	struct engine_worker *control; /* the control thread's own */
	uint16_t port;		       /* wanted; 0: any */
	uint32_t mark;
	bool link_is_up; /* the interface; without its port we are not */
	bool is_up;
	bool is_over;
	bool owns_socket[UAPI_DIALECTS]; /* its file is ours to remove */
	bool is_offering;		 /* a successor gets ready */
	bool is_handing_over;		 /* the gate is closed; it takes over */
	struct handover_offered offered; /* where it @is_offering */
	uint64_t patience_ns;		 /* how long it may, boot clock */
	bool takes_over;
	struct handover handover; /* where it @takes_over */
	uint64_t slept_ns;	  /* boot clock less monotonic clock, last seen */
	int uapi[UAPI_DIALECTS];  /* listening; -1: none */
	int epoll;
	int fds[WATCHED];
	int watches[UAPI_DIALECTS]; /* of the sockets' directories, within WATCHED_FILE */
	struct uapi_server *server;
	struct reporter_options reports;
	struct reporter reporter;
};

/* --- control.c: what the control thread does to the others --- */

/* A gate's wake: every worker and the keeper. @context is the device. */
void control_wake_all(void *context);
/* After calls on the engine: the keeper may have got work. */
void control_wake_keeper(struct device *dev);
int control_watch_sockets(struct device *dev);
/* The profiles may have changed: tell the kernel what data looks like. */
void control_steer(struct device *dev);
/* The interface went up: open the sockets. Down: close them, forget all keys. */
void control_go_up(struct device *dev);
void control_go_down(struct device *dev);
/* A second passed and somebody watches. */
void control_tell_changes(struct device *dev);
/* What UAPI connections call. */
struct uapi_handler control_handler(struct device *dev);

/* --- events.c: what the control thread waits for --- */

/** events_open() - Everything that can wake it. Return: 0 or an error with @d */
int events_open(struct device *dev, struct diag *d);
/* While a successor gets ready only signals and UAPI wake us; the rest waits. */
void events_pause(struct device *dev);
void events_resume(struct device *dev);
/** events_wait() - Wait once and handle what came. Return: 0 or -errno */
int events_wait(struct device *dev);
