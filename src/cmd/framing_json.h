/* SPDX-License-Identifier: Apache-2.0 */
/**
 * framing_json.h - Parameters of AmneziaWG as the gateway's API tells them
 */
#pragma once

#include <jansson.h>

#include "frame/parameters.h"

/**
 * framing_json_read() - {"Jc": "5", …}; what is not there stays as it is
 * @ret:	Initialised
 *
 * Return: false when a name or a value is wrong, or they break a rule together.
 */
bool framing_json_read(json_t *all, struct frame_parameters *ret);
