/* SPDX-License-Identifier: Apache-2.0 */
/* Files with other parameters: what changes, and that nothing else does. */
#include <stdbool.h>
#include <string.h>

#include "../test.h"
#include "conf/wgconf_framing.h"

#define BOB "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

static struct frame_parameters some(uint32_t jc, uint32_t s4)
{
	struct frame_parameters p;

	frame_parameters_init(&p);
	p.jc = jc;
	p.pad[3] = s4;
	return p;
}

static bool becomes(const char *before, const struct frame_parameters *p, uint32_t mtu,
		    const char *after)
{
	struct wgconf c = { 0 };
	struct text out = { 0 };
	struct diag d;
	bool same = wgconf_parse(before, strlen(before), &c, &d) == 0;

	if (same) {
		wgconf_reframe(&out, &c, p, mtu);
		same = strcmp(out.len ? out.data : "", after) == 0;
	}
	if (!same)
		printf("# became: %s\n", out.data ? out.data : "");
	text_done(&out);
	wgconf_done(&c);
	return same;
}

static void puts_new_values_where_the_old_ones_were(void)
{
	struct frame_parameters p = some(7, 0);

	CHECK(becomes("# a\n[Interface]\nListenPort=1\nJc = 4\n# between\nS1=9 # x\nPostUp=y\n"
		      "[Peer]\nPublicKey=" BOB "\n",
		      &p, 0,
		      "# a\n[Interface]\nListenPort=1\nJc = 7\n# between\nPostUp=y\n"
		      "[Peer]\nPublicKey=" BOB "\n"));
}

static void puts_values_behind_the_keys_of_a_plain_file(void)
{
	struct frame_parameters p = some(7, 0);

	CHECK(becomes("[Interface]\r\nListenPort=1\r\n\r\n[Peer]\r\nPublicKey=" BOB "\r\n", &p,
		      0,
		      "[Interface]\r\nListenPort=1\r\nJc = 7\r\n\r\n[Peer]\r\nPublicKey=" BOB
		      "\r\n"));
	CHECK(becomes("[Interface]\n\n[Peer]\nPublicKey=" BOB, &p, 0,
		      "[Interface]\nJc = 7\n\n[Peer]\nPublicKey=" BOB));
	CHECK(becomes("[Peer]\nPublicKey=" BOB "\n[Interface]\nMTU=1280", &p, 0,
		      "[Peer]\nPublicKey=" BOB "\n[Interface]\nMTU=1280\nJc = 7\n"));
	CHECK(becomes("", &p, 0, "[Interface]\nJc = 7\n"));
}

static void removes_values_for_plain_wireguard(void)
{
	struct frame_parameters p = some(0, 0);

	CHECK(becomes("[Interface]\nJc=1\nJ1 = <x\nMTU = 1376\nCulvertProfile = a jc=1\nS1=3",
		      &p, 0, "[Interface]\nMTU = 1376\nCulvertProfile = a jc=1\n"));
	CHECK(becomes("[Interface]\n# nothing\n", &p, 0, "[Interface]\n# nothing\n"));
	CHECK(becomes("", &p, 0, ""));
}

static void lowers_an_mtu_that_does_not_fit(void)
{
	struct frame_parameters p = some(0, 20);

	CHECK(becomes("[Interface]\n mtu\t=  1420 # set\nPostUp=x\n", &p, 1400,
		      "[Interface]\n mtu\t=  1400 # set\nPostUp=x\nS4 = 20\n"));
	CHECK(becomes("[Interface]\nMTU=1280\n", &p, 1400, "[Interface]\nMTU=1280\nS4 = 20\n"));
	CHECK(becomes("[Interface]\nMTU=1400\n", &p, 1400, "[Interface]\nMTU=1400\nS4 = 20\n"));
	CHECK(becomes("[Interface]\nTable=off\n", &p, 1400,
		      "[Interface]\nTable=off\nMTU = 1400\nS4 = 20\n"));
}

static uint32_t advise(const char *text, uint32_t path, uint32_t s4)
{
	struct frame_parameters p = some(0, s4);
	struct wgconf c = { 0 };
	uint32_t mtu = 0;
	struct diag d;

	if (wgconf_parse(text, strlen(text), &c, &d) == 0)
		mtu = wgconf_advise_mtu(&c, path, &p);
	wgconf_done(&c);
	return mtu;
}

static void advises_an_mtu_for_the_endpoints_of_a_file(void)
{
#define PEER(endpoint) "[Peer]\nPublicKey=" BOB "\nEndpoint=" endpoint "\n"
	CHECK(advise("", 1500, 0) == 1420);
	CHECK(advise("", 1500, 20) == 1400);
	CHECK(advise(PEER("192.0.2.1:1"), 1500, 20) == 1420);
	CHECK(advise(PEER("192.0.2.1:1") PEER("[2001:db8::1]:1"), 1500, 20) == 1400);
	CHECK(advise(PEER("vpn.example.com:1"), 1500, 20) == 1400);
	CHECK(advise(PEER("192.0.2.1:1") "[Peer]\nPublicKey=" BOB "\n", 1492, 0) == 1432);
	CHECK(advise("", 1300, 24) == 1280);
}

int main(void)
{
	RUN(puts_new_values_where_the_old_ones_were);
	RUN(puts_values_behind_the_keys_of_a_plain_file);
	RUN(removes_values_for_plain_wireguard);
	RUN(lowers_an_mtu_that_does_not_fit);
	RUN(advises_an_mtu_for_the_endpoints_of_a_file);
	return DONE();
}
