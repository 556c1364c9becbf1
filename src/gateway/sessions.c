/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sessions.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t SECOND_NS = 1000000000;

/* Whoever never was is not remembered: most of 100 000 peers are asleep. */
static bool was_heard(const struct observed *seen)
{
	return seen->rx_bytes != 0 || seen->tx_bytes != 0 || seen->last_handshake_ns != 0;
}

static size_t count_heard(const struct observation *seen)
{
	size_t n = 0;

	for (size_t i = 0; i < seen->n; i++)
		n += was_heard(&seen->peers[i]);
	return n;
}

static struct session reduce(const struct observed *seen, uint64_t wall_ns)
{
	uint64_t end_ns = seen->last_handshake_ns + (uint64_t)SESSION_SILENT_S * SECOND_NS;
	struct session s = {
		.rx = seen->rx_bytes,
		.tx = seen->tx_bytes,
		.endpoint = seen->endpoint,
		.is_connected = seen->last_handshake_ns != 0 && end_ns > wall_ns,
	};

	memcpy(s.public_key, seen->public_key, 32);
	return s;
}

struct session *sessions_of(const struct observation *seen, uint64_t wall_ns, size_t *ret_n)
{
	struct session *all = malloc((count_heard(seen) + 1) * sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; all && i < seen->n; i++) {
		if (was_heard(&seen->peers[i]))
			all[n++] = reduce(&seen->peers[i], wall_ns);
	}
	*ret_n = n;
	return all;
}

bool session_has_moved(const struct session *was, const struct session *is)
{
	return was->endpoint.ip.family != ADDR_NONE &&
	       !ip_addr_equal(&was->endpoint.ip, &is->endpoint.ip);
}

bool session_is_news(const struct session *was, const struct session *is)
{
	if (!was) /* of who was never heard there is nothing to say */
		return is->rx != 0 || is->tx != 0 || is->is_connected;
	return was->rx != is->rx || was->tx != is->tx ||
	       was->is_connected != is->is_connected || session_has_moved(was, is);
}
