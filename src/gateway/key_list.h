/* SPDX-License-Identifier: Apache-2.0 */
/**
 * key_list.h - The keys of users as a file, for a proxy that serves the same people
 *
 * Lines "ID SHA256" of everybody who is active, and "master" for the master key (culvert-proxy(8)). It is
 * written when users have changed, once a second at most, and looked at every KEY_LIST_LOOK_S seconds in
 * case that something else did, such as the end of a peer's life.
 *
 * Threads: the main loop's.
 */
#pragma once

#include "gateway/users.h"

enum { KEY_LIST_LOOK_S = 5 };

struct key_list;

/**
 * key_list_new() - @directory is made where it is missing; the file in it is called "keys"
 *
 * Return: 0; -ENOMEM; -errno with a sentence in @d.
 */
int key_list_new(const char *directory, struct key_list **ret, struct diag *d);
struct key_list *key_list_free(struct key_list *k); /* takes NULL, returns NULL */

/** key_list_tick() - Write what is due. Return: in how many milliseconds to call again. @k may be NULL */
int key_list_tick(struct key_list *k, const struct users *u, uint64_t now_ns);
