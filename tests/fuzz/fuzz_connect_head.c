/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy answers. The first octet is the size of the pieces it comes in: that must not matter. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "usernet/connect_head.h"

static size_t read_in_pieces(struct connect_head *h, const uint8_t *data, size_t size,
			     size_t step)
{
	size_t used = 0;

	memset(h, 0, sizeof(*h));
	while (used < size && h->progress == CONNECT_WANTS_MORE) {
		size_t len = size - used < step ? size - used : step;
		size_t n = connect_head_read(h, data + used, len);

		HOLDS(n == len || (n < len && h->progress != CONNECT_WANTS_MORE));
		used += n;
	}
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct connect_head whole, pieces;
	size_t used;

	if (size < 2)
		return 0;
	used = read_in_pieces(&whole, data + 1, size - 1, size);
	HOLDS(read_in_pieces(&pieces, data + 1, size - 1, data[0] + 1U) == used);
	HOLDS(whole.progress == pieces.progress && whole.status == pieces.status);
	HOLDS(connect_head_errno(&whole) == connect_head_errno(&pieces));
	HOLDS(connect_head_errno_udp(&whole) == connect_head_errno_udp(&pieces));
	HOLDS(used <= CONNECT_HEAD_MAX + 1);
	if (whole.progress == CONNECT_ANSWERED) {
		HOLDS(whole.status == 101 || (whole.status >= 200 && whole.status <= 999));
		HOLDS(data[used] == '\n'); /* the head's last octet */
		HOLDS((connect_head_errno(&whole) == 0) == (whole.status / 100 == 2));
	} else {
		HOLDS(connect_head_errno(&whole) == -EPROTO);
	}
	return 0;
}
