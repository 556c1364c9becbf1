/* SPDX-License-Identifier: Apache-2.0 */
#include "api/documents.h"

#include "api/call.h"

void documents_show_openapi(struct call *call)
{
	call_reply_static(call, "application/json", documents_openapi, documents_openapi_len,
			  NULL, NULL);
}

void documents_show_page(struct call *call)
{
	call_reply_static(call, "text/html; charset=utf-8", documents_page, documents_page_len,
			  "Content-Security-Policy", documents_policy);
}
