/* SPDX-License-Identifier: Apache-2.0 */
/**
 * messages.h - What the host process and the gateway say to each other
 *
 * The host is privileged; the gateway reads what strangers send. Between them is one
 * SOCK_SEQPACKET pair and messages of two fixed sizes without any text, so that there is
 * nothing to parse. Those with a body are in host/access_messages.h. A descriptor travels only with HOST_UAPI, only from the host.
 *
 *	gateway → host			host → gateway
 *	HOST_READY	it serves; once
 *	HOST_RECONNECT	a new UAPI socket	HOST_UAPI	with the descriptor, or an errno
 *	HOST_PING	any @serial		HOST_PONG	the same @serial
 *	HOST_ACT	an action in @serial	HOST_ACTED	the same @serial, 0 or an errno; later
 *	HOST_DRIFTED	key or port of the interface are not what they should be: no answer
 *						HOST_DEVICE_RESTARTED  all peers are gone
 *						HOST_STOP	finish, then exit
 *						HOST_HAND_ON	the same, but leave the sockets for
 *								whoever comes next
 *
 * The UAPI socket is a limited one (device/uapi_server.h): it does not give the private key.
 * More than HOST_RECONNECTS_MAX of them in HOST_RECONNECTS_S seconds are answered with EBUSY.
 * The host answers HOST_RECONNECT and HOST_PING in order. HOST_DEVICE_RESTARTED,
 * HOST_STOP and HOST_HAND_ON may stand between a question and its answer. After HOST_DEVICE_RESTARTED
 * the old UAPI socket is dead: ask with HOST_RECONNECT and set every peer again. A
 * gateway that sends anything else is killed and started anew.
 *
 * How the gateway is started: `culvert gateway-serve --state DIR --interface IF
 * --listen URL --uapi-fd N --host-fd M --shelf-in-fd I --shelf-out-fd O --public-key BASE64 --subnet4 P --subnet6 P
 * --port N --obfuscation LEVEL --log-level LEVEL --isolation on|off [--endpoint HOST] [--log-json]`, as an
 * unprivileged user that owns DIR, with no capability, no new privileges, and no other
 * descriptors than 0 (empty), 1, 2, N, M, I and O (cmd/shelf.h). It prints the line "gateway ready …", then sends
 * HOST_READY. When M reads end-of-file the host is gone: exit.
 *
 * Threads: one reader and one writer at a time per descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/access_messages.h"

enum host_message_type {
	HOST_READY = 1,
	HOST_RECONNECT,
	HOST_PING,
	HOST_DRIFTED,
	HOST_ACT = 20,
	HOST_UAPI = 101,
	HOST_PONG,
	HOST_DEVICE_RESTARTED,
	HOST_STOP,
	HOST_HAND_ON,
	HOST_ACTED = 120,
};

/* What HOST_ACT asks for; host/hooks.h says what each does. */
enum host_action {
	HOST_ACTION_REBOOT = 1,
	HOST_ACTION_STOP_MANAGER,
	HOST_ACTION_START_MANAGER,
	HOST_ACTION_STOP_WHISPER,
	HOST_ACTION_START_WHISPER,
	HOST_ACTION_WIPE,
	HOST_ACTIONS,
};

/* The serial number of HOST_ACT: which action, and a number above that tells it from others. */
enum { HOST_ACTION_BITS = 8 };

static inline uint64_t host_action_of(uint64_t serial)
{
	return serial & ((UINT64_C(1) << HOST_ACTION_BITS) - 1);
}

enum { HOST_HEADER_LEN = 16 }; /* of a message without a body */

/**
 * struct host_message - The one message there is
 * @type:	enum host_message_type or host_access_type
 * @error:	HOST_UAPI: 0, or a positive errno and no descriptor; HOST_ACCESS_DONE: see there; HOST_ACTED:
 *		0 or one;
 *		otherwise 0
 * @serial:	HOST_PING, HOST_PONG and those of access lists: the sender's choice; HOST_ACT,
 *		HOST_ACTED: see host_action_of(); to a driver (host/kernel_child.h) what the connection
 *		may; otherwise 0
 * @access:	Travels only with those that have a body
 */
struct host_message {
	uint32_t type;
	uint32_t error;
	uint64_t serial;
	struct host_access access;
};

/**
 * host_message_send() - Send one message
 * @passed_fd:	Travels with it; -1: none. Stays open here
 *
 * Return: 0 or -errno; -EAGAIN when the other side does not read.
 */
int host_message_send(int fd, const struct host_message *m, int passed_fd);

/**
 * host_message_read() - Is that a message? Pure
 * @m:		Room of which the first @len octets were written
 *
 * Return: 0; ERR_FORMAT when its size is not that of its type.
 */
int host_message_read(const struct host_message *m, size_t len);

/**
 * host_message_receive() - Take one message off the socket
 * @ret_fd:	A descriptor that came with it, close-on-exec, or -1
 *
 * Return: 1 with a message; 0 at the end (the other side is gone); ERR_FORMAT for a wrong
 *	   size or more than one descriptor (none is left open); -errno (-EAGAIN: nothing yet).
 */
int host_message_receive(int fd, struct host_message *ret, int *ret_fd);

/**
 * struct host_dialogue - The host's side: what one gateway process has said so far
 * @window_ns, @in_window: Messages since the current second began
 * @access_in_window: The same for those of access lists
 * @reconnects_ns, @reconnects: New UAPI sockets since the current span of them began
 *
 * All zeroes is a gateway that has just been started.
 */
struct host_dialogue {
	uint64_t window_ns;
	uint64_t reconnects_ns;
	uint32_t in_window;
	uint32_t access_in_window;
	uint32_t reconnects;
	bool is_ready;
};

enum {
	HOST_MESSAGES_PER_SECOND = 100,
	HOST_ACCESS_PER_SECOND =
		5000, /* a million addresses; the answers slow it down before */
	HOST_RECONNECTS_MAX = 20,
	HOST_RECONNECTS_S = 10,
};

/**
 * host_dialogue_judge() - May a gateway in this state say that now? Pure
 * @has_fd:	A descriptor came with it
 *
 * Return: NULL if it may, and @d is moved on; otherwise the rule it broke.
 */
const char *host_dialogue_judge(struct host_dialogue *d, const struct host_message *m,
				bool has_fd, uint64_t now_ns);

/** host_dialogue_may_reconnect() - Count a new UAPI socket; false: too many lately. Pure */
bool host_dialogue_may_reconnect(struct host_dialogue *d, uint64_t now_ns);
