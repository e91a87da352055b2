/*
 * Assembles and attaches the device program of a container's cgroup (devices.h).
 *
 * Rules are emitted last to first, so that the first block that matches is the last rule that does.
 * An allow rule matches when all that is asked is in it; a deny rule when any of it is. Called by
 * the runner (create.c).
 */
#include "engine/runtime/devices.h"

#include <string.h>
#include <sys/syscall.h>

#include "init/base/str.h"

#define ALL (DEV_READ | DEV_WRITE | DEV_MKNOD)

const struct plan_device_rule devices_always[] = {
	{ true, 'c', -1, -1, DEV_MKNOD }, { true, 'b', -1, -1, DEV_MKNOD },
	{ true, 'c', 1, 3, ALL }, /* null */
	{ true, 'c', 1, 8, ALL }, /* random */
	{ true, 'c', 1, 7, ALL }, /* full */
	{ true, 'c', 5, 0, ALL }, /* tty */
	{ true, 'c', 1, 5, ALL }, /* zero */
	{ true, 'c', 1, 9, ALL }, /* urandom */
	{ true, 'c', 136, -1, ALL }, /* pts */
	{ true, 'c', 5, 2, ALL }, /* ptmx */
	{ true, 'c', 10, 200, ALL }, /* net/tun */
};
const size_t devices_n_always = ARRAY_SIZE(devices_always);

const struct devices_standard devices_standard[] = {
	{ "/dev/null", 1, 3 },	 { "/dev/zero", 1, 5 },	   { "/dev/full", 1, 7 },
	{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
};
const size_t devices_n_standard = ARRAY_SIZE(devices_standard);

enum {
	R_RET = BPF_REG_0,
	R_CTX = BPF_REG_1,
	R_TYPE = BPF_REG_2,
	R_ACCESS = BPF_REG_3,
	R_MAJOR = BPF_REG_4,
	R_MINOR = BPF_REG_5,
	R_TMP = BPF_REG_6
};

struct assembler {
	struct bpf_insn *insns;
	size_t n;
};

static void emit(struct assembler *a, unsigned int code, unsigned int dst, unsigned int src,
		 int off, int32_t imm)
{
	a->insns[a->n++] = (struct bpf_insn){ .code = (uint8_t)code,
					      .dst_reg = (uint8_t)(dst & 15),
					      .src_reg = (uint8_t)(src & 15),
					      .off = (int16_t)off,
					      .imm = imm };
}

static void emit_exit(struct assembler *a, int verdict)
{
	emit(a, BPF_ALU64 | BPF_MOV | BPF_K, R_RET, 0, 0, verdict);
	emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* type, access, major and minor of what is asked into registers */
static void emit_head(struct assembler *a)
{
	emit(a, BPF_LDX | BPF_MEM | BPF_W, R_TYPE, R_CTX,
	     offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
	emit(a, BPF_ALU | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
	emit(a, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
	emit(a, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	emit(a, BPF_LDX | BPF_MEM | BPF_W, R_MAJOR, R_CTX,
	     offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	emit(a, BPF_LDX | BPF_MEM | BPF_W, R_MINOR, R_CTX,
	     offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

/* One block; a comparison that fails jumps to its end. */
static void emit_rule(struct assembler *a, const struct plan_device_rule *r)
{
	size_t jumps[4], n_jumps = 0;

	if (r->type != 'a') {
		jumps[n_jumps++] = a->n;
		emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_TYPE, 0, 0,
		     r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if (r->major >= 0) {
		jumps[n_jumps++] = a->n;
		emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_MAJOR, 0, 0, (int32_t)r->major);
	}
	if (r->minor >= 0) {
		jumps[n_jumps++] = a->n;
		emit(a, BPF_JMP32 | BPF_JNE | BPF_K, R_MINOR, 0, 0, (int32_t)r->minor);
	}
	if (r->access != ALL) {
		/* allow: nothing beyond the rule's bits is asked; deny: something within them is */
		emit(a, BPF_ALU | BPF_MOV | BPF_X, R_TMP, R_ACCESS, 0, 0);
		emit(a, BPF_ALU | BPF_AND | BPF_K, R_TMP, 0, 0,
		     r->allow ? (int32_t)(ALL & ~r->access) : (int32_t)r->access);
		jumps[n_jumps++] = a->n;
		emit(a, BPF_JMP32 | (r->allow ? BPF_JNE : BPF_JEQ) | BPF_K, R_TMP, 0, 0, 0);
	}
	emit_exit(a, r->allow);
	for (size_t i = 0; i < n_jumps; i++)
		a->insns[jumps[i]].off = (int16_t)(a->n - jumps[i] - 1);
}

/* a rule for everything: what stands before it says nothing any more */
static bool is_total(const struct plan_device_rule *r)
{
	return r->type == 'a' && r->major < 0 && r->minor < 0 && r->access == ALL;
}

int devices_assemble(const struct plan_device_rule *rules, size_t n, struct bpf_insn **ret_insns,
		     size_t *ret_n, struct err *e)
{
	struct assembler a = { 0 };
	bool total = false;

	if (n > (DEVICES_INSNS_MAX - 8) / DEVICES_RULE_INSNS)
		return err_set(e, E2BIG, "%zu device rules are too many (at most %d)", n,
			       (DEVICES_INSNS_MAX - 8) / DEVICES_RULE_INSNS);
	a.insns = calloc(8 + n * DEVICES_RULE_INSNS, sizeof(*a.insns));
	if (!a.insns)
		return err_errno(e, ENOMEM, "device rules");
	emit_head(&a);
	for (size_t i = n; i-- > 0 && !total;) {
		if (rules[i].access == 0)
			continue;
		total = is_total(&rules[i]);
		emit_rule(&a, &rules[i]);
	}
	if (!total)
		emit_exit(&a, 0);
	*ret_insns = a.insns;
	*ret_n = a.n;
	return 0;
}

bool devices_allow_all(const struct plan_device_rule *rules, size_t n)
{
	while (n > 0 && rules[n - 1].allow) {
		if (is_total(&rules[n - 1]))
			return true;
		n--;
	}
	return false;
}

static int bpf_call(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int devices_attach(int cgroup_fd, const struct plan_device_rule *rules, size_t n, struct err *e)
{
	_cleanup_(mem_free) struct bpf_insn *insns = NULL;
	_cleanup_(fd_close) int prog = -1;
	union bpf_attr attr;
	size_t n_insns;
	int r;

	if (devices_allow_all(rules, n))
		return 0;
	r = devices_assemble(rules, n, &insns, &n_insns, e);
	if (r < 0)
		return r;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.insn_cnt = (uint32_t)n_insns;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
	prog = bpf_call(BPF_PROG_LOAD, &attr);
	if (prog < 0)
		return err_errno(e, errno,
				 "linux.resources.devices: loading the program of %zu instructions",
				 n_insns);
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (bpf_call(BPF_PROG_ATTACH, &attr) < 0)
		return err_errno(e, errno,
				 "linux.resources.devices: attaching the program to the cgroup");
	return 0;
}
