/*
 * Defaults of the limits and their way to the worker: one table (IMAGE_LIMITS) serves all.
 *
 * Called by main.c (settings), store.c (defaults, request) and unpack.c (reading the request).
 */
#include "engine/image/limits.h"

#include "engine/image/job.h"
#include "init/base/str.h"

void image_limits_default(struct image_limits *l)
{
#define FILL(member, setting, value) \
	if (l->member == 0)          \
		l->member = value;
	IMAGE_LIMITS(FILL)
#undef FILL
}

void image_limits_settings(char *const *settings, struct image_limits *ret)
{
	struct image_limits l = { 0 };
	const char *text;

#define TAKE(member, setting, value)                                   \
	text = strv_env_get(settings, "engine.image-limits." setting); \
	if (text && str_to_bytes(text, &l.member) < 0)                 \
		l.member = 0; /* the schema of the settings let it not pass */
	IMAGE_LIMITS(TAKE)
#undef TAKE
	*ret = l;
}

void image_limits_write(const struct image_limits *l, struct json_writer *w)
{
	json_begin_object(w);
#define WRITE(member, setting, value) \
	json_key(w, #member);         \
	json_u64(w, l->member);
	IMAGE_LIMITS(WRITE)
#undef WRITE
	json_end_object(w);
}

int image_limits_read(yyjson_val *object, struct image_limits *ret, struct err *e)
{
	struct image_limits l = { 0 };
	int r = 0;

#define READ(member, setting, value) \
	if (r == 0)                  \
		r = json_get_u64(object, #member, &l.member, e);
	IMAGE_LIMITS(READ)
#undef READ
	if (r < 0)
		return r;
	image_limits_default(&l);
	*ret = l;
	return 0;
}
