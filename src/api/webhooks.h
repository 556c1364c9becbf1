/* SPDX-License-Identifier: Apache-2.0 */
/**
 * webhooks.h - /api/v1/webhooks: where events are sent (gateway/webhooks.h)
 *
 * The secret that signs them is told when it is made: by POST, and by a change with "secret".
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void webhooks_list(struct call *call);
void webhooks_create(struct call *call);
void webhooks_show(struct call *call);
void webhooks_change(struct call *call);
void webhooks_delete(struct call *call);
void webhooks_try(struct call *call);
