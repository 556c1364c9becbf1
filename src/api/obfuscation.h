/* SPDX-License-Identifier: Apache-2.0 */
/**
 * obfuscation.h - /api/v1/profiles: what the interface accepts at each level, and new parameters
 *
 * Threads: the main loop's.
 */
#pragma once

struct call;

void obfuscation_list(struct call *call);
void obfuscation_rotate(struct call *call);
