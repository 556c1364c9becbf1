/* SPDX-License-Identifier: Apache-2.0 */
/**
 * device_numbers.h - The numbers of a usernet as one line
 *
 * Groups as routers of this kind have them: total, tcp, udp, tcp_ext, tcp_active, udp_active, wg, flow, proc, rt,
 * egress_limiter, flow_limiter, srv_limits. Threads: any.
 */
#pragma once

#include "base/text.h"
#include "device/device.h"

struct device_moment {
	uint64_t wall_ns;
	uint64_t running_ns; /* since the process began to tell */
	uint32_t flows_max;
};

/* With a newline. As text a group is "group.name=value". */
void device_numbers_write(struct text *out, const struct device_numbers *n,
			  const struct device_moment *when, bool is_json);
