/* SPDX-License-Identifier: Apache-2.0 */
/**
 * keys.h - What an observer who sees every datagram demands of the keys
 *
 * One record per (sender, receiver index): a sending key, as far as the wire shows. From the
 * responses it learns when a key was made: the responder's when it is sent, the
 * initiator's when it arrives.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_datagram;
struct sim_node;
struct sim_keys;

struct sim_keys *sim_keys_new(void);
void sim_keys_free(struct sim_keys *k);

/* A handshake message names an index that its sender will be spoken to by. */
void sim_keys_announced(struct sim_keys *k, uint32_t index);
bool sim_keys_is_announced(struct sim_keys *k, uint32_t index);

/** sim_keys_sent() - Judge a datagram as it is sent. Return: what is wrong with it, or NULL
 * @ret_age_ns:	Age of the key, for data */
const char *sim_keys_sent(struct sim_keys *k, const struct sim_datagram *d,
			  uint64_t *ret_age_ns);

/* A datagram arrives at a node. */
void sim_keys_arrived(struct sim_keys *k, const struct sim_node *at,
		      const struct sim_datagram *d, uint64_t now_ns);

/* May the node deliver what is in @d? Not under a key that is unknown or too old. */
bool sim_keys_may_hear(struct sim_keys *k, const struct sim_node *at,
		       const struct sim_datagram *d, uint64_t now_ns);
