/* SPDX-License-Identifier: Apache-2.0 */
#include "iface/wg_genl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/err.h"

enum {
	ANSWER_MAX = 32768, /* what the kernel puts into one datagram of a dump at most */
	ANSWER_TIMEOUT_S = 5,
	DUMP_TRIES = 20, /* others may change many peers, one by one */
};

struct wg_genl {
	struct mnl_socket *socket;
	uint32_t sequence;
	uint16_t family;
	wg_genl_pause pause;
	void *context;
	_Alignas(struct nlmsghdr) char request[WG_GENL_MESSAGE_MAX];
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
};

/* What is done with each data message of an answer. Return: 0 or a code. */
typedef int (*message_reader)(void *context, const void *attributes, size_t len);

struct answer {
	message_reader read;
	void *context;
	bool is_over;
	bool is_interrupted;
	int err; /* the first; what follows is drained, so that the socket is free again */
};

static struct nlmsghdr *begin(struct wg_genl *g, uint16_t family, uint8_t command,
			      uint8_t version, uint16_t flags)
{
	struct nlmsghdr *message;
	struct genlmsghdr *generic;

	memset(g->request, 0, sizeof(g->request));
	message = mnl_nlmsg_put_header(g->request);
	message->nlmsg_type = family;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	message->nlmsg_seq = ++g->sequence;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->cmd = command;
	generic->version = version;
	return message;
}

static void end(struct answer *a, int err)
{
	a->is_over = true;
	if (a->err == 0)
		a->err = err;
}

/* NLMSG_ERROR (also the acknowledgement) and NLMSG_DONE both begin with a code. */
static int code_of(const struct nlmsghdr *message)
{
	int32_t code;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(code))
		return message->nlmsg_type == NLMSG_DONE ? 0 : ERR_FORMAT;
	memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
	return code > 0 ? -code : code;
}

static void hear_message(struct answer *a, const struct nlmsghdr *message)
{
	size_t header = sizeof(struct genlmsghdr);
	size_t len = mnl_nlmsg_get_payload_len(message);

	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		a->is_interrupted = true;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		end(a, code_of(message));
		return;
	}
	if (message->nlmsg_type < NLMSG_MIN_TYPE || a->err != 0 || !a->read)
		return;
	if (len < header)
		a->err = ERR_FORMAT;
	else
		a->err = a->read(a->context, mnl_nlmsg_get_payload_offset(message, header),
				 len - header);
}

/* Answers of earlier requests that timed out carry another sequence number: skipped. */
static int hear(struct wg_genl *g, struct answer *a)
{
	while (!a->is_over) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)g->answer;
		ssize_t n = mnl_socket_recvfrom(g->socket, g->answer, sizeof(g->answer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		for (int left = (int)n; mnl_nlmsg_ok(message, left) && !a->is_over;
		     message = mnl_nlmsg_next(message, &left))
			if (message->nlmsg_seq == g->sequence)
				hear_message(a, message);
		if (g->pause && !a->is_over)
			g->pause(g->context, a->is_interrupted);
	}
	return a->err;
}

/* Keys pass both buffers. */
static int ask(struct wg_genl *g, const struct nlmsghdr *message, struct answer *a)
{
	int err = mnl_socket_sendto(g->socket, message, message->nlmsg_len) < 0 ? -errno
										: hear(g, a);

	secret_wipe(g->request, sizeof(g->request));
	secret_wipe(g->answer, sizeof(g->answer));
	return err;
}

/* --- opening --- */

static int read_family_attribute(const struct nlattr *a, void *context)
{
	uint16_t *family = context;

	if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID &&
	    mnl_attr_validate(a, MNL_TYPE_U16) == 0)
		*family = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int read_family(void *context, const void *attributes, size_t len)
{
	mnl_attr_parse_payload(attributes, len, read_family_attribute, context);
	return 0;
}

static int find_family(struct wg_genl *g)
{
	struct answer a = { .read = read_family, .context = &g->family };
	struct nlmsghdr *message = begin(g, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK);
	int err;

	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
	err = ask(g, message, &a);
	return err == 0 && g->family == 0 ? -ENOENT : err;
}

int wg_genl_open(struct wg_genl **ret)
{
	const struct timeval patience = { .tv_sec = ANSWER_TIMEOUT_S };
	struct wg_genl *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	g->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!g->socket || mnl_socket_bind(g->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(g->socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0)
		err = -errno;
	else
		err = find_family(g);
	if (err < 0) {
		wg_genl_close(g);
		return err;
	}
	*ret = g;
	return 0;
}

struct wg_genl *wg_genl_close(struct wg_genl *g)
{
	if (g && g->socket)
		mnl_socket_close(g->socket);
	free(g);
	return NULL;
}

void wg_genl_on_pause(struct wg_genl *g, wg_genl_pause pause, void *context)
{
	g->pause = pause;
	g->context = context;
}

/* --- the interface --- */

static int read_device(void *context, const void *attributes, size_t len)
{
	return wg_genl_snapshot_add(context, attributes, len);
}

static int get_once(struct wg_genl *g, const char *name, struct wg_genl_snapshot *s)
{
	struct answer a = { .read = read_device, .context = s };
	struct nlmsghdr *message =
		begin(g, g->family, WG_CMD_GET_DEVICE, WG_GENL_VERSION, NLM_F_DUMP);
	int err;

	mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, name);
	err = ask(g, message, &a);
	return err == 0 && a.is_interrupted ? -EAGAIN : err;
}

int wg_genl_get(struct wg_genl *g, const char *name, struct wg_genl_snapshot *ret)
{
	int err = -EAGAIN;

	if (strlen(name) >= WG_GENL_NAME_MAX)
		return -ENAMETOOLONG;
	for (int i = 0; i < DUMP_TRIES && err == -EAGAIN; i++) {
		struct wg_genl_snapshot s = { .peers = NULL };

		err = get_once(g, name, &s);
		if (err == 0)
			*ret = s;
		else
			wg_genl_snapshot_done(&s);
	}
	return err;
}

int wg_genl_set(struct wg_genl *g, const char *name, const struct wg_genl_set *set)
{
	struct wg_genl_cursor at = { .peer = 0 };
	bool has_more = true;
	int err = 0;

	if (strlen(name) >= WG_GENL_NAME_MAX)
		return -ENAMETOOLONG;
	while (has_more && err == 0) {
		struct answer a = { .read = NULL };
		struct nlmsghdr *message =
			begin(g, g->family, WG_CMD_SET_DEVICE, WG_GENL_VERSION, NLM_F_ACK);

		has_more = wg_genl_set_write(message, name, set, &at);
		err = ask(g, message, &a);
		if (g->pause && has_more && err == 0)
			g->pause(g->context, false);
	}
	return err;
}
