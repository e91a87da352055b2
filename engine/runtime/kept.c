/*
 * The file of kept.h: a header of fixed size, then the instructions of the filter.
 *
 * Data: none. Called by the runners of create.c and enter.c.
 */
#include "engine/runtime/kept.h"

#include <fcntl.h>
#include <string.h>

#include "init/base/buf.h"
#include "init/base/file.h"

enum { KEPT_MAX = 64 + BPF_MAXINSNS * sizeof(struct sock_filter) };

/* Another layout gets another magic number. */
static const uint64_t kept_magic = 0x3130747065474b53ULL; /* "SKGept01" */

struct header {
	uint64_t magic;
	uint64_t filter_flags, personality;
	uint32_t filter_len, ns; /* ns: a bit each */
	int32_t has_oom_score, oom_score_adj;
};

static int make_filter(struct plan *p, const char *cache, struct filter_program *ret, struct err *e)
{
	int r = 0;

	if (p->program.len > 0) {
		*ret = p->program;
		p->program = (struct filter_program){ 0 };
	} else if (p->seccomp) {
		r = filter_compile(p->seccomp, ret, e);
		if (r == 0 && cache && p->seccomp_text)
			filter_cache_put(cache, p->seccomp_text, strlen(p->seccomp_text), ret);
	}
	return r;
}

int kept_from_plan(struct plan *p, const char *seccomp_cache, struct kept *ret, struct err *e)
{
	struct kept k = { .has_oom_score = p->process.has_oom_score,
			  .oom_score_adj = p->process.oom_score_adj,
			  .personality = p->personality };
	int r;

	for (int i = 0; i < NS_KINDS; i++)
		k.ns[i] = p->ns[i].wanted;
	r = make_filter(p, seccomp_cache, &k.filter, e);
	if (r == 0)
		*ret = k;
	return r;
}

void kept_write(const char *path, const struct kept *k)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(KEPT_MAX);
	struct header h = { .magic = kept_magic,
			    .filter_flags = k->filter.flags,
			    .personality = k->personality,
			    .filter_len = k->filter.len,
			    .has_oom_score = k->has_oom_score,
			    .oom_score_adj = k->oom_score_adj };

	for (int i = 0; i < NS_KINDS; i++)
		h.ns |= (uint32_t)k->ns[i] << i;
	buf_add(&out, &h, sizeof(h));
	if (k->filter.len > 0)
		buf_add(&out, k->filter.filter, k->filter.len * sizeof(*k->filter.filter));
	if (buf_failed(&out) == 0)
		(void)file_replace(AT_FDCWD, path, out.data, out.len, 0600, false, NULL);
}

bool kept_read(const char *path, struct kept *ret)
{
	_cleanup_(mem_free) char *data = NULL;
	struct kept k = { 0 };
	struct header h;
	size_t len, code;

	if (file_read(AT_FDCWD, path, KEPT_MAX, &data, &len, NULL) < 0 || len < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	code = h.filter_len * sizeof(*k.filter.filter);
	if (h.magic != kept_magic || h.filter_len > BPF_MAXINSNS || len != sizeof(h) + code)
		return false;
	if (code > 0) {
		k.filter.filter = malloc(code);
		if (!k.filter.filter)
			return false;
		memcpy(k.filter.filter, data + sizeof(h), code);
	}
	k.filter.len = (unsigned short)h.filter_len;
	k.filter.flags = h.filter_flags;
	for (int i = 0; i < NS_KINDS; i++)
		k.ns[i] = h.ns >> i & 1;
	k.has_oom_score = h.has_oom_score;
	k.oom_score_adj = h.oom_score_adj;
	k.personality = h.personality;
	*ret = k;
	return true;
}

void kept_clear(struct kept *k)
{
	filter_program_clear(&k->filter);
}
