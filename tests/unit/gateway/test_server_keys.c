/* SPDX-License-Identifier: Apache-2.0 */
/* What `culvert keys server` does is tested in tests/cmd/test_params.py; here: one key for two. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ftw.h>

#include "../test.h"
#include "base/codec.h"
#include "gateway/server_keys.h"

/* RFC 7748 section 6.1, in base64 (coreutils base64). */
static const char alice[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
static const char alice_public[] = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
static const char alice_twice[] =
	"ZHdkdENuTVlwWDA4RnNGeVViSm1SZDlNTDRmcndKa3FzWGY3cFIyNUxDbz0=";
static const char bob[] = "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=";
static const uint64_t now_s = 1768386600; /* 2026-01-14T10:30:00Z */

static char top[] = "/tmp/culvert-keys-XXXXXX";
static char root[64];
static struct params *tree;

static int erase(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static void set(const char *name, const char *value)
{
	CHECK(params_put(tree, name, value, PARAMS_SECURE, true, NULL) == 0);
}

static bool holds(const char *name, const char *value)
{
	struct text t = { 0 };
	bool is_equal = params_get(tree, name, &t, NULL) == 0 && strcmp(t.data, value) == 0;

	text_done(&t);
	return is_equal;
}

static void forget(const char *name)
{
	int err = params_remove(tree, name, NULL);

	CHECK(err == 0 || err == ERR_UNKNOWN);
}

static void begin_anew(void)
{
	forget("wg/server-private-key");
	forget("wg/server-private-key-b64");
	forget("wg/server-public-key");
	forget("wg/server-public-key-b64");
	forget("wg/server-key-metadata");
}

static struct secret_key key_of(const char *text)
{
	struct secret_key key;

	CHECK(key_from_base64(text, strlen(text), key.b) == 0);
	return key;
}

static bool has_all_of_alice(void)
{
	return holds("wg/server-private-key", alice) &&
	       holds("wg/server-public-key", alice_public) &&
	       holds("wg/server-public-key-b64", alice_public) &&
	       holds("wg/server-key-metadata",
		     "2026-01-14T10:30:00Z|curve25519|wireguard-server");
}

static void a_tree_without_a_key_gets_that_of_the_gateway(void)
{
	struct secret_key own = key_of(alice), ret = { { 0 } };
	bool is_there = true;

	begin_anew();
	CHECK(server_keys_agree(tree, NULL, now_s, &ret, &is_there, NULL) == 0 && !is_there);
	CHECK(!holds("wg/server-private-key", alice));
	CHECK(server_keys_agree(tree, &own, now_s, &ret, &is_there, NULL) == 0 && is_there);
	CHECK(memcmp(ret.b, own.b, sizeof(own.b)) == 0 && has_all_of_alice());
	CHECK(holds("wg/server-private-key-b64", alice));
	/* At another time nothing is written again. */
	CHECK(server_keys_agree(tree, &own, now_s + 1, &ret, &is_there, NULL) == 0);
	CHECK(has_all_of_alice());
}

static void a_gateway_without_a_key_gets_that_of_the_tree(void)
{
	struct secret_key own = key_of(alice), ret = { { 0 } };
	bool is_there = false;

	begin_anew();
	set("wg/server-private-key-b64", alice_twice); /* as others write it */
	CHECK(server_keys_agree(tree, NULL, now_s, &ret, &is_there, NULL) == 0 && is_there);
	CHECK(memcmp(ret.b, own.b, sizeof(own.b)) == 0 && has_all_of_alice());
	CHECK(holds("wg/server-private-key-b64", alice_twice)); /* theirs stays */
}

static void two_keys_and_half_pairs_are_refused_and_nothing_is_written(void)
{
	struct secret_key own = key_of(bob), ret;
	struct diag d = { .text = "" };
	bool is_there = true;

	begin_anew();
	set("wg/server-private-key", alice);
	CHECK(server_keys_agree(tree, &own, now_s, &ret, &is_there, &d) == ERR_KEY);
	CHECK(!is_there && strstr(d.text, "another wg/server-private-key"));
	set("wg/server-public-key", bob);
	CHECK(server_keys_agree(tree, NULL, now_s, &ret, &is_there, &d) == ERR_CORRUPT);
	CHECK(strstr(d.text, "no pair"));
	set("wg/server-private-key", "nothing");
	CHECK(server_keys_agree(tree, &own, now_s, &ret, &is_there, &d) == ERR_CORRUPT);
	CHECK(!holds("wg/server-public-key-b64", bob) &&
	      !holds("wg/server-public-key-b64", alice_public));
}

int main(void)
{
	struct diag d = { .text = "" };

	CHECK(mkdtemp(top) != NULL);
	snprintf(root, sizeof(root), "%s/params", top);
	CHECK(params_open_dir(root, &tree, &d) == 0);
	RUN(a_tree_without_a_key_gets_that_of_the_gateway);
	RUN(a_gateway_without_a_key_gets_that_of_the_tree);
	RUN(two_keys_and_half_pairs_are_refused_and_nothing_is_written);
	params_free(tree);
	nftw(top, erase, 8, FTW_DEPTH | FTW_PHYS);
	return DONE();
}
