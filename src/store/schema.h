/* SPDX-License-Identifier: Apache-2.0 */
/**
 * schema.h - The migrations, in order, as SQL
 *
 * Made at build time from schema/NNNN_name.sql, for SQLite, and schema_pg/, for PostgreSQL. A migration that was released is never
 * edited: the next change of the schema is the next number. Text n brings a database
 * from version n to version n + 1.
 */
#pragma once

extern const unsigned int schema_count;
extern const char *const schema_text[];
extern const unsigned int schema_pg_count;
extern const char *const schema_pg_text[];
