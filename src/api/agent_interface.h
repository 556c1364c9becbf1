/* SPDX-License-Identifier: Apache-2.0 */
/**
 * agent_interface.h - The interface itself in the dialect of the node agent: its file, on and off
 *
 * The interface is the gateway's own: where it is started says its key, port and addresses. A file that
 * says the same is taken; one that says otherwise is refused with all that differs. Switched off it serves
 * nobody, also after a restart; deleted, its peers are gone as well, and to the agent's caller so is it
 * until its file is put again.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"
#include "gateway/ifstate.h"

void agent_interface_show(struct call *call); /* GET config */
void agent_interface_put(struct call *call);  /* PUT config */
void agent_interface_enable(struct call *call);
void agent_interface_disable(struct call *call);
void agent_interface_delete(struct call *call);

/** agent_interface_is_there() - false: it was deleted, or (@needs_up) is off; the call was answered */
bool agent_interface_is_there(struct call *call, bool needs_up);
