/*
 * `skerryd worker save`: the process around save_write.c.
 *
 * It reads blobs, some of which are hostile documents, and writes to one descriptor: own user, no
 * network, nothing but the blobs to open, and no right to change anything. Started by save.c.
 */
#include <linux/capability.h>

#include "engine/image/image.h"
#include "engine/image/save.h"
#include "engine/worker/sandbox.h"
#include "engine/worker/worker.h"
#include "init/base/path.h"

enum {
	SAVE_UID = 64803, /* a user that nothing else runs as */
	SAVE_MEMORY = 64 << 20, /* documents and the tables of blobs */
};

static int enter_sandbox(struct err *e)
{
	char blobs[32];
	const struct worker_path paths[] = { { path_of_fd(blobs, SAVE_FD_BLOBS), WORKER_READ } };
	const struct worker_sandbox box = {
		.drop_user = true,
		.uid = SAVE_UID,
		.gid = SAVE_UID,
		.keep_caps = 1 << CAP_DAC_READ_SEARCH,
		.no_network = true,
		.confine_files = true,
		.paths = paths,
		.n_paths = ARRAY_SIZE(paths),
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES,
		.max_memory = worker_memory_limit(SAVE_MEMORY),
		.max_files = IMAGE_SAVE_BLOBS_MAX + 64,
	};

	return worker_sandbox_apply(&box, e);
}

static int run(struct worker_call *call, struct err *e)
{
	bool no_sandbox = false;
	int r = json_get_bool(call->request, "no_sandbox", &no_sandbox, e);

	if (r == 0 && !no_sandbox)
		r = enter_sandbox(e);
	return r < 0 ? r : save_write(SAVE_FD_BLOBS, SAVE_FD_OUT, call->request, e);
}

int image_save_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve(SAVE_WORKER, run);
}
