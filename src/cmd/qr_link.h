/* SPDX-License-Identifier: Apache-2.0 */
/**
 * qr_link.h - A client's file as a link of AmneziaVPN, and the link as a series of QR codes
 */
#pragma once

#include "cmd/qr_picture.h"

/**
 * qr_link_print() - Write the link of a file, or of what is in a link, on a line
 * @path:	NULL or "-": standard input; or a link
 *
 * Return: an enum command_exit; complaints are on standard error.
 */
int qr_link_print(const char *path);

/**
 * qr_link_draw() - The link as QR codes, one behind the other
 * @output:	NULL or "-": standard output; else NAME-1.EXT, NAME-2.EXT and so on are made
 *		of it, and their names written
 *
 * Between two codes on a terminal it waits for Enter.
 */
int qr_link_draw(const char *path, const struct qr_format *format, const char *output);
