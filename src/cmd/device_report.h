/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device_report.h - What `culvert device --usernet` tells by itself: numbers, and whether the world answers
 *
 * METRICS_LOG or METRICS_INTERVAL ("30s", the default) writes the numbers to standard output, a line each time;
 * METRICS_FORMAT is "text" or "json". HEALTHCHECK asks every 30 s for HEALTH_HTTP_URL and for the address of
 * HEALTH_DNS_NAME at HEALTH_DNS_IP, and logs what came of it.
 *
 * Threads: device_report_read() before others start; the rest is a thread of its own (device/reporter.h).
 */
#pragma once

#include "device/device.h"

/** device_report_read() - Into @ret; nothing asked for is no thread. Complains on standard error
 * @usernet:	Whose first resolver answers where HEALTH_DNS_IP is not said
 * Return: an exit code, EXIT_DONE when it is fine. */
int device_report_read(const struct usernet_options *usernet, struct reporter_options *ret);
