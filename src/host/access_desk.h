/* SPDX-License-Identifier: Apache-2.0 */
/**
 * access_desk.h - The host does what the gateway says about access lists
 *
 * In the loop of the host, at once: changes of members take about 1 ms for 1024, a list or a new table
 * some milliseconds, up to some ten for 256 rules, since nft(8) is started for it.
 *
 * Threads: one.
 */
#pragma once

#include "host/access.h"
#include "host/messages.h"

/**
 * access_desk_do() - One message that was judged
 *
 * Return: 0, or a positive code for the answer. What fails is logged.
 */
uint32_t access_desk_do(struct access *a, const struct host_message *m);
