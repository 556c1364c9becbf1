/* SPDX-License-Identifier: Apache-2.0 */
/**
 * actions.h - What the gateway contract lets a caller do to the machine: reboot, stop, start, wipe
 *
 * None of it is the gateway's own doing: an operator who allows it names a program, which the host runs
 * (host/hooks.h). What no program is there for answers 403. Stopping and starting wg-manager may
 * also be allowed without a program: then the interface serves nobody, or all again (gateway/ifstate.h).
 *
 * An action is in the audit trail, and its signature spent, before the host is asked. One at a time.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

void actions_reboot(struct call *call);
void actions_wipe(struct call *call);
void actions_stop(struct call *call);  /* @call->match.part: the service */
void actions_start(struct call *call); /* likewise */

/** actions_acted() - The host says what became of one (struct uplink_events) */
void actions_acted(struct api *api, uint64_t serial, int err);
/** actions_give_up() - At the end: whoever still waits is answered */
void actions_give_up(struct api *api);
