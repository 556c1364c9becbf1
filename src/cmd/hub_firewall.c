/* SPDX-License-Identifier: Apache-2.0 */
/* culvert hub firewall: the policy of a hub or a spoke in a table of our own, in one transaction.
 * Removing the table takes back all that was done. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/hub.h"
#include "net/nft.h"

/* The hub is the node with the hub's address: --role says otherwise. */
static int find_role(const struct hub_request *r, enum hub_role *ret)
{
	struct conf_file f = { 0 };
	char path[HUB_PATH_MAX];

	*ret = HUB_ROLE_SPOKE;
	if (r->role && strcmp(r->role, "spoke") == 0)
		return EXIT_DONE;
	if (r->role && strcmp(r->role, "hub") != 0)
		return hub_complain(EXIT_USAGE, "--role is hub or spoke");
	hub_path(r, NULL, 0, HUB_FILE_CONF, path);
	if (r->role || conf_file_open(&f, path) == EXIT_DONE)
		*ret = HUB_ROLE_HUB;
	conf_file_done(&f);
	return EXIT_DONE;
}

static int apply(const struct hub_request *r)
{
	struct text out = { 0 };
	struct diag d = { 0 };
	enum hub_role role;
	int code = find_role(r, &role);

	if (code != EXIT_DONE)
		return code;
	hub_text_table(&out, r, role);
	if (r->dry_run)
		fputs(out.data ? out.data : "", stdout);
	else if (out.err || nft_run_text(out.data, out.len, &d) < 0)
		code = hub_complain(EXIT_FAILED, "%s", d.text);
	else
		fprintf(stderr, "culvert hub: the rules of a %s apply to %s\n",
			role == HUB_ROLE_HUB ? "hub" : "spoke", r->interface);
	text_done(&out);
	return code;
}

static int show(void)
{
	char out[NFT_LIST_MAX];
	struct diag d = { 0 };
	int err = nft_list_table(HUB_TABLE, false, out, &d);

	if (err == ERR_UNKNOWN) {
		puts("no rules");
		return EXIT_FAILED;
	}
	if (err < 0)
		return hub_complain(EXIT_FAILED, "%s", d.text);
	fputs(out, stdout);
	return EXIT_DONE;
}

static int take_back(void)
{
	static const char text[] =
		"table inet " HUB_TABLE "\ndelete table inet " HUB_TABLE "\n";
	struct diag d = { 0 };

	if (nft_run_text(text, sizeof(text) - 1, &d) < 0)
		return hub_complain(EXIT_FAILED, "%s", d.text);
	return EXIT_DONE;
}

int hub_firewall(const struct hub_request *r)
{
	const char *word = r->name ? r->name : "show";

	if (strcmp(word, "apply") == 0)
		return apply(r);
	if (strcmp(word, "show") == 0)
		return show();
	if (strcmp(word, "remove") == 0)
		return take_back();
	return hub_complain(EXIT_USAGE, "firewall apply, show or remove");
}
