/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "client/ephem_conf.h"
#include "client/ephem_state.h"

#define HEAD "[Interface]\nPrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n"
#define PEER "[Peer]\nPublicKey = 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n"

static int check(const char *text, struct diag *d)
{
	return ephem_conf_check(text, strlen(text), d);
}

static void a_clients_file_is_taken(void)
{
	struct diag d = { .text = "" };

	CHECK(check(HEAD PEER, &d) == 0);
	CHECK(check("# PostUp = x\n" HEAD "Jc = 4\nJmin = 40\nJmax = 70\nDNS = 8.8.8.8\n" PEER,
		    &d) == 0);
}

static void lines_that_run_programs_are_refused_by_name(void)
{
	static const char *const keys[] = { "PreUp", "PostUp", "PreDown", "PostDown",
					    "SaveConfig" };
	struct diag d;
	char text[512];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		d = (struct diag){ .text = "" };
		snprintf(text, sizeof(text), HEAD "%s = true\n" PEER, keys[i]);
		CHECK(check(text, &d) == ERR_RANGE);
		CHECK(strstr(d.text, keys[i]) && d.line == 3);
	}
	CHECK(check(HEAD "pOsTuP=x"
			 "\n" PEER,
		    &d) == ERR_RANGE);
}

static void what_connects_nobody_is_refused(void)
{
	static char longer[EPHEM_CONF_MAX + 2];
	struct diag d = { .text = "" };

	CHECK(check("", &d) == ERR_FORMAT);
	CHECK(check(HEAD, &d) == ERR_FORMAT);
	CHECK(check("[Interface]\n" PEER, &d) == ERR_FORMAT);
	CHECK(check("hello", &d) == ERR_FORMAT);
	CHECK(ephem_conf_check("[Interface]\0", 12, &d) == ERR_LIMIT);
	memset(longer, '\n', sizeof(longer) - 1);
	CHECK(check(longer, &d) == ERR_LIMIT);
}

int main(void)
{
	RUN(a_clients_file_is_taken);
	RUN(lines_that_run_programs_are_refused_by_name);
	RUN(what_connects_nobody_is_refused);
	return DONE();
}
