/* SPDX-License-Identifier: Apache-2.0 */
/**
 * postgres_schema.h - The schema "culvert" of a database: made, recognised, brought up to date
 *
 * Threads: that of the link.
 */
#pragma once

#include "store/pg_link.h"

/**
 * postgres_schema_prepare() - Check what there is, and apply missing migrations
 *
 * A schema of a newer version, or of somebody else, is left untouched. Several may try at once.
 *
 * Return: 0; ERR_VERSION; ERR_CORRUPT; as pg_link_run(); with the reason in @d.
 */
int postgres_schema_prepare(struct pg_link *l, struct diag *d);
