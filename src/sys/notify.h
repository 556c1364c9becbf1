/* SPDX-License-Identifier: Apache-2.0 */
/**
 * notify.h - Telling the service manager how we are (sd_notify(3))
 *
 * One datagram of "NAME=VALUE" lines to the socket that NOTIFY_SOCKET names: a path, or an
 * abstract name behind '@'. Nothing is ever waited for. Without the variable nobody is told
 * and nothing fails.
 *
 * Threads: any, after notify_open().
 */
#pragma once

#include <stdint.h>

#include <sys/socket.h>
#include <sys/un.h>

/**
 * struct notify - All zeroes: there is nobody to tell
 * @watchdog_ns: "WATCHDOG=1" must be said at least this often; 0: it is not waited for
 */
struct notify {
	struct sockaddr_un to;
	socklen_t len;
	int fd;
	uint64_t watchdog_ns;
};

/**
 * notify_open() - Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment
 *
 * A watchdog that is meant for another process is not ours.
 *
 * Return: 0, also when there is nobody to tell; -EINVAL for an address of another form;
 *	   -EINVAL for a WATCHDOG_USEC that is no number from 1; -errno. @n is all zeroes then.
 */
int notify_open(struct notify *n);
void notify_close(struct notify *n);

/** notify_send() - Say @lines, separated by newlines. Return: 0 or -errno */
int notify_send(const struct notify *n, const char *lines);
