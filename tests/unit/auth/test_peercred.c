/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../test.h"
#include "auth/peercred.h"
#include "base/err.h"

static int judge(uid_t caller, uid_t own, struct principal *ret)
{
	return peercred_judge(&(struct ucred){ .uid = caller }, own, ret);
}

static void the_superuser_and_our_own_user_may_speak(void)
{
	struct principal p = { .kind = PRINCIPAL_API_KEY };

	CHECK(judge(0, 990, &p) == 0);
	CHECK(p.kind == PRINCIPAL_LOCAL && strcmp(p.name, "uid 0") == 0);
	CHECK(judge(990, 990, &p) == 0);
	CHECK(strcmp(p.name, "uid 990") == 0);
}

static void anybody_else_may_not(void)
{
	struct principal p = { .kind = PRINCIPAL_API_KEY };

	CHECK(judge(1000, 990, &p) == ERR_AUTH);
	CHECK(judge(65534, 0, &p) == ERR_AUTH);
	CHECK(judge((uid_t)-1, 990, &p) == ERR_AUTH);
	CHECK(p.kind == PRINCIPAL_API_KEY && p.name[0] == '\0');
}

int main(void)
{
	RUN(the_superuser_and_our_own_user_may_speak);
	RUN(anybody_else_may_not);
	return DONE();
}
