/* SPDX-License-Identifier: Apache-2.0 */
/**
 * master_key.h - Where the key comes from that seals what is stored
 *
 * In this order: CULVERT_MASTER_KEY in the environment (base64, removed from it once read); the
 * systemd credential "master.key"; the file master.key in the state directory, which the first
 * start makes. All three hold a key in base64. Without it the database's secrets cannot be read.
 *
 * Threads: before the first is started: it changes the environment.
 */
#pragma once

#include "base/err.h"
#include "crypto/secret.h"

/**
 * master_key_read() - Read it, or make the file
 *
 * Return: 0; -EPERM: others may read the file; ERR_FORMAT: not a key; -errno; reason in @d.
 */
int master_key_read(const char *state, struct secret_key *ret, struct diag *d);
