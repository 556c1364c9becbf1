/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uplink.h - The gateway's end of the conversation with the host process
 *
 * One thread reads (it has a loop), others ask for a new UAPI socket, or about access lists, and
 * wait. An answer goes to whoever waits; one that comes too late is closed, or forgotten.
 *
 * Threads: uplink_read() in one; uplink_connect() and uplink_access() in any other;
 *	   uplink_drifted() in any. Unless uplink_attend() says so nobody reads, and who asks about
 *	   access lists reads himself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	UPLINK_WAIT_MS = 2000,
	UPLINK_ACCESS_WAIT_MS = 10000, /* while other programs change large rule sets */
};

struct host_message;

/**
 * struct uplink_events - What the host may say; called from uplink_read()
 */
struct uplink_events {
	void (*device_restarted)(void *context);
	void (*stop)(void *context);
	void (*acted)(void *context, uint64_t serial, int err); /* of uplink_act() */
	void *context;
	void (*hand_on)(void *context); /* stop, and leave the sockets for the next */
};

struct uplink;

/** uplink_new() - @fd is taken over. Return: 0 or -ENOMEM */
int uplink_new(int fd, const struct uplink_events *events, struct uplink **ret);
struct uplink *uplink_free(struct uplink *u); /* takes NULL, returns NULL */

int uplink_fd(const struct uplink *u);

/** uplink_read() - Take what has come. Return: false when the host is gone or talks nonsense */
bool uplink_read(struct uplink *u);

/**
 * uplink_attend() - From now on somebody calls uplink_read() whenever there is something, or not
 *
 * Say so before waiting for a thread that may be asking.
 */
void uplink_attend(struct uplink *u, bool is_attended);

/** uplink_ready() - Tell the host that we serve. Return: 0 or -errno */
int uplink_ready(struct uplink *u);

/** uplink_drifted() - Somebody changed key or port of the interface: let the host set them again */
void uplink_drifted(struct uplink *u);

/**
 * uplink_act() - Ask the host for an enum host_action; the event tells what became of it
 * @ret_serial:	By which the event names it
 *
 * Return: 0 or -errno.
 */
int uplink_act(struct uplink *u, unsigned int action, uint64_t *ret_serial);

/**
 * uplink_connect() - Ask for a connected UAPI socket and wait for it
 * @uplink:	A struct uplink, untyped for iface_userspace_new()
 *
 * Return: 0; -ETIMEDOUT; -ECANCELED: the host stops and answers nobody; -errno from the host.
 */
int uplink_connect(void *uplink, int *ret_fd);

/**
 * uplink_access() - Say something about access lists, and wait until it is done
 * @uplink:	A struct uplink, untyped for access_sync_new()
 * @m:		Gets its serial number here
 *
 * One thread at a time. Return: 0; the code that the host answered; -ETIMEDOUT; -ECANCELED
 *	   (the host stops); -errno.
 */
int uplink_access(void *uplink, struct host_message *m);
