/* SPDX-License-Identifier: Apache-2.0 */
#include "usernet/capture.h"

#include <errno.h>
#include <string.h>

#include <unistd.h>

#include "base/err.h"
#include "sys/log.h"

enum {
	SNAPSHOT_MAX = 262144,
	LINKTYPE_RAW = 101, /* IPv4 and IPv6, told by the first octet */
};

/* All of the host's own byte order: readers find out which it is. */
struct file_head {
	uint32_t magic;
	uint16_t major, minor;
	int32_t zone;
	uint32_t accuracy;
	uint32_t snapshot;
	uint32_t link;
};

struct packet_head {
	uint32_t seconds;
	uint32_t nanoseconds;
	uint32_t captured;
	uint32_t len;
};

static void end(struct capture *c, const char *why)
{
	log_warning("the capture ends: %s", why);
	c->fd = -1;
}

/* In one piece or not at all: half a packet would spoil the rest. */
static void append(struct capture *c, const struct iovec *slices, int n, size_t len)
{
	ssize_t done = 0;

	if (c->written + len > CAPTURE_OCTETS_MAX) {
		end(c, "it is as large as it may be");
		return;
	}
	do {
		done = writev(c->fd, slices, n);
	} while (done < 0 && errno == EINTR);
	if (done < 0 || (size_t)done != len)
		end(c, done < 0 ? err_text(-errno) : "the disk is full");
	else
		c->written += len;
}

void capture_begin(struct capture *c, int fd)
{
	struct file_head head = { .magic = 0xa1b23c4d, /* times in nanoseconds */
				  .major = 2,
				  .minor = 4,
				  .snapshot = SNAPSHOT_MAX,
				  .link = LINKTYPE_RAW };
	const struct iovec slice = { &head, sizeof(head) };

	*c = (struct capture){ .fd = fd > 0 ? fd : -1 };
	if (fd > 0)
		append(c, &slice, 1, sizeof(head));
}

void capture_packet(struct capture *c, uint64_t wall_ns, const struct iovec *slices, size_t n,
		    uint32_t len)
{
	struct packet_head head = { .seconds = (uint32_t)(wall_ns / 1000000000),
				    .nanoseconds = (uint32_t)(wall_ns % 1000000000),
				    .captured = len,
				    .len = len };
	struct iovec all[1 + CAPTURE_SLICES_MAX] = { { &head, sizeof(head) } };

	if (c->fd < 0 || n > CAPTURE_SLICES_MAX)
		return;
	memcpy(all + 1, slices, n * sizeof(*slices));
	append(c, all, 1 + (int)n, sizeof(head) + len);
}
