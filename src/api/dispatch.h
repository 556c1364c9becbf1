/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dispatch.h - From a request to its handler: route, then authentication, then the handler
 *
 * Threads: the main loop's.
 */
#pragma once

#include "api/call.h"

/** dispatch_request() - For the HTTP server; @context is a struct api */
void dispatch_request(void *context, struct http_exchange *x);
