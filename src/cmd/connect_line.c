/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/connect_line.h"

#include <inttypes.h>
#include <stdio.h>

#include <unistd.h>

#include "sys/clock.h"

enum { MIB = 1 << 20 };

#define SECOND_NS UINT64_C(1000000000)

void connect_line_begin(struct connect_line *l, bool wanted)
{
	l->is_shown = wanted && isatty(STDOUT_FILENO);
	l->begun_ns = clock_boot_ns();
}

static void print_octets(const char *what, uint64_t octets)
{
	if (octets < MIB)
		printf("%s %" PRIu64 " KiB", what, octets >> 10);
	else
		printf("%s %" PRIu64 ".%" PRIu64 " MiB", what, octets / MIB,
		       octets % MIB * 10 / MIB);
}

void connect_line_show(struct connect_line *l, struct client_session *s)
{
	uint64_t up_s = (clock_boot_ns() - l->begun_ns) / SECOND_NS;
	struct iface_snapshot now = { .n_peers = 0 };
	uint64_t rx = 0, tx = 0, last_ns = 0;
	struct diag ignored;

	if (!l->is_shown)
		return;
	if (s->config->proxy && s->tunnel.index) { /* it counts nothing for us */
		printf("\r\033[K✓ %s %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s->plan.interface,
		       up_s / 3600, up_s / 60 % 60, up_s % 60);
	} else if (client_tunnel_look(&s->tunnel, &now, &ignored) < 0) {
		printf("\r\033[K✗ the tunnel is being started again");
	}
	for (size_t i = 0; i < now.n_peers; i++) {
		rx += now.peers[i].rx_bytes;
		tx += now.peers[i].tx_bytes;
		if (now.peers[i].last_handshake_ns > last_ns)
			last_ns = now.peers[i].last_handshake_ns;
	}
	if (now.n_peers) {
		printf("\r\033[K%s %s %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 "  ",
		       last_ns ? "✓" : "…", s->plan.interface, up_s / 3600, up_s / 60 % 60,
		       up_s % 60);
		print_octets("↓", rx);
		print_octets("  ↑", tx);
		if (last_ns && clock_wall_ns() > last_ns)
			printf("  handshake %" PRIu64 " s ago",
			       (clock_wall_ns() - last_ns) / SECOND_NS);
	}
	iface_snapshot_done(&now);
	fflush(stdout);
}

void connect_line_end(struct connect_line *l)
{
	if (l->is_shown)
		putchar('\n');
	l->is_shown = false;
}
