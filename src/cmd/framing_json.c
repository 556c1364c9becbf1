/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/framing_json.h"

#include <string.h>

bool framing_json_read(json_t *all, struct frame_parameters *ret)
{
	const char *name;
	json_t *value;

	json_object_foreach(all, name, value)
	{
		enum frame_key key = frame_key_find(FRAME_CONF, name, strlen(name));
		const char *text = json_string_value(value);

		if (key == FRAME_KEYS || !text ||
		    frame_parameters_set(ret, FRAME_CONF, key, text, strlen(text), NULL) != 0)
			return false;
	}
	return frame_parameters_check(ret, NULL) == FRAME_RULE_NONE;
}
