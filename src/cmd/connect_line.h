/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connect_line.h - One line of a terminal that shows how a connection goes
 *
 * Nothing where standard output is no terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/session.h"

/** struct connect_line - All zeroes shows nothing */
struct connect_line {
	uint64_t begun_ns;
	bool is_shown;
};

void connect_line_begin(struct connect_line *l, bool wanted);
void connect_line_show(struct connect_line *l, struct client_session *s);
void connect_line_end(struct connect_line *l);
