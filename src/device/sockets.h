/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sockets.h - The UDP sockets of a tunnel: one port, several sockets
 *
 * Per address family: one data socket per worker, and one for handshakes behind them.
 * Large kernel buffers can be forced only while the process still may, and the port may change
 * later: so a stock of unbound sockets is made at start and used up by each change.
 *
 * Threads: the control thread; workers read the descriptors while they are not stopped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "device/device.h"
#include "net/udp_socket.h"

enum { SOCKETS_SPARE_SETS = 8 };

/* One address family; -1: closed, or the host does not have it. */
struct socket_family {
	int data[DEVICE_WORKERS_MAX];
	int handshake;
};

/**
 * struct sockets - What is open now
 * @port:	Bound to; 0 while closed
 * @is_steered:	The handshake sockets get what is not data
 * @is_small:	The kernel refused large buffers
 */
struct sockets {
	unsigned int workers;
	struct socket_family v4;
	struct socket_family v6;
	uint16_t port;
	uint32_t mark;
	struct udp_steering steering;
	bool is_steered;
	bool is_small;
	int spare4[SOCKETS_SPARE_SETS * (DEVICE_WORKERS_MAX + 1)];
	int spare6[SOCKETS_SPARE_SETS * (DEVICE_WORKERS_MAX + 1)];
	unsigned int n_spare4;
	unsigned int n_spare6;
};

/** sockets_init() - Closed, with a stock of spares. A host without IPv6 is fine (W19) */
int sockets_init(struct sockets *s, unsigned int workers);
void sockets_done(struct sockets *s);

/**
 * sockets_open() - Bind everything to @port (0: any) and set @mark
 * @s:	Closed
 * Return: 0; -EADDRINUSE; another -errno. On failure @s is closed.
 */
int sockets_open(struct sockets *s, uint16_t port, uint32_t mark);
void sockets_close(struct sockets *s);

/** sockets_set_mark() - Return: 0 or -errno; the old mark then stays everywhere */
int sockets_set_mark(struct sockets *s, uint32_t mark);

/** sockets_steer() - Tell data by these shapes, now and after each sockets_open()
 *
 * At first everything is for the handshake sockets. */
void sockets_steer(struct sockets *s, const struct udp_steering *steering);

/** sockets_adopt() - Take sockets that another process opened; moved out of @v4 and @v6 */
void sockets_adopt(struct sockets *s, struct socket_family *v4, struct socket_family *v6);
