/* SPDX-License-Identifier: Apache-2.0 */
/**
 * libpq.h - The client library of PostgreSQL, loaded by whoever needs it
 *
 * Only its header is needed to build. A process loads it before it gives up mapping code; it
 * stays loaded until the process ends.
 *
 * Threads: one at a time until the first call has returned, then any.
 */
#pragma once

#include <libpq-fe.h>

#include "base/err.h"

/** struct libpq - The functions that are used */
struct libpq {
	__typeof__(PQconninfoParse) *conninfo_parse;
	__typeof__(PQconninfo) *conninfo;
	__typeof__(PQconninfoFree) *conninfo_free;
	__typeof__(PQfreemem) *freemem;
	__typeof__(PQconnectdbParams) *connect_params;
	__typeof__(PQfinish) *finish;
	__typeof__(PQstatus) *status;
	__typeof__(PQsocket) *socket;
	__typeof__(PQpass) *pass;
	__typeof__(PQuser) *user;
	__typeof__(PQerrorMessage) *error_message;
	__typeof__(PQserverVersion) *server_version;
	__typeof__(PQbackendPID) *backend_pid;
	__typeof__(PQsetNoticeReceiver) *set_notice_receiver;
	__typeof__(PQsendQuery) *send_query;
	__typeof__(PQsendQueryParams) *send_query_params;
	__typeof__(PQsendPrepare) *send_prepare;
	__typeof__(PQsendQueryPrepared) *send_query_prepared;
	__typeof__(PQsetSingleRowMode) *set_single_row_mode;
	__typeof__(PQconsumeInput) *consume_input;
	__typeof__(PQisBusy) *is_busy;
	__typeof__(PQgetResult) *get_result;
	__typeof__(PQenterPipelineMode) *enter_pipeline;
	__typeof__(PQexitPipelineMode) *exit_pipeline;
	__typeof__(PQpipelineSync) *pipeline_sync;
	__typeof__(PQexec) *exec; /* without a bound: for tests */
	__typeof__(PQresultStatus) *result_status;
	__typeof__(PQresultErrorField) *result_error_field;
	__typeof__(PQcmdStatus) *cmd_status;
	__typeof__(PQcmdTuples) *cmd_tuples;
	__typeof__(PQntuples) *ntuples;
	__typeof__(PQnfields) *nfields;
	__typeof__(PQgetvalue) *getvalue;
	__typeof__(PQgetlength) *getlength;
	__typeof__(PQgetisnull) *getisnull;
	__typeof__(PQclear) *clear;
};

/** libpq_load() - Return: 0; -ENOENT when it is missing or too old, with a sentence in @d */
int libpq_load(const struct libpq **ret, struct diag *d);
