/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hub_hook.h - Machines are made by a program of the operator's, not by us
 *
 * It is run directly, never through a shell: PROGRAM VERB REGION SIZE NODES NETWORK PORT. It is off until somebody
 * names one, must be an absolute path, and nobody but root and us may be able to change it.
 */
#pragma once

#include "cmd/hub.h"

/* Return: EXIT_DONE, EXIT_USAGE without a hook, EXIT_REFUSED, or EXIT_FAILED when it failed. */
int hub_hook_run(const struct hub_request *r);
