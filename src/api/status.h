/* SPDX-License-Identifier: Apache-2.0 */
/**
 * status.h - What the gateway says of itself, in the dialect of the gateway contract
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

/** status_usage() - Make the object of /ip-usage in the background; then @done has it, owned */
void status_usage(struct call *call, void (*done)(struct call *call, json_t *usage));
void status_ip_usage(struct call *call);
void status_server(struct call *call);
