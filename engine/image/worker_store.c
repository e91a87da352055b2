/*
 * `skerryd worker store`: the process around finish.c.
 *
 * Keeps its rights (it sets trusted.* attributes) but needs no network and runs nothing. Started by
 * load.c, trash.c and remove.c.
 */
#include "engine/image/finish.h"
#include "engine/image/image.h"
#include "engine/worker/worker.h"

static int run(struct worker_call *call, struct err *e)
{
	return finish_serve(FINISH_FD_STORE, call->request, e);
}

int image_store_worker(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return worker_serve("store", run);
}
