/*
 * Attributes of a netlink message, walked the way all readers do: every attribute must lie inside
 * of what it was found in, and the walk must end. The first byte says how deep nests are followed.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "init/base/netlink.h"

enum { DEPTH_MAX = 8 };

static unsigned int walk(const char *start, size_t len, int depth)
{
	const struct nlattr *a = NULL, *found;
	unsigned int n = 0;

	while ((a = nl_attr_next(start, len, a))) {
		const char *data = nl_attr_data(a);

		FUZZ_CHECK(data >= start && nl_attr_len(a) <= len);
		FUZZ_CHECK(data + nl_attr_len(a) <= start + len);
		FUZZ_CHECK(++n <= len / NLA_HDRLEN);
		found = nl_attr_find(start, len, a->nla_type & NLA_TYPE_MASK);
		FUZZ_CHECK(found && found <= a);
		if (depth > 0)
			(void)walk(data, nl_attr_len(a), depth - 1);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy;

	if (len < 1 || len > 4096) /* find is quadratic */
		return 0;
	copy = malloc(len); /* aligned, and of exactly this size for the sanitizer */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, len - 1);
	(void)walk(copy, len - 1, data[0] % DEPTH_MAX);
	free(copy);
	return 0;
}
