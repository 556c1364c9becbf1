/* SPDX-License-Identifier: Apache-2.0 */
/**
 * shelf.h - Where a gateway process leaves its listening sockets for the next one
 *
 * The shelf is a socket pair whose ends the host process holds and gives to each gateway
 * process. The sockets lie in it, in one message, as descriptors under way. Who needs them
 * looks without taking them out, so they are there again for the one after, however this one
 * ends: as long as the host lives no connection is refused, it waits.
 *
 * Bounds:  HTTP_LISTENERS_MAX sockets.
 * Threads: one, before others start.
 */
#pragma once

#include <stddef.h>

#include <sys/socket.h>

/**
 * shelf_look() - Find what was left
 * @out_fd:	The end sockets are found at
 *
 * What is no listening socket is closed. Return: how many there are; 0 for an empty shelf.
 */
size_t shelf_look(int out_fd);

/**
 * shelf_take() - The socket that listens at this very address, from among those
 *
 * One of the file system counts only while its file is there. Return: a descriptor that is
 * the caller's and does not block; -1: there is none.
 */
int shelf_take(const struct sockaddr *address, socklen_t len);

/**
 * shelf_put() - Leave these, and only these, for the next; forget what nobody took
 * @in_fd, @out_fd: Both ends
 * @fds:	Stay open here
 *
 * Return: 0; ERR_LIMIT; -errno, and the next one opens its own.
 */
int shelf_put(int in_fd, int out_fd, const int *fds, size_t n);
