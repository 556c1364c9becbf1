/* SPDX-License-Identifier: Apache-2.0 */
/**
 * worker.h - A thread of the tunnel: data, or keeper
 *
 * Joins an engine worker to descriptors. Both kinds send through the sockets of data
 * worker 0 or their own, and write to the TUN queue that a flow hashes to.
 *
 * Threads: struct worker belongs to its thread once started; the control thread changes
 *          descriptors only while the gate is closed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>
#include <stdatomic.h>

#include "device/gate.h"
#include "device/sockets.h"
#include "engine/engine.h"
#include "net/tun.h"
#include "net/udp_socket.h"
#include "usernet/usernet.h"

enum {
	NO_GSO_SLOTS = 64,
	TUN_BUFFER_BYTES = 160 * 1024,
	DEVICE_PACKETS_PER_RECEIVE = 256, /* inner packets of one engine_receive() */
};

/**
 * struct worker_shared - What all workers of a device read
 * @data_buffers: What one receive call can bring; from the memory budget
 * @keeper_wake: eventfd that wakes the keeper
 * @usernet:	Where packets of peers go instead of a TUN; NULL: there is a TUN. The only data worker's
 * @handed:	With @usernet: the other end of queues[0], a pair of sockets through which the
 *		keeper's packets come to that worker
 * @is_stopping: Set once; then every worker is woken
 */
struct worker_shared {
	struct engine *engine;
	struct gate gate;
	struct sockets sockets;
	struct tun_queue queues[DEVICE_WORKERS_MAX];
	unsigned int n_queues;
	unsigned int data_buffers; /* of 64 KiB, per data worker */
	int keeper_wake;
	struct usernet *usernet;
	struct tun_queue handed;
	_Atomic bool is_stopping;
};

/* A peer whose path refused segmentation; tried again after a while. */
struct no_gso {
	struct ip_addr ip;
	uint64_t until_ns;
};

enum worker_count {
	WORKER_SEND_FAILED,  /* datagrams the kernel refused */
	WORKER_WRITE_FAILED, /* packets the TUN refused */
	WORKER_CUT,	     /* datagrams longer than a buffer */
	WORKER_COUNTS,
};

struct worker {
	struct worker_shared *shared;
	struct engine_worker *engine_worker;
	struct udp_inbox *inbox;
	uint8_t *tun_buffer;	   /* data workers */
	struct inet_write *writes; /* with usernet: copies, while the engine is called again */
	struct iovec *slices;
	int epoll;
	int wake; /* eventfd */
	unsigned int number;
	bool is_keeper;
	bool is_started;
	bool v6_first; /* the keeper */
	uint64_t no_merge_until_ns;
	struct no_gso no_gso[NO_GSO_SLOTS];
	_Atomic uint64_t counts[WORKER_COUNTS];
	pthread_t thread;
};

/** worker_init() - Memory and descriptors for worker @number, or the keeper */
int worker_init(struct worker *w, struct worker_shared *shared, unsigned int number,
		bool is_keeper);
void worker_done(struct worker *w);

int worker_start(struct worker *w);
void worker_wake(struct worker *w);
void worker_join(struct worker *w);

/** worker_usernet() - Let @options call this worker, the only data worker. Before its start */
void worker_usernet(struct worker *w, struct usernet_options *options);

/** worker_counted() - From any thread */
uint64_t worker_counted(const struct worker *w, enum worker_count c);

/* The sockets were opened: watch them. Closing unwatches. Only while the gate is closed. */
int worker_watch_sockets(struct worker *w);
