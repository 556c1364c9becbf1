/* SPDX-License-Identifier: Apache-2.0 */
/**
 * iface.h - Driving one tunnel interface, of whatever kind
 *
 * A kind is a table of functions. After a failure other than a refused request the
 * connection to the interface is closed; the next call opens it again.
 *
 * Threads: one at a time. Several objects may drive the same interface.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "conf/uapi.h"

struct iface;

/* Called per peer of the interface; @peer is borrowed. */
typedef void (*iface_peer_visitor)(void *context, const struct uapi_get_peer *peer);

/**
 * struct iface_state - Was the interface changed, asked without all of its peers
 * @number:	Another one than before: somebody may have changed peers, perhaps we ourselves
 * @public_key:	Its own, zero: none
 */
struct iface_state {
	uint64_t number;
	uint8_t public_key[32];
	uint16_t listen_port;
};

struct iface_ops {
	int (*set)(struct iface *i, const struct uapi_set *set, struct diag *d);
	int (*get)(struct iface *i, iface_peer_visitor visit, void *context, struct diag *d);
	int (*state)(struct iface *i, struct iface_state *ret, struct diag *d); /* or NULL */
	bool (*is_open)(struct iface *i);
	void (*close)(struct iface *i);
	void (*free)(struct iface *i);
};

/* What every kind begins with. */
struct iface {
	const struct iface_ops *ops;
};

/**
 * iface_set() - Change the interface: all of @set, or nothing
 *
 * Return: 0; -EINVAL when the interface refused it (it is then unchanged); -errno or
 *	   ERR_FORMAT when the connection failed (whether it was applied is not known).
 */
static inline int iface_set(struct iface *i, const struct uapi_set *set, struct diag *d)
{
	return i->ops->set(i, set, d);
}

/**
 * iface_get() - Visit every peer of the interface
 *
 * Waits while the interface answers another reader.
 *
 * Return: as iface_set(); -EBUSY when that took too long.
 */
static inline int iface_get(struct iface *i, iface_peer_visitor visit, void *context,
			    struct diag *d)
{
	return i->ops->get(i, visit, context, d);
}

/**
 * iface_state() - Learn whether it was changed
 *
 * Return: as iface_set(); -EOPNOTSUPP when it is of a make that does not tell. One that closes
 *	   the connection when it is asked for the first time is taken for such a one, for good.
 */
static inline int iface_state(struct iface *i, struct iface_state *ret, struct diag *d)
{
	return i->ops->state ? i->ops->state(i, ret, d) : -EOPNOTSUPP;
}

/** iface_is_open() - Is there a connection, as far as is known without asking anything? */
static inline bool iface_is_open(struct iface *i)
{
	return i->ops->is_open(i);
}

static inline void iface_close(struct iface *i)
{
	i->ops->close(i);
}

static inline struct iface *iface_free(struct iface *i) /* takes NULL, returns NULL */
{
	if (i)
		i->ops->free(i);
	return NULL;
}

/**
 * iface_userspace_new() - An interface behind a UAPI socket
 * @fd:		A connected stream socket, taken over; -1: none yet
 * @connect:	Gets another one when there is none: sets @ret_fd, or returns -errno. May
 *		wait, a second or two
 */
int iface_userspace_new(int fd, int (*connect)(void *context, int *ret_fd), void *context,
			struct iface **ret);

/* Called for each line of an answer, in order, without its newline; @line is borrowed. */
typedef void (*iface_line_visitor)(void *context, const char *line, size_t len);

/**
 * iface_userspace_read() - iface_get() of an interface made by iface_userspace_new(), and every
 * line of the answer as it was said
 * @line:	Gets lines before the peer that they belong to was visited
 */
int iface_userspace_read(struct iface *i, iface_line_visitor line, iface_peer_visitor visit,
			 void *context, struct diag *d);
