/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_lives.h - Who follows what happens to peers: their lives, the stream of events, webhooks
 *
 * Threads: one.
 */
#pragma once

#include "api/call.h"
#include "cmd/serving.h"

/**
 * gateway_lives_open() - Make lives and webhooks of @api, and let each hear of what concerns it
 *
 * @api has its gateway, observer and events already. Return: 0 or -errno; what was made is closed by
 * whoever closes @api.
 */
int gateway_lives_open(struct api *api, const struct serving *serving);
