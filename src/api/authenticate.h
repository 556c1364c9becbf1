/* SPDX-License-Identifier: Apache-2.0 */
/**
 * authenticate.h - Is the caller of a route allowed, and who is it?
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

/**
 * authenticate() - Prove the caller of @call, whose route is known
 *
 * Return: true with @call->who; false when it was refused, and answered.
 */
bool authenticate(struct call *call);
