/* SPDX-License-Identifier: Apache-2.0 */
/**
 * import_plan.h - What importing rows into a running gateway comes to
 *
 * Each row is compared with what the gateway has. What is to be done goes to it as batches, each of
 * which happens whole or not at all; what it refuses is known row by row afterwards.
 *
 * Threads: one.
 */
#pragma once

#include "cmd/import_rows.h"

enum import_result {
	IMPORT_NEW,	  /* to be made, or made */
	IMPORT_UNCHANGED, /* there already */
	IMPORT_CHANGED,	  /* there, and different: to be changed, or changed */
	IMPORT_REFUSED,	  /* cannot be, see @why */
	IMPORT_RESULTS,
};

enum { IMPORT_WHY_MAX = 256 };

/** struct import_step - Of the row in the same place */
struct import_step {
	enum import_result result;
	bool is_done; /* the gateway has it */
	char why[IMPORT_WHY_MAX];
};

/**
 * struct import_plan - @rows and @facts are borrowed
 * @state:	Of the gateway
 * @facts:	The answer of GET /api/v1/gateway
 * @peers:	Key to peer, as the gateway has it; owned
 * @level:	That every row gets; NULL: each its own
 * @updates:	Rows that differ from their peers change them
 * @is_dry:	Nothing is done
 * @is_whole:	One row that is refused refuses all
 */
struct import_plan {
	const char *state;
	const struct import_rows *rows;
	const json_t *facts;
	json_t *peers;
	const char *level;
	bool updates;
	bool is_dry;
	bool is_whole;
	struct import_step *steps; /* owned */
	size_t counts[IMPORT_RESULTS];
};

/**
 * import_plan_run() - Compare, and do what is to be done
 * @p:		Everything above @steps is set; import_plan_done() in any case
 *
 * Return: an enum command_exit: EXIT_DONE although rows may be refused; EXIT_REFUSED when @is_whole
 *	   and one is, and nothing was done; else with a sentence in @d, and @is_done in each step.
 */
int import_plan_run(struct import_plan *p, struct diag *d);
void import_plan_done(struct import_plan *p);

const char *import_result_word(enum import_result result); /* "new", … */
