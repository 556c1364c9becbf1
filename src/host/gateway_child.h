/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_child.h - The gateway process as the host keeps it: started, heard, answered
 *
 * Its states:
 *
 *	ABSENT     none runs; @due_ns says when the next one starts
 *	STARTING   runs, has not said that it serves; @ready_by_ns gives it up
 *	SERVING    has said so
 *	LEAVING    was asked to hand on to the next one, and has until @end_by_ns for it
 *	ENDING     broke a rule and was killed, or left the conversation and has until
 *	           @end_by_ns to end by itself; not yet buried
 *
 * Threads: one.
 */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "base/codec.h"
#include "host/access.h"
#include "host/child.h"
#include "host/claim.h"
#include "host/device_child.h"
#include "host/hooks.h"
#include "host/host.h"
#include "host/messages.h"
#include "host/state_dir.h"
#include "host/view.h"

enum gateway_state {
	GATEWAY_ABSENT,
	GATEWAY_STARTING,
	GATEWAY_SERVING,
	GATEWAY_LEAVING,
	GATEWAY_ENDING,
};

/**
 * struct gateway_child - All zeroes is ABSENT and due at once; @fd must be -1
 * @fd:		Our end of the conversation, -1: none
 * @access:	Without an interface until it is first spoken of
 * @has_served:	One of its lives reached SERVING
 * @program:	What the next one is started from; NULL: as @config says, or this program
 * @shelf:	Where each keeps its listening sockets for the next: the end to put them in,
 *		and the end they are found at. Nothing is read or written here
 */
struct gateway_child {
	const struct host_config *config;
	const struct state_dir *state;
	const struct claim *claim;
	const struct view *view;
	struct hooks *hooks;
	struct device_child *device;
	char public_key[KEY_BASE64_LEN + 1];
	struct child child;
	struct host_dialogue dialogue;
	struct access access;
	enum gateway_state phase;
	uint64_t due_ns;
	uint64_t ready_by_ns;
	uint64_t end_by_ns;
	int fd;
	bool has_served;
	const char *program;
	int shelf[2];
};

int gateway_child_start(struct gateway_child *g, struct diag *d);

/* The path it is started from, for messages. */
void gateway_child_program(const struct gateway_child *g, char out[PATH_MAX]);

/* Read and answer what it said. */
void gateway_child_heed(struct gateway_child *g);

/* Tell it what became of the action that it asked for; whoever was not told is gone. */
void gateway_child_acted(struct gateway_child *g, uint64_t serial, uint32_t error);

/**
 * gateway_child_hand_on() - Let it finish and end, and start the next one from @program
 * @program:	Borrowed until the next call; NULL: as it was
 *
 * Its listening sockets stay open on the shelf: connections wait, none is refused. Only for
 * one that serves.
 */
void gateway_child_hand_on(struct gateway_child *g, const char *program);

/* One that serves was taken over from the program before: its @child and @fd are set. */
void gateway_child_adopted(struct gateway_child *g);

/* Tell it that the tunnel lost its peers. */
void gateway_child_device_restarted(struct gateway_child *g);

/* Kill one that did not get ready, or did not end, in time. */
void gateway_child_expire(struct gateway_child *g, uint64_t now_ns);

/* When something is to be done about it: start it, give it up. UINT64_MAX: never */
uint64_t gateway_child_deadline_ns(const struct gateway_child *g);

/* Bury it after child_reap() said that it ended. */
void gateway_child_ended(struct gateway_child *g, int status);

void gateway_child_stop(struct gateway_child *g);
