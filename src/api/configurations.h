/* SPDX-License-Identifier: Apache-2.0 */
/**
 * configurations.h - /api/v1/configurations: peers in the dialect of the gateway contract
 *
 * Threads: the main loop's.
 */
#pragma once

struct call;

void configurations_create(struct call *call);
void configurations_redirect(struct call *call); /* to the path with the slash */
void configurations_set_status(struct call *call);
void configurations_delete(struct call *call);
