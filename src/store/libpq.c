/* SPDX-License-Identifier: Apache-2.0 */
#include "store/libpq.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <dlfcn.h>

#define LIBRARY "libpq.so.5"

static const struct {
	const char *name;
	size_t at;
} symbols[] = {
	{ "PQconninfoParse", offsetof(struct libpq, conninfo_parse) },
	{ "PQconninfo", offsetof(struct libpq, conninfo) },
	{ "PQconninfoFree", offsetof(struct libpq, conninfo_free) },
	{ "PQfreemem", offsetof(struct libpq, freemem) },
	{ "PQconnectdbParams", offsetof(struct libpq, connect_params) },
	{ "PQfinish", offsetof(struct libpq, finish) },
	{ "PQstatus", offsetof(struct libpq, status) },
	{ "PQsocket", offsetof(struct libpq, socket) },
	{ "PQpass", offsetof(struct libpq, pass) },
	{ "PQuser", offsetof(struct libpq, user) },
	{ "PQerrorMessage", offsetof(struct libpq, error_message) },
	{ "PQserverVersion", offsetof(struct libpq, server_version) },
	{ "PQbackendPID", offsetof(struct libpq, backend_pid) },
	{ "PQsetNoticeReceiver", offsetof(struct libpq, set_notice_receiver) },
	{ "PQsendQuery", offsetof(struct libpq, send_query) },
	{ "PQsendQueryParams", offsetof(struct libpq, send_query_params) },
	{ "PQsendPrepare", offsetof(struct libpq, send_prepare) },
	{ "PQsendQueryPrepared", offsetof(struct libpq, send_query_prepared) },
	{ "PQsetSingleRowMode", offsetof(struct libpq, set_single_row_mode) },
	{ "PQconsumeInput", offsetof(struct libpq, consume_input) },
	{ "PQisBusy", offsetof(struct libpq, is_busy) },
	{ "PQgetResult", offsetof(struct libpq, get_result) },
	{ "PQenterPipelineMode", offsetof(struct libpq, enter_pipeline) },
	{ "PQexitPipelineMode", offsetof(struct libpq, exit_pipeline) },
	{ "PQpipelineSync", offsetof(struct libpq, pipeline_sync) },
	{ "PQexec", offsetof(struct libpq, exec) },
	{ "PQresultStatus", offsetof(struct libpq, result_status) },
	{ "PQresultErrorField", offsetof(struct libpq, result_error_field) },
	{ "PQcmdStatus", offsetof(struct libpq, cmd_status) },
	{ "PQcmdTuples", offsetof(struct libpq, cmd_tuples) },
	{ "PQntuples", offsetof(struct libpq, ntuples) },
	{ "PQnfields", offsetof(struct libpq, nfields) },
	{ "PQgetvalue", offsetof(struct libpq, getvalue) },
	{ "PQgetlength", offsetof(struct libpq, getlength) },
	{ "PQgetisnull", offsetof(struct libpq, getisnull) },
	{ "PQclear", offsetof(struct libpq, clear) },
};

static int find_all(void *library, struct libpq *pq, struct diag *d)
{
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *function = dlsym(library, symbols[i].name);

		if (!function)
			return diag_set(d, -ENOENT, 0, LIBRARY " has no %s", symbols[i].name);
		memcpy((char *)pq + symbols[i].at, &function, sizeof(function));
	}
	return 0;
}

int libpq_load(const struct libpq **ret, struct diag *d)
{
	static struct libpq pq;
	static void *library;
	int err;

	if (library) {
		*ret = &pq;
		return 0;
	}
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return diag_set(d, -ENOENT, 0,
				"the library " LIBRARY
				" is missing; install the package libpq5");
	err = find_all(library, &pq, d);
	if (err != 0) {
		dlclose(library);
		library = NULL;
		return err;
	}
	*ret = &pq;
	return 0;
}
