/*
 * The device program, run by a small interpreter of the eBPF instructions that the assembler emits,
 * against Docker's default rules and hand-made ones.
 */
#include "engine/runtime/devices.h"
#include "engine/runtime/profile.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

/* The verdict, or -1 when the program is not well formed (an unknown instruction, a jump out of
 * it). */
static int interpret(const struct bpf_insn *p, size_t n, struct bpf_cgroup_dev_ctx ctx)
{
	uint64_t reg[11] = { 0 };

	for (size_t pc = 0, steps = 0; pc < n && steps < 100000; pc++, steps++) {
		const struct bpf_insn *i = &p[pc];
		uint32_t a = (uint32_t)reg[i->dst_reg], b = (uint32_t)i->imm;

		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			if (i->src_reg != BPF_REG_1 || i->off < 0 || i->off > 8)
				return -1;
			memcpy(&a, (const char *)&ctx + i->off, 4);
			reg[i->dst_reg] = a;
			break;
		case BPF_ALU | BPF_MOV | BPF_X:
			reg[i->dst_reg] = (uint32_t)reg[i->src_reg];
			break;
		case BPF_ALU | BPF_RSH | BPF_K:
			reg[i->dst_reg] = a >> b;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			reg[i->dst_reg] = a & b;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			reg[i->dst_reg] = (uint64_t)(int64_t)i->imm;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			pc += a != b ? (size_t)i->off : 0;
			break;
		case BPF_JMP32 | BPF_JEQ | BPF_K:
			pc += a == b ? (size_t)i->off : 0;
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)reg[0];
		default:
			return -1;
		}
	}
	return -1;
}

static int decide(const struct plan_device_rule *rules, size_t n, char type, unsigned int major,
		  unsigned int minor, unsigned int access)
{
	_cleanup_(mem_free) struct bpf_insn *insns = NULL;
	struct bpf_cgroup_dev_ctx ctx = {
		.access_type =
			access << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
		.major = major,
		.minor = minor,
	};
	size_t n_insns;

	if (devices_assemble(rules, n, &insns, &n_insns, NULL) < 0)
		return -2;
	return interpret(insns, n_insns, ctx);
}

static size_t docker_rules(struct plan_device_rule out[64])
{
	size_t n = 0;

	for (size_t i = 0; i < profile_n_device_rules; i++) {
		const struct profile_device_rule *d = &profile_device_rules[i];

		out[n++] = (struct plan_device_rule){ d->allow, d->type, d->major, d->minor,
						      DEV_READ | DEV_WRITE | DEV_MKNOD };
	}
	for (size_t i = 0; i < devices_n_always; i++)
		out[n++] = devices_always[i];
	return n;
}

TEST(default_container)
{
	struct plan_device_rule rules[64];
	size_t n = docker_rules(rules);

	CHECK_INT(decide(rules, n, 'c', 1, 3, DEV_READ | DEV_WRITE), 1); /* null */
	CHECK_INT(decide(rules, n, 'c', 1, 9, DEV_READ), 1); /* urandom */
	CHECK_INT(decide(rules, n, 'c', 136, 17, DEV_READ | DEV_WRITE), 1); /* pts */
	CHECK_INT(decide(rules, n, 'c', 5, 2, DEV_READ | DEV_WRITE), 1); /* ptmx */
	CHECK_INT(decide(rules, n, 'c', 1, 1, DEV_READ), 0); /* mem */
	CHECK_INT(decide(rules, n, 'c', 1, 11, DEV_READ), 0); /* kmsg */
	CHECK_INT(decide(rules, n, 'b', 254, 0, DEV_READ), 0); /* a disk */
	CHECK_INT(decide(rules, n, 'b', 254, 0, DEV_MKNOD), 1); /* its node may be made */
	CHECK_INT(decide(rules, n, 'b', 254, 0, DEV_MKNOD | DEV_READ), 0);
	CHECK_INT(decide(rules, n, 'c', 10, 229, DEV_READ | DEV_WRITE), 0); /* fuse */
	CHECK_INT(decide(rules, n, 'b', 1, 3, DEV_READ), 0); /* null's numbers as a block device */
}

TEST(last_match_decides)
{
	const struct plan_device_rule rules[] = {
		{ true, 'a', -1, -1, 7 },
		{ false, 'b', 8, -1, 7 },
		{ true, 'b', 8, 1, DEV_READ },
		{ false, 'c', 4, 64, DEV_WRITE },
	};
	size_t n = ARRAY_SIZE(rules);

	CHECK_INT(decide(rules, n, 'b', 9, 0, 7), 1);
	CHECK_INT(decide(rules, n, 'b', 8, 0, DEV_READ), 0);
	CHECK_INT(decide(rules, n, 'b', 8, 1, DEV_READ), 1);
	CHECK_INT(decide(rules, n, 'b', 8, 1, DEV_READ | DEV_WRITE), 0);
	CHECK_INT(decide(rules, n, 'c', 4, 64, DEV_READ), 1);
	CHECK_INT(decide(rules, n, 'c', 4, 64, DEV_READ | DEV_WRITE), 0);
	CHECK_INT(decide(rules, 0, 'c', 1, 3, DEV_READ), 0);
}

TEST(privileged_needs_no_program)
{
	const struct plan_device_rule all[] = { { false, 'a', -1, -1, 7 },
						{ true, 'a', -1, -1, 7 },
						{ true, 'c', 1, 3, 7 } };
	const struct plan_device_rule not_all[] = { { true, 'a', -1, -1, 7 },
						    { false, 'c', 1, 3, 7 } };

	CHECK(devices_allow_all(all, ARRAY_SIZE(all)));
	CHECK(!devices_allow_all(not_all, ARRAY_SIZE(not_all)));
	CHECK(!devices_allow_all(all, 1));
	CHECK(!devices_allow_all(NULL, 0));
}

TEST(too_many_rules_are_refused)
{
	static struct plan_device_rule rules[1000];
	struct bpf_insn *insns = NULL;
	size_t n;

	CHECK_INT(devices_assemble(rules, ARRAY_SIZE(rules), &insns, &n, NULL), -E2BIG);
}
