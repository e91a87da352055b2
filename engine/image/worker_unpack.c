/*
 * `skerryd worker unpack`: the process around unpack.c.
 *
 * Standard input is the archive, JOB_FD_DIR the job folder (the only place where it may write),
 * JOB_FD_LAYERS the store's layers (only looked at). Before the first byte of the archive is read
 * it becomes its own user, with the few capabilities that writing a layer needs, without network
 * and exec. Started by load.c.
 */
#include <linux/capability.h>
#include <sys/stat.h>

#include "engine/image/image.h"
#include "engine/image/unpack.h"
#include "engine/worker/sandbox.h"
#include "engine/worker/worker.h"
#include "init/base/path.h"
#include "init/base/str.h"

/* A user that nothing else runs as; the images' own users are above or below it, which does not
 * matter: the store is closed to all of them. */
enum { UNPACK_UID = 64801, PROGRESS_STEP = 1 << 20 };

struct serving {
	struct worker_call *call;
	uint64_t told; /* bytes at the last message */
};

static int enter_sandbox(const struct job_request *req, struct err *e)
{
	char job[32];
	const struct worker_path paths[] = { { path_of_fd(job, JOB_FD_DIR), WORKER_WRITE } };
	const struct worker_sandbox box = {
		.drop_user = true,
		.uid = UNPACK_UID,
		.gid = UNPACK_UID,
		.keep_caps = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER |
			     1 << CAP_FSETID | 1 << CAP_MKNOD | UINT64_C(1) << CAP_SETFCAP,
		.no_network = true,
		.confine_files = true,
		.paths = paths,
		.n_paths = ARRAY_SIZE(paths),
		.calls = WORKER_CALLS_BASE | WORKER_CALLS_FILES | WORKER_CALLS_OWNERS,
		.max_memory = worker_memory_limit(req->limits.memory),
	};

	return worker_sandbox_apply(&box, e);
}

static void send_progress(void *data, const char *diff_id, uint64_t bytes, uint64_t total)
{
	struct serving *serving = data;
	char text[256];

	if (bytes < serving->told)
		serving->told = 0; /* the next layer */
	if (bytes < serving->told + PROGRESS_STEP && bytes != total)
		return;
	serving->told = bytes;
	if (str_format(text, sizeof(text), "{\"diff_id\":\"%s\",\"bytes\":%llu,\"total\":%llu}",
		       diff_id, (unsigned long long)bytes, (unsigned long long)total) == 0)
		worker_progress(serving->call, text, strlen(text));
}

static int run(struct worker_call *call, struct err *e)
{
	struct serving serving = { .call = call };
	struct unpack_request req = {
		.job = JOB_FD_DIR,
		.layers = JOB_FD_LAYERS,
		.archive = STDIN_FILENO,
		.progress = send_progress,
		.data = &serving,
	};
	_cleanup_(load_plan_free) struct plan plan = { 0 };
	int r = job_request_read(call->request, &req.options, e);

	if (r == 0 && !req.options.no_sandbox)
		r = enter_sandbox(&req.options, e);
	umask(0);
	if (r == 0)
		r = unpack_archive(&req, &plan, e);
	if (r == -ENOMEM)
		err_wrap(e, "unpacking takes more than the %llu bytes of memory allowed",
			 (unsigned long long)req.options.limits.memory);
	if (r == 0)
		job_result_write(&plan, &call->result);
	return r;
}

int image_unpack_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve("unpack", run);
}
