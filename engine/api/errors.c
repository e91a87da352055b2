/*
 * errno to HTTP status, in one table, and the error answers of all handlers.
 *
 * The modules' error texts are those that clients see ({"message": text}); the errno only chooses
 * the status. Anything that is not in the table is a failure of the machine.
 */
#include "engine/api/inside.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
	int error, status;
} statuses[] = {
	{ EINVAL, 400 },     { EBADMSG, 400 },	    { ERANGE, 400 },	{ ENAMETOOLONG, 400 },
	{ E2BIG, 400 },	     { EPERM, 403 },	    { EACCES, 403 },	{ ENOENT, 404 },
	{ EEXIST, 409 },     { EBUSY, 409 },	    { ENOTEMPTY, 409 }, { EALREADY, 304 },
	{ ESRCH, 409 },	     { EFBIG, 413 },	    { EMSGSIZE, 413 },	{ ENOSYS, 501 },
	{ EOPNOTSUPP, 501 }, { EAGAIN, 503 },	    { ENOTCONN, 503 },	{ ECANCELED, 503 },
	{ ENOSPC, 507 },     { EKEYREJECTED, 401 },
};

int api_status(int error)
{
	if (error < 0)
		error = -error;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].error == error)
			return statuses[i].status;
	return 500;
}

void api_fail(struct http_req *r, int error, const struct err *e)
{
	int status = api_status(error);

	if (status == 304)
		http_reply_status(r, status);
	else
		http_reply_error(r, status, err_text(e));
}

void api_verdict(struct http_req *r, int error, const struct err *e)
{
	if (error < 0)
		api_fail(r, error, e);
	else
		http_reply_status(r, 204);
}

void answer_unsupported(struct http_req *r)
{
	char text[200];

	snprintf(text, sizeof(text), "%s is not supported yet",
		 r->route->tag ? (const char *)r->route->tag : "this operation");
	http_reply_error(r, 501, text);
}

void answer_no_swarm(struct http_req *r)
{
	http_reply_error(r, 503,
			 "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
			 "swarm join\" "
			 "to connect this node to swarm and try again.");
}

void answer_empty_list(struct http_req *r)
{
	http_reply_json(r, 200, "[]\n", 3);
}

void *api_new(struct http_req *r, size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		http_reply_error(r, 503, "out of memory");
	return p;
}
