/* SPDX-License-Identifier: Apache-2.0 */
/**
 * gateway_status.h - Which PostgreSQL server the status page tells of
 *
 * That of --status-postgres; else, where POSTGRES_USER or POSTGRES_DB is set, the one of this machine
 * with those and POSTGRES_PASSWORD, which is removed from the environment.
 *
 * Threads: none here.
 */
#pragma once

#include "api/postgres_watch.h"
#include "cmd/options.h"

/** gateway_status_open() - Return: 0, with NULL where there is none or no page; as pg_status_new() */
int gateway_status_open(const struct options *o, struct postgres_watch **ret, struct diag *d);
