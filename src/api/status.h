/* SPDX-License-Identifier: Apache-2.0 */
/**
 * status.h - What the gateway says of itself, in the dialect of the gateway contract
 *
 * Threads: the main loop's.
 */
#pragma once

struct call;

void status_ip_usage(struct call *call);
void status_server(struct call *call);
