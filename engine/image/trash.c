/*
 * Removing folders without blocking the engine: `worker store` does it, one batch after the other.
 *
 * What is to go was renamed into tmp/ before, so it is out of sight at once; a crash in between is
 * healed by the next start, which wipes tmp/. Called by store.c, load.c and remove.c.
 */
#include <string.h>

#include "engine/data/ids.h"
#include "engine/image/finish.h"
#include "engine/image/store_priv.h"
#include "init/base/log.h"
#include "init/base/str.h"

enum { TRASH_BATCH = 256 };

int trash_name(char ret[64], struct err *e)
{
	char id[ID_LEN + 1];
	int r = id_new(id, e);

	return r < 0 ? r : str_format(ret, 64, "%.24s", id);
}

int trash_remove(struct images *s, struct worker *w, char *const *paths, struct err *e)
{
	_cleanup_(buf_free) struct buf request = BUF_INIT(WORKER_BODY_MAX);
	const struct fd_map fds[] = { { FINISH_FD_STORE, s->dir_fd } };

	finish_write_remove(paths, &request);
	if (buf_failed(&request))
		return err_set(e, -buf_failed(&request), "too many folders to remove");
	return worker_start(s->loop, w,
			    &(struct worker_spec){ .name = "store",
						   .request = request.data,
						   .input_fd = -1,
						   .fds = fds,
						   .n_fds = ARRAY_SIZE(fds) },
			    e);
}

static void next_batch(struct images *s);

static void on_swept(struct worker *w, int code, yyjson_val *result, const struct err *why)
{
	struct images *s = container_of(w, struct images, sweeper);

	(void)result;
	if (code < 0)
		log_warn("images: removing left-overs: %s; the next start tries again",
			 err_text(why));
	next_batch(s);
}

static void next_batch(struct images *s)
{
	_cleanup_(strv_free) char **batch = NULL;
	size_t n = MIN(strv_len(s->trash), (size_t)TRASH_BATCH), left = strv_len(s->trash) - n;
	struct err e = { 0 };

	if (n == 0 || s->closing || worker_running(&s->sweeper))
		return;
	batch = calloc(n + 1, sizeof(*batch));
	if (!batch)
		return;
	memcpy(batch, s->trash, n * sizeof(*batch));
	memmove(s->trash, s->trash + n, (left + 1) * sizeof(*s->trash));
	s->sweeper.on_done = on_swept;
	if (trash_remove(s, &s->sweeper, batch, &e) < 0)
		log_warn("images: removing left-overs: %s; the next start tries again",
			 err_text(&e));
}

void trash_add(struct images *s, char **paths)
{
	for (size_t i = 0; i < strv_len(paths); i++)
		if (strv_add(&s->trash, paths[i]) < 0)
			log_warn("images: %s stays until the next start: out of memory", paths[i]);
	strv_free(paths);
	next_batch(s);
}

void trash_close(struct images *s)
{
	worker_cancel(&s->sweeper);
	strv_free(s->trash);
	s->trash = NULL;
}
