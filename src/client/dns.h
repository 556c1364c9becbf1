/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dns.h - Which name servers this host asks while it is connected
 *
 * Whoever has /etc/resolv.conf in hand is told: systemd-resolved by resolvectl(1), resolvconf by its own
 * program; else the file is replaced (client/resolv_file.h). The programs are run directly.
 *
 * Threads: one.
 */
#pragma once

#include "client/plan.h"
#include "client/undo_journal.h"

/**
 * client_dns_choose() - The step for @p; of kind UNDO_DNS or UNDO_RESOLV
 *
 * Return: 0; ERR_LIMIT when there is more to say than fits a file of ours; -errno; with a
 *	   sentence in @d.
 */
int client_dns_choose(const struct client_plan *p, int state_fd, struct undo_step *ret,
		      struct diag *d);

/** client_dns_do() - Carry it out. 0, -errno or ERR_UNKNOWN with what the program said in @d */
int client_dns_do(const struct client_plan *p, int state_fd, const struct undo_step *step,
		  struct diag *d);

/** client_dns_undo() - Take it back. @ret_left as in resolv_file_restore() */
int client_dns_undo(const char *interface, int state_fd, const struct undo_step *step,
		    bool *ret_left, struct diag *d);

/** client_dns_stands() - Is what we have put into the file still there? true where it is no file */
bool client_dns_stands(const char *interface, int state_fd, const struct undo_step *step);
