/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "../test.h"
#include "base/array.h"

static void keeps_every_element_while_it_grows(void)
{
	struct {
		uint32_t a, b, c;
	} *all = NULL;
	size_t n = 0, capacity = 0;

	for (uint32_t i = 0; i < 10000; i++) {
		CHECK(array_room(&all, n, sizeof(*all), &capacity) == 0);
		CHECK(capacity > n);
		all[n].a = i;
		all[n].c = ~i;
		n++;
	}
	for (uint32_t i = 0; i < n; i++)
		CHECK(all[i].a == i && all[i].c == ~i);
	free(all);
}

static void leaves_the_array_alone_when_there_is_no_memory(void)
{
	char one = 'x';
	char *array = &one;
	size_t capacity = SIZE_MAX / 2;

	CHECK(array_room(&array, capacity, 4, &capacity) == -ENOMEM);
	CHECK(array == &one && capacity == SIZE_MAX / 2);
}

int main(void)
{
	RUN(keeps_every_element_while_it_grows);
	RUN(leaves_the_array_alone_when_there_is_no_memory);
	return DONE();
}
