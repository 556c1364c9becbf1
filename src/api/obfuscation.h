/* SPDX-License-Identifier: Apache-2.0 */
/**
 * obfuscation.h - /api/v1/profiles: what the interface accepts at each level, new parameters, and
 * the early end of former ones
 *
 * Threads: the main loop's.
 */
#pragma once

struct call;

void obfuscation_list(struct call *call);
void obfuscation_rotate(struct call *call);
void obfuscation_drop(struct call *call);
