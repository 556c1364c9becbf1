/* SPDX-License-Identifier: Apache-2.0 */
/**
 * output.h - Standard output that gets a secret
 */
#pragma once

/**
 * output_warn_if_readable() - Say so when standard output is a file that anybody may read
 * @command:	For the complaint: "culvert keys"
 */
void output_warn_if_readable(const char *command);
