/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel is told of profiles, judged by what they mean: first with the shapes read the
 * naive way, then by the kernel itself. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "../frame/dress.h"
#include "../net/namespace.h"
#include "device/steering.h"
#include "frame/level.h"

enum {
	SETS = 1500,
	MESSAGES = 12, /* of each kind and profile */
	PROFILES = 4,
	LONGEST = 4096,
};

static uint8_t message[LONGEST], datagram[LONGEST];

/* --- Sets of profiles --- */

static uint32_t below(uint32_t n)
{
	return throw() % n;
}

static struct frame_range any_range(void)
{
	uint32_t a = throw(), widths[] = { 0, 0, 1 << 8, 1 << 24, 1 << 30 };
	uint32_t width = widths[below(5)];

	return (struct frame_range){ a, a + width < a ? UINT32_MAX : a + width };
}

static void draw_any(struct frame_parameters *p)
{
	frame_parameters_init(p);
	for (int i = 0; i < FRAME_MESSAGES; i++) {
		p->pad[i] = below(3) ? below(64) : below(8) ? 0 : below(2100);
		if (below(4))
			p->header[i] = any_range();
	}
	if (below(3) == 0)
		memset(p->protection_key.b, 1 + (int)below(255), sizeof(p->protection_key.b));
	p->random_trailers = below(3) == 0;
}

/* Of a level, or anything that is valid. */
static void draw(struct frame_parameters *p)
{
	frame_parameters_init(p);
	if (below(2)) {
		enum frame_level level = (enum frame_level)below(FRAME_LEVELS);

		CHECK(frame_level_draw(level, &dice, p) == 0);
		return;
	}
	do
		draw_any(p);
	while (frame_parameters_check(p, NULL) != FRAME_RULE_NONE);
}

static struct frame_set set_of(const struct frame_parameters *parameters, uint32_t n)
{
	static const char *const names[FRAME_PROFILES_MAX] = {
		"",  "1", "2",	"3",  "4",  "5",  "6",	"7",
		"8", "9", "10", "11", "12", "13", "14", "15",
	};
	struct frame_profile_source sources[FRAME_PROFILES_MAX];
	struct frame_set set;

	for (uint32_t i = 0; i < n; i++)
		sources[i] = (struct frame_profile_source){ names[i], &parameters[i], 0 };
	CHECK(frame_set_make(NULL, sources, n, &set) == 0);
	return set;
}

static struct frame_set any_set(uint32_t n)
{
	struct frame_parameters parameters[FRAME_PROFILES_MAX];
	struct frame_set set;

	for (uint32_t i = 0; i < n; i++)
		draw(&parameters[i]);
	set = set_of(parameters, n);
	for (uint32_t i = 0; i < n; i++)
		frame_parameters_done(&parameters[i]);
	return set;
}

static struct frame_set set_of_texts(const char *const *texts, uint32_t n)
{
	struct frame_parameters parameters[FRAME_PROFILES_MAX];
	struct frame_set set;

	for (uint32_t i = 0; i < n; i++)
		parameters[i] = parameters_of(texts[i]);
	set = set_of(parameters, n);
	for (uint32_t i = 0; i < n; i++)
		frame_parameters_done(&parameters[i]);
	return set;
}

/* --- Datagrams --- */

/* A message of kind @type as @p sends it, in datagram[]. Data has @text octets; a trailer, where
 * there may be one, has at most @text. Returns the length. */
static uint32_t make(const struct frame_profile *p, uint32_t type, uint32_t text)
{
	static const uint32_t lengths[] = { 0, 148, 92, 64, 0 };
	const struct frame_range *h = &p->header[type];
	uint32_t len = type == 4 ? 32 + text : lengths[type];
	uint32_t width = h->hi - h->lo;
	uint32_t word = h->lo + (width == UINT32_MAX ? throw() : below(width + 1));
	uint32_t trailer = type < 4 && p->parameters.random_trailers ? below(text + 1) : 0;

	for (uint32_t i = 0; i < len; i++)
		message[i] = (uint8_t) throw();
	for (int i = 0; i < 4; i++)
		message[i] = (uint8_t)(word >> 8 * i);
	return naive_dress(&p->parameters, type, message, len, trailer, datagram);
}

static bool is_within(const struct frame_range *r, const uint8_t *at)
{
	uint32_t word = naive_word(at);

	return word >= r->lo && word <= r->hi;
}

/* Could datagram[] be data of some profile whose headers can be read? */
static bool looks_like_data(const struct frame_set *set, uint32_t len)
{
	for (uint32_t i = 0; i < set->n; i++) {
		const struct frame_profile *p = &set->profiles[i];
		uint32_t pad = p->pad[4];

		if (naive_is_protected(&p->parameters))
			continue;
		if (len >= pad + 32 && is_within(&p->header[4], datagram + pad))
			return true;
		if (pad && len == 32 && is_within(&p->header[4], datagram))
			return true; /* a keepalive without PAD */
	}
	return false;
}

/* Could it be a message of kind @type under @p? Under a mask only the length tells. */
static bool has_shape(const struct frame_profile *p, uint32_t type, uint32_t len)
{
	static const uint32_t lengths[] = { 0, 148, 92, 64 };
	uint32_t framed = p->pad[type] + lengths[type];
	bool trailers = p->parameters.random_trailers;

	if (naive_is_protected(&p->parameters))
		return len == framed && !trailers;
	return (len == framed || (len > framed && trailers)) &&
	       is_within(&p->header[type], datagram + p->pad[type]);
}

static bool looks_like_handshake(const struct frame_set *set, uint32_t len)
{
	for (uint32_t i = 0; i < 3 * set->n; i++)
		if (has_shape(&set->profiles[i / 3], 1 + i % 3, len))
			return true;
	return false;
}

/* --- The shapes, read as net/udp_socket.h says --- */

static bool is_any(const struct udp_shape *s)
{
	return s->lo == 0 && s->hi == UINT32_MAX;
}

static bool goes_to_data(const struct udp_steering *s, uint32_t len)
{
	for (unsigned int i = 0; i < s->n; i++) {
		const struct udp_shape *shape = &s->shapes[i];
		struct frame_range word = { shape->lo, shape->hi };

		if (len >= shape->least && len <= shape->most &&
		    (is_any(shape) || is_within(&word, datagram + shape->offset)))
			return shape->is_data;
	}
	return s->rest_is_data;
}

static void check_shapes(const struct udp_steering *s)
{
	CHECK(s->n <= UDP_SHAPES_MAX);
	for (unsigned int i = 0; i < s->n; i++)
		CHECK(is_any(&s->shapes[i]) || s->shapes[i].least >= s->shapes[i].offset + 4);
}

/* --- Tests --- */

static void check_data(const struct frame_set *set, const struct udp_steering *s)
{
	for (uint32_t i = 0; i < set->n * MESSAGES; i++) {
		const struct frame_profile *p = &set->profiles[i % set->n];
		uint32_t len = make(p, 4, below(i % 2 ? 1500 : 60));

		CHECK(goes_to_data(s, len) ||
		      (p->is_protected && looks_like_handshake(set, len)));
		if (p->is_protected)
			continue;
		make(p, 4, 0);
		memmove(datagram, datagram + p->pad[4], 32); /* a keepalive without PAD */
		CHECK(goes_to_data(s, 32));
	}
}

/* How many went to the keeper. */
static uint32_t check_handshakes(const struct frame_set *set, const struct udp_steering *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < set->n * 3 * MESSAGES; i++) {
		const struct frame_profile *p = &set->profiles[i % set->n];
		uint32_t len = make(p, 1 + i / set->n % 3, 300);

		if (p->is_protected && p->parameters.random_trailers)
			continue; /* nothing tells it from data */
		if (len > STEERING_KEEPER_BYTES || looks_like_data(set, len)) {
			CHECK(goes_to_data(s, len));
			continue;
		}
		CHECK(!goes_to_data(s, len));
		kept++;
	}
	return kept;
}

static void data_goes_to_the_data_workers_whatever_profiles_there_are(void)
{
	for (int i = 0; i < SETS; i++) {
		struct frame_set set = any_set(1 + below(PROFILES));
		struct udp_steering s;

		steering_make(&set, &s);
		check_shapes(&s);
		check_data(&set, &s);
		frame_set_done(&set);
	}
}

static void handshakes_go_to_the_keeper_unless_they_look_like_data(void)
{
	uint32_t kept = 0;

	for (int i = 0; i < SETS; i++) {
		struct frame_set set = any_set(1 + below(PROFILES));
		struct udp_steering s;

		steering_make(&set, &s);
		kept += check_handshakes(&set, &s);
		frame_set_done(&set);
	}
	CHECK(kept > SETS * MESSAGES);
}

static void at_each_level_alone_only_masks_with_trailers_hide_handshakes_from_the_kernel(void)
{
	for (enum frame_level level = FRAME_OFF; level < FRAME_LEVELS; level++) {
		struct frame_parameters p;
		struct udp_steering s;
		struct frame_set set;
		uint32_t kept;

		frame_parameters_init(&p);
		CHECK(frame_level_draw(level, &dice, &p) == 0);
		set = set_of(&p, 1);
		steering_make(&set, &s);
		check_data(&set, &s);
		kept = check_handshakes(&set, &s);
		/* At high, one of 32 has the word of data by chance at most. */
		CHECK(level == FRAME_EXTREME ? kept == 0 : kept > 3 * MESSAGES / 2);
		CHECK(s.rest_is_data == (level == FRAME_EXTREME));
		frame_set_done(&set);
		frame_parameters_done(&p);
	}
}

static void as_many_profiles_as_there_may_be_have_room(void)
{
	for (int i = 0; i < 50; i++) {
		struct frame_set set = any_set(FRAME_PROFILES_MAX);
		struct udp_steering s;

		steering_make(&set, &s);
		check_shapes(&s);
		check_data(&set, &s);
		check_handshakes(&set, &s);
		frame_set_done(&set);
	}
}

static void what_the_keeper_has_no_room_for_goes_to_the_data_workers(void)
{
	struct frame_set set = any_set(PROFILES);
	struct udp_steering s;

	steering_make(&set, &s);
	for (uint32_t len = STEERING_KEEPER_BYTES + 1; len < LONGEST; len += 61) {
		for (uint32_t i = 0; i < len; i++)
			datagram[i] = (uint8_t) throw();
		CHECK(goes_to_data(&s, len));
	}
	frame_set_done(&set);
}

/* --- The kernel --- */

struct group {
	int data, keeper, from;
	struct udp_inbox *inbox;
	struct sockaddr_in to;
};

static void group_open(struct group *g, const struct udp_steering *s)
{
	int port;

	*g = (struct group){ .data = udp_create(ADDR_V4, NULL),
			     .keeper = udp_create(ADDR_V4, NULL),
			     .from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
			     .to = { .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	port = udp_bind(g->data, ADDR_V4, 0);
	CHECK(port > 0 && udp_bind(g->keeper, ADDR_V4, (uint16_t)port) == port);
	CHECK(udp_steer(g->data, 1, s) == 0);
	CHECK(udp_inbox_new(4, LONGEST, &g->inbox) == 0);
	g->to.sin_port = htons((uint16_t)port);
}

static void group_close(struct group *g)
{
	udp_inbox_free(g->inbox);
	close(g->data);
	close(g->keeper);
	close(g->from);
}

/* Who gets datagram[]? */
static bool kernel_gives_to_data(const struct group *g, uint32_t len)
{
	const struct udp_datagram *d = NULL;
	bool is_data;

	CHECK(sendto(g->from, datagram, len, 0, (const struct sockaddr *)&g->to,
		     sizeof(g->to)) == (ssize_t)len);
	is_data = udp_receive(g->data, g->inbox, &d) == 1;
	CHECK(is_data != (udp_receive(g->keeper, g->inbox, &d) == 1));
	return is_data;
}

static void check_kernel(struct frame_set set)
{
	uint32_t to_data = 0, to_keeper = 0;
	struct udp_steering s;
	struct group g;

	steering_make(&set, &s);
	group_open(&g, &s);
	for (uint32_t i = 0; i < set.n * 4 * MESSAGES * 4; i++) {
		uint32_t len = make(&set.profiles[i % set.n], 1 + i / set.n % 4, below(2300));
		bool is_data = kernel_gives_to_data(&g, len);

		CHECK(is_data == goes_to_data(&s, len));
		to_data += is_data;
		to_keeper += !is_data;
	}
	CHECK(to_data > MESSAGES && to_keeper > MESSAGES);
	group_close(&g);
	frame_set_done(&set);
}

/* generations[]: plain, 1.0, 2.0, 3.0, 3.1 */
static void the_kernel_does_as_the_shapes_say(void)
{
	const char *const readable[] = { generations[0], generations[1], generations[2] };
	const char *const mixed[] = { generations[4], generations[2], generations[3],
				      generations[0] };

	check_kernel(set_of_texts(readable, 3));
	check_kernel(set_of_texts(mixed, 4));
}

int main(void)
{
	dice_begin(1);
	RUN(data_goes_to_the_data_workers_whatever_profiles_there_are);
	RUN(handshakes_go_to_the_keeper_unless_they_look_like_data);
	RUN(at_each_level_alone_only_masks_with_trailers_hide_handshakes_from_the_kernel);
	RUN(as_many_profiles_as_there_may_be_have_room);
	RUN(what_the_keeper_has_no_room_for_goes_to_the_data_workers);
	if (namespace_enter())
		RUN(the_kernel_does_as_the_shapes_say);
	else
		printf("ok %d - the_kernel_does_as_the_shapes_say # SKIP no network namespaces for this "
		       "user\n",
		       ++test_number);
	return DONE();
}
