/* SPDX-License-Identifier: Apache-2.0 */
/**
 * peer_print.h - Peers for people, on standard output
 */
#pragma once

#include <jansson.h>

/* @peers: a list of peers as /api/v1/peers has them. */
void peer_print_list(json_t *peers);
void peer_print_one(const json_t *peer);
