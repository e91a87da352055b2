/*
 * Compiles a struct filter_spec with libseccomp, prepends the ENOSYS prologue, keeps a cache on
 * disk.
 *
 * libseccomp is used as a compiler only: the program is exported, never loaded by it. The cache is
 * a file per description, named by a hash, that carries the whole description and is compared with
 * it: a collision costs a compilation, never a wrong filter.
 */
#include "engine/runtime/filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#include "init/base/buf.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum {
	X32_BIT = 0x40000000,
	PROGRAM_MAX =
		/* BPF_MAXINSNS is 4096; libseccomp may export more, the kernel then refuses */
	32768,
	CACHE_MAX = 1 << 20,
};

struct name_value {
	const char *name;
	uint32_t value;
};

static const struct name_value actions[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(1) },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(1) },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
};

static const struct name_value operators[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

static const struct name_value arches[] = {
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
	{ "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS },
	{ "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64 },
	{ "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32 },
	{ "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL },
	{ "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64 },
	{ "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
	{ "SCMP_ARCH_PPC", SCMP_ARCH_PPC },
	{ "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64 },
	{ "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE },
	{ "SCMP_ARCH_S390", SCMP_ARCH_S390 },
	{ "SCMP_ARCH_S390X", SCMP_ARCH_S390X },
	{ "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC },
	{ "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64 },
	{ "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64 },
	{ "SCMP_ARCH_LOONGARCH64", SCMP_ARCH_LOONGARCH64 },
};

static const struct name_value *find(const struct name_value *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(table[i].name, name))
			return &table[i];
	return NULL;
}

int filter_action(const char *name, int64_t errno_ret, uint32_t *ret_action)
{
	const struct name_value *a = find(actions, ARRAY_SIZE(actions), name);
	bool takes_value;

	if (!a)
		return -EINVAL;
	takes_value = str_eq(name, "SCMP_ACT_ERRNO") || str_eq(name, "SCMP_ACT_TRACE");
	if (errno_ret >= 0 && (!takes_value || errno_ret > 0xffff))
		return -EINVAL;
	*ret_action = errno_ret >= 0 ? (a->value & 0xffff0000U) | (uint32_t)errno_ret : a->value;
	return 0;
}

int filter_arch(const char *name, uint32_t *ret_arch)
{
	const struct name_value *a = find(arches, ARRAY_SIZE(arches), name);

	if (!a)
		return -EINVAL;
	*ret_arch = a->value;
	return 0;
}

int filter_operator(const char *name)
{
	const struct name_value *o = find(operators, ARRAY_SIZE(operators), name);

	return o ? (int)o->value : -EINVAL;
}

static const char *nth(const struct name_value *table, size_t size, size_t n)
{
	return n < size ? table[n].name : NULL;
}

const char *filter_action_name(size_t n)
{
	return nth(actions, ARRAY_SIZE(actions), n);
}

const char *filter_operator_name(size_t n)
{
	return nth(operators, ARRAY_SIZE(operators), n);
}

const char *filter_arch_name(size_t n)
{
	return nth(arches, ARRAY_SIZE(arches), n);
}

void filter_spec_free(struct filter_spec *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_rules; i++)
		strv_free(s->rules[i].names);
	free(s->rules);
	free(s);
}

void filter_program_clear(struct filter_program *p)
{
	free(p->filter);
	*p = (struct filter_program){ 0 };
}

/* --- compilation --- */

/* libseccomp takes an argument once per rule; a rule that names it twice means "any of them" (as
 * runc reads it). */
static bool repeats_argument(const struct filter_rule *r)
{
	unsigned int seen = 0;

	for (size_t i = 0; i < r->n_args; i++) {
		if (seen & 1u << r->args[i].index)
			return true;
		seen |= 1u << r->args[i].index;
	}
	return false;
}

static int add_call(scmp_filter_ctx ctx, const struct filter_rule *rule, int nr, const char *name,
		    struct err *e)
{
	struct scmp_arg_cmp cmp[FILTER_ARGS_MAX];
	size_t step = repeats_argument(rule) ? 1 : rule->n_args;
	size_t i = 0;

	for (size_t k = 0; k < rule->n_args; k++)
		cmp[k] = (struct scmp_arg_cmp){ .arg = rule->args[k].index,
						.op = (enum scmp_compare)rule->args[k].op,
						.datum_a = rule->args[k].value,
						.datum_b = rule->args[k].value_two };
	do {
		int r = seccomp_rule_add_array(ctx, rule->action, nr, (unsigned int)step, cmp + i);

		/* EDOM, EOPNOTSUPP: a call that this architecture mix cannot filter by argument;
		 * EEXIST: said before */
		if (r < 0 && r != -EEXIST && r != -EDOM)
			return err_errno(e, -r, "seccomp rule for %s", name);
		i += step;
	} while (i < rule->n_args);
	return 0;
}

static int add_rules(scmp_filter_ctx ctx, const struct filter_spec *s, struct err *e)
{
	for (size_t i = 0; i < s->n_rules; i++) {
		const struct filter_rule *rule = &s->rules[i];

		if (rule->action == s->default_action)
			continue;
		for (char **name = rule->names; name && *name; name++) {
			int nr = seccomp_syscall_resolve_name(*name), r;

			if (nr == __NR_SCMP_ERROR)
				continue; /* a call of some other architecture or time */
			r = add_call(ctx, rule, nr, *name, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int set_arches(scmp_filter_ctx ctx, const struct filter_spec *s, struct err *e)
{
	uint32_t native = seccomp_arch_native();
	bool has_native = s->n_arches == 0;

	for (size_t i = 0; i < s->n_arches; i++) {
		int r = seccomp_arch_add(ctx, s->arches[i]);

		if (s->arches[i] == native)
			has_native = true;
		if (r < 0 && r != -EEXIST)
			return err_errno(e, -r, "seccomp architecture %#x", s->arches[i]);
	}
	if (!has_native && seccomp_arch_remove(ctx, native) < 0)
		return err_set(e, EINVAL, "seccomp: the architectures leave out the machine's own");
	return 0;
}

/* The greatest call number on `arch` among all calls that the description names; -1 none. */
static int64_t last_call(const struct filter_spec *s, uint32_t arch)
{
	int64_t last = -1;

	for (size_t i = 0; i < s->n_rules; i++)
		for (char **name = s->rules[i].names; name && *name; name++) {
			int nr = seccomp_syscall_resolve_name_arch(arch, *name);

			if (nr >= 0 && (nr & ~X32_BIT) > last)
				last = nr & ~X32_BIT;
		}
	return last;
}

/* Whether calls that the description does not know may be told apart at all: only where it
 * refuses by default. */
static bool wants_prologue(const struct filter_spec *s)
{
	uint32_t action = s->default_action & 0xffff0000U;

	if (action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG ||
	    action == (SCMP_ACT_TRACE(0) & 0xffff0000U))
		return false;
	return s->default_action != SCMP_ACT_ERRNO(ENOSYS);
}

/* Per architecture: if it is this one, and the call is newer than the last one known: ENOSYS. */
static size_t prologue(const struct filter_spec *s, struct sock_filter *out)
{
	uint32_t native = seccomp_arch_native();
	const uint32_t *list = s->n_arches ? s->arches : &native;
	size_t n_list = s->n_arches ? s->n_arches : 1, n = 0;

	for (size_t i = 0; i < n_list; i++) {
		bool x32 = list[i] == SCMP_ARCH_X32, amd64 = list[i] == SCMP_ARCH_X86_64;
		uint32_t audit = x32 ? AUDIT_ARCH_X86_64 : list[i];
		int64_t last = last_call(s, list[i]);
		unsigned char body = x32 || amd64 ? 4 : 3;

		if (last < 0)
			continue;
		out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							offsetof(struct seccomp_data, arch));
		out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit, 0, body);
		out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
							offsetof(struct seccomp_data, nr));
		if (amd64)
			out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT,
								2, 0);
		if (x32)
			out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT,
								0, 2);
		out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K,
							(uint32_t)last | (x32 ? X32_BIT : 0), 0, 1);
		out[n++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	}
	return n;
}

static int export(scmp_filter_ctx ctx, const struct filter_spec *s, struct filter_program *ret,
		  struct err *e)
{
	_cleanup_(mem_free) struct sock_filter *code = NULL;
	size_t bytes = 0, n = 0, head = 7 * FILTER_ARCHES_MAX;
	int r = seccomp_export_bpf_mem(ctx, NULL, &bytes);

	if (r < 0 || bytes == 0 || bytes > PROGRAM_MAX * sizeof(*code))
		return err_errno(e, r < 0 ? -r : EFBIG, "seccomp filter of %zu bytes", bytes);
	code = calloc(head + bytes / sizeof(*code) + 1, sizeof(*code));
	if (!code)
		return err_errno(e, ENOMEM, "seccomp filter");
	if (wants_prologue(s))
		n = prologue(s, code);
	r = seccomp_export_bpf_mem(ctx, code + n, &bytes);
	if (r < 0)
		return err_errno(e, -r, "seccomp filter");
	n += bytes / sizeof(*code);
	if (n > BPF_MAXINSNS)
		return err_set(e, E2BIG,
			       "the seccomp filter has %zu instructions, the kernel takes %d", n,
			       BPF_MAXINSNS);
	*ret = (struct filter_program){ .filter = take_ptr(code),
					.len = (unsigned short)n,
					.flags = s->flags };
	return 0;
}

int filter_compile(const struct filter_spec *s, struct filter_program *ret, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(s->default_action);
	int r;

	if (!ctx)
		return err_set(e, EINVAL, "seccomp default action %#x", s->default_action);
	/* a binary tree: fewer comparisons per call than a list */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = set_arches(ctx, s, e);
	if (r == 0)
		r = add_rules(ctx, s, e);
	if (r == 0)
		r = export(ctx, s, ret, e);
	seccomp_release(ctx);
	return r;
}

/* --- cache --- */

struct cache_header {
	uint64_t magic, flags;
	uint32_t key_len, n_filter;
};

static const uint64_t cache_magic = 0x32306363534b53ULL; /* "SKScc02" */

/* All that the program depends on: the description, and who compiles it. */
static void cache_key(const char *text, size_t len, struct buf *key)
{
	const struct scmp_version *v = seccomp_version();

	buf_printf(key, "%u.%u.%u ", v ? v->major : 0, v ? v->minor : 0, v ? v->micro : 0);
	buf_add(key, text, len);
}

static void cache_path(char *path, size_t size, const char *dir, const struct buf *key)
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a; only a file name */

	for (size_t i = 0; i < key->len; i++)
		h = (h ^ (unsigned char)key->data[i]) * 0x100000001b3ULL;
	(void)str_format(path, size, "%s/%016llx.bpf", dir, (unsigned long long)h);
}

bool filter_cache_take(const char *dir, const char *text, size_t len, struct filter_program *ret)
{
	_cleanup_(buf_free) struct buf key = BUF_INIT(CACHE_MAX);
	_cleanup_(mem_free) char *data = NULL;
	struct sock_filter *code;
	struct cache_header h;
	char path[512];
	size_t size;

	cache_key(text, len, &key);
	if (buf_failed(&key))
		return false;
	cache_path(path, sizeof(path), dir, &key);
	if (file_read(AT_FDCWD, path, CACHE_MAX, &data, &size, NULL) < 0 || size < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	if (h.magic != cache_magic || h.key_len != key.len || h.n_filter == 0 ||
	    h.n_filter > BPF_MAXINSNS ||
	    size != sizeof(h) + h.key_len + h.n_filter * sizeof(*code) ||
	    memcmp(data + sizeof(h), key.data, key.len) != 0)
		return false;
	code = calloc(h.n_filter, sizeof(*code));
	if (!code)
		return false;
	memcpy(code, data + sizeof(h) + h.key_len, h.n_filter * sizeof(*code));
	*ret = (struct filter_program){ .filter = code,
					.len = (unsigned short)h.n_filter,
					.flags = h.flags };
	return true;
}

void filter_cache_put(const char *dir, const char *text, size_t len, const struct filter_program *p)
{
	_cleanup_(buf_free) struct buf key = BUF_INIT(CACHE_MAX), out = BUF_INIT(CACHE_MAX);
	struct cache_header h = { .magic = cache_magic, .flags = p->flags, .n_filter = p->len };
	char path[512];

	cache_key(text, len, &key);
	h.key_len = (uint32_t)key.len;
	buf_add(&out, &h, sizeof(h));
	buf_add(&out, key.data, key.len);
	buf_add(&out, p->filter, p->len * sizeof(*p->filter));
	if (buf_failed(&key) || buf_failed(&out) || dir_make(AT_FDCWD, dir, 0700, NULL) < 0)
		return;
	cache_path(path, sizeof(path), dir, &key);
	(void)file_replace(AT_FDCWD, path, out.data, out.len, 0600, false, NULL);
}

int filter_load(const struct filter_program *p, struct err *e)
{
	struct sock_fprog prog = { .len = p->len, .filter = p->filter };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->flags, &prog) < 0)
		return err_errno(e, errno, "the kernel refuses the seccomp filter");
	return 0;
}
