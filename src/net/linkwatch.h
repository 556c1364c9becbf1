/* SPDX-License-Identifier: Apache-2.0 */
/**
 * linkwatch.h - What happens to one interface, and to the routes around it
 *
 * A tunnel follows its interface: down closes its sockets, another MTU changes what it
 * sends, another route makes remembered source addresses stale. The kernel tells; many
 * messages are folded into one struct, because only the outcome matters.
 *
 * Source:  rtnetlink(7). Threads: one at a time per descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct linkwatch_change - All that happened since it was zeroed
 * @link_changed:	@is_up and @mtu hold the latest state
 * @went_down:		It was seen down at least once, even if it is up again
 * @is_gone:		The interface was deleted; nothing else will come
 * @routes_changed:	Some route of this network namespace came or went
 * @overrun:		The kernel dropped messages: linkwatch_ask(), and count on
 *			@routes_changed
 */
struct linkwatch_change {
	uint32_t mtu; /* 0: not said */
	bool is_up;
	bool link_changed;
	bool went_down;
	bool is_gone;
	bool routes_changed;
	bool overrun;
};

/** linkwatch_open() - A non-blocking descriptor that becomes readable. Return: it, or -errno */
int linkwatch_open(void);

/* Ask for the state of @index; the answer comes like an event. Sends only. 0 or -errno. */
int linkwatch_ask(int fd, uint32_t index);

/**
 * linkwatch_read() - Take what is there, at most 64 datagrams, and fold it into @change
 *
 * The kernel's datagrams only: what other processes send is thrown away.
 * Return: true if more may be waiting.
 */
bool linkwatch_read(int fd, uint32_t index, struct linkwatch_change *change);

/**
 * linkwatch_parse() - Fold one datagram into @change; the pure half of linkwatch_read()
 * @bytes:	Any alignment, any content. What is about another interface is skipped; what
 *		is malformed ends the walk
 */
void linkwatch_parse(const void *bytes, size_t len, uint32_t index,
		     struct linkwatch_change *change);
