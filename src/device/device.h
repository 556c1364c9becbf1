/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device.h - One tunnel interface as a process
 *
 * Theory of operation. The process has three kinds of threads. Data workers each own a
 * TUN queue and a pair of UDP sockets, and run packets to completion. The keeper owns
 * the pair of sockets that handshakes arrive at, and everything that is slow. The
 * control thread (the one that called device_run()) speaks UAPI, follows the interface,
 * and stops the others for the moment it takes to change their sockets.
 *
 * After start the process holds no open directory, no capability but CAP_NET_RAW, and
 * a system call filter.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/uapi.h"
#include "device/reporter.h"
#include "engine/engine.h"
#include "usernet/usernet.h"

enum { DEVICE_WORKERS_MAX = 64 };

/**
 * struct device_options - What the command line and the environment said
 * @tun_fd, @uapi_fd: Opened by the caller (WG_TUN_FD, WG_UAPI_FD), or -1
 * @workers:	Data workers; 0: one per processor but one, at least one
 * @memory_bytes: For buffers and waiting packets
 * @takes_over:	From the process that serves @name now (device/handover.h); @workers is
 *		then what that one had
 * @usernet:	No interface: packets of peers go on through sockets (usernet/usernet.h). Its
 *		send, is_peer and context are set by the device; NULL: a TUN
 * @reporter:	A thread that runs beside it, or none
 * @goes_without_socket: Where none can be made: it will be told all by device_configure()
 */
struct device_options {
	const char *name;
	int tun_fd;
	int uapi_fd;
	unsigned int workers;
	size_t memory_bytes;
	bool takes_over;
	const struct usernet_options *usernet;
	struct reporter_options reporter;
	bool goes_without_socket;
};

struct device;

/**
 * device_open() - Interface, socket and threads' memory; everything that can fail
 *
 * Afterwards the interface exists and `wg` can connect. Nothing runs yet.
 *
 * Return: 0 or an error with its sentence in @d. Nothing is left behind then.
 */
int device_open(const struct device_options *options, struct device **ret, struct diag *d);

/**
 * device_start() - Drop privileges and start the threads
 *
 * From now on no file can be opened.
 *
 * Return: 0 or an error with its sentence in @d.
 */
int device_start(struct device *dev, struct diag *d);

/**
 * device_configure() - Between device_start() and device_run(): as if it came through the socket
 *
 * Return: 0, or -EINVAL or -EADDRINUSE with a sentence in @d; nothing was changed then.
 */
int device_configure(struct device *dev, const struct uapi_set *set, struct diag *d);

/**
 * struct device_numbers - What a reporter may tell
 * @usernet, @flows: 0 without one
 */
struct device_numbers {
	struct engine_counters engine;
	uint64_t usernet[USERNET_COUNTS];
	uint32_t flows;
};

/** device_count() - From any thread, while it runs */
void device_count(const struct device *dev, struct device_numbers *ret);

/**
 * device_run() - Serve until told to stop
 *
 * Ends on SIGTERM or SIGINT, when the UAPI socket's file or the interface is deleted.
 * Return: 0, or an error that ended it.
 */
int device_run(struct device *dev, struct diag *d);

struct device *device_free(struct device *dev);
