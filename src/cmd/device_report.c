/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/device_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/device_environment.h"
#include "cmd/device_health.h"
#include "cmd/device_numbers.h"
#include "sys/clock.h"
#include "sys/file.h"

#define SECOND	    UINT64_C(1000000000)
#define HEALTH_EACH (30 * SECOND)

enum { INTERVAL_DEFAULT_S = 30, LINE_MAX_LEN = 4096 };

/* @interval_ns, @has_health: 0 and false: not asked for */
struct report {
	struct device_health health;
	uint64_t interval_ns;
	uint64_t began_ns;
	uint32_t flows_max;
	bool is_json;
	bool has_health;
};

static void tell_numbers(const struct report *r, const struct device *dev)
{
	const struct device_moment when = { .wall_ns = clock_wall_ns(),
					    .running_ns = clock_boot_ns() - r->began_ns,
					    .flows_max = r->flows_max };
	struct text line = { .max = LINE_MAX_LEN };
	struct device_numbers n;

	device_count(dev, &n);
	device_numbers_write(&line, &n, &when, r->is_json);
	if (line.err == 0)
		file_write_all(STDOUT_FILENO, line.data, line.len);
	text_done(&line);
}

static void run(void *context, struct device *dev, int stop_fd)
{
	struct report *r = context;
	uint64_t health_ns = r->has_health ? clock_boot_ns() + SECOND : UINT64_MAX;
	uint64_t numbers_ns = r->interval_ns ? clock_boot_ns() + r->interval_ns : UINT64_MAX;

	r->began_ns = clock_boot_ns();
	while (reporter_wait(stop_fd, health_ns < numbers_ns ? health_ns : numbers_ns)) {
		if (clock_boot_ns() >= numbers_ns) {
			tell_numbers(r, dev);
			numbers_ns += r->interval_ns;
		}
		if (clock_boot_ns() >= health_ns) {
			device_health_ask(&r->health);
			health_ns = clock_boot_ns() + HEALTH_EACH;
		}
	}
}

/* "30s", "500ms", "1m30s": as such programs write how long something takes. 0: it is none. */
static uint64_t read_duration(const char *text)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "ms", SECOND / 1000 },
		      { "h", 3600 * SECOND },
		      { "m", 60 * SECOND },
		      { "s", SECOND } };
	uint64_t sum = 0;

	while (*text) {
		size_t digits = strspn(text, "0123456789"), i = 0;
		uint64_t n = 0;

		if (decimal_parse(text, digits, 1000000, &n) < 0)
			return 0;
		text += digits;
		while (i < 4 && strncmp(text, units[i].unit, strlen(units[i].unit)) != 0)
			i++;
		if (i == 4)
			return 0;
		text += strlen(units[i].unit);
		sum += n * units[i].ns;
	}
	return sum;
}

static void read_metrics(struct report *r)
{
	const char *log = getenv("METRICS_LOG"), *interval = getenv("METRICS_INTERVAL");
	const char *format = getenv("METRICS_FORMAT");

	if ((!log || !log[0]) && (!interval || !interval[0]))
		return;
	r->interval_ns = interval ? read_duration(interval) : 0;
	if (r->interval_ns < SECOND / 10)
		r->interval_ns = INTERVAL_DEFAULT_S * SECOND;
	r->is_json = format && strcmp(format, "json") == 0;
}

int device_report_read(const struct usernet_options *usernet, struct reporter_options *ret)
{
	static struct report report; /* of the thread, to the end */
	struct ip_addr none = { 0 };
	struct diag d = { 0 };

	report.flows_max = usernet->flows_max;
	read_metrics(&report);
	if (device_environment_truth("HEALTHCHECK")) {
		if (device_health_read(&report.health,
				       usernet->n_resolvers ? &usernet->resolvers[0] : &none,
				       &d) < 0) {
			fprintf(stderr, "culvert device: %s\n", d.text);
			return EXIT_REFUSED;
		}
		report.has_health = true;
	}
	if (report.interval_ns || report.has_health)
		*ret = (struct reporter_options){ .run = run, .context = &report };
	return EXIT_DONE;
}
