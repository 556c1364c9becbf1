/* SPDX-License-Identifier: Apache-2.0 */
/**
 * documents.h - What describes the API: for programs and for people
 *
 * Both are made from proto/openapi.yaml when the program is built (tools/embed-documents).
 *
 * Threads: the main loop's.
 */
#pragma once

#include <stddef.h>

struct call;

void documents_show_openapi(struct call *call);
void documents_show_page(struct call *call);

/* Made: the description as JSON, as a page, and the page's Content-Security-Policy. */
extern const unsigned char documents_openapi[];
extern const size_t documents_openapi_len;
extern const unsigned char documents_page[];
extern const size_t documents_page_len;
extern const char documents_policy[];
