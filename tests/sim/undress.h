/* SPDX-License-Identifier: Apache-2.0 */
/**
 * undress.h - What the network itself reads on the wire, whatever it looks like
 *
 * The network knows how each node was told to frame, tries these profiles one after the other, and
 * takes for a message what only a message has: an index that was announced, a MAC1 for somebody
 * who is there. It shares no code with frame/. To tell keepalives from data it borrows the
 * sender's session keys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "frame/frame.h"

struct sim_datagram;
struct sim_node;

/* struct sim_profile - One way of framing, as a node was told */
struct sim_profile {
	char name[FRAME_NAME_MAX + 1];
	struct frame_parameters parameters;
	uint64_t until_s;
};

/**
 * sim_undress() - Find out what @d is, framed as @as frames
 *
 * Sets type, plain, plain_len, profile and is_keepalive; what is no message keeps type 0.
 * sim_dress_off() afterwards.
 */
void sim_undress(const struct sim_node *as, struct sim_datagram *d);
void sim_dress_off(struct sim_datagram *d);

/**
 * sim_open() - The text of a data message just sent
 * @text:	At least @d->plain_len octets
 *
 * Return: false when the sender has no such session any more.
 */
bool sim_open(const struct sim_datagram *d, uint8_t *text, uint32_t *ret_len);

/* How long a key serves that was made under profile @profile of @n. */
uint64_t sim_key_life_ns(const struct sim_node *n, uint32_t profile);
