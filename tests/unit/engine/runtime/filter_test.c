/*
 * The default profile, compiled and run by an interpreter of classic BPF, against a list of the
 * reference's verdicts; the ENOSYS prologue; the cache.
 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/stat.h>

#include "engine/data/json.h"
#include "engine/runtime/filter.h"
#include "engine/runtime/plan_json.h"
#include "engine/runtime/profile.h"
#include "engine/runtime/seccomp_default.h"
#include "init/base/file.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

#define BIT(n) (1ULL << (n))
#define DATA(...) ((struct seccomp_data){ .arch = AUDIT_ARCH_X86_64, __VA_ARGS__ })
#define DENIED(code) (SECCOMP_RET_ERRNO | (code))

/* What the kernel would answer; 0xdead0000 for a program it would refuse. */
static uint32_t interpret(const struct filter_program *p, struct seccomp_data data)
{
	uint32_t a = 0, word;

	for (size_t pc = 0; pc < p->len; pc++) {
		const struct sock_filter *i = &p->filter[pc];
		bool hit;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k > sizeof(data) - 4)
				return 0xdead0000;
			memcpy(&word, (const char *)&data + i->k, 4);
			a = word;
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			hit = a == i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			hit = a > i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			hit = a >= i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			hit = a & i->k;
			break;
		default:
			return 0xdead0000;
		}
		pc += hit ? i->jt : i->jf;
	}
	return 0xdead0000;
}

static int spec_of(const char *json, size_t len, struct filter_spec **ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *o;
	int r = json_parse_object(json, len, &doc, &o, e);

	return r < 0 ? r : plan_read_seccomp(o, "linux.seccomp", ret, e);
}

/* 1: it was in the cache */
static int program_of(uint64_t caps, const char *cache, struct filter_program *ret, struct err *e)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(1 << 20);
	_cleanup_(filter_spec_free) struct filter_spec *spec = NULL;
	int r = seccomp_default_write(caps, 6 << 8 | 12, &json, e);

	if (r == 0 && cache && filter_cache_take(cache, json.data, json.len, ret))
		return 1;
	if (r == 0)
		r = spec_of(json.data, json.len, &spec, e);
	if (r == 0)
		r = filter_compile(spec, ret, e);
	if (r == 0 && cache)
		filter_cache_put(cache, json.data, json.len, ret);
	return r;
}

static const struct {
	char letter;
	uint32_t verdict;
} letters[] = { { 'A', SECCOMP_RET_ALLOW }, { 'E', DENIED(EPERM) }, { 'N', DENIED(ENOSYS) } };

static uint32_t verdict_of(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (letters[i].letter == letter)
			return letters[i].verdict;
	return 0xdead0000;
}

static void compare(const struct filter_program *p, char *text, size_t column)
{
	int known = 0;
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');
		int nr;

		if (*line == '#')
			continue;
		CHECK(space);
		*space = '\0';
		nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, line);
		if (nr < 0)
			continue; /* a call of another architecture */
		known++;
		CHECK_MSG(interpret(p, DATA(.nr = nr)) == verdict_of(space[1 + column]),
			  "%s in column %zu: %#x, not %c", line, column,
			  interpret(p, DATA(.nr = nr)), space[1 + column]);
	}
	CHECK(known > 330);
}

TEST(every_call_has_the_references_verdict)
{
	const uint64_t sets[] = { 0,	       caps_default(), caps_default() | BIT(21),
				  BIT(41) - 1, BIT(2),	       BIT(16),
				  BIT(17),     BIT(18),	       BIT(19),
				  BIT(20),     BIT(21),	       BIT(22),
				  BIT(23),     BIT(25),	       BIT(26),
				  BIT(34),     BIT(38),	       BIT(39) };

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		_cleanup_(mem_free) char *text =
			test_fixture("tests/unit/engine/runtime/seccomp_default.txt", NULL);
		_cleanup_(filter_program_clear) struct filter_program p = { 0 };
		struct err e = { 0 };

		CHECK_MSG(program_of(sets[i], NULL, &p, &e) == 0, "%s", err_text(&e));
		compare(&p, text, i);
	}
}

TEST(arguments_decide)
{
	_cleanup_(filter_program_clear) struct filter_program p = { 0 };
	const int socket_nr = 41, personality_nr = 135, clone_nr = 56;

	CHECK_INT(program_of(caps_default(), NULL, &p, NULL), 0);
	for (uint64_t family = 0; family < 46; family++)
		CHECK_INT(interpret(&p, DATA(.nr = socket_nr, .args = { family })),
			  family == 38 || family == 40 ? DENIED(EPERM) : SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = personality_nr, .args = { 0x20008 })),
		  SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = personality_nr, .args = { 0xffffffff })),
		  SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = personality_nr, .args = { 0x0040000 })), DENIED(EPERM));
	/* a thread, a fork, and each kind of namespace */
	CHECK_INT(interpret(&p, DATA(.nr = clone_nr, .args = { 0x3d0f00 })), SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = clone_nr, .args = { 17 })), SECCOMP_RET_ALLOW);
	for (unsigned int bit = 0; bit < 32; bit++)
		CHECK_INT(interpret(&p, DATA(.nr = clone_nr, .args = { 17 | 1ULL << bit })),
			  0x7E020000U & (1U << bit) ? DENIED(EPERM) : SECCOMP_RET_ALLOW);
}

TEST(new_calls_are_enosys)
{
	_cleanup_(filter_program_clear) struct filter_program p = { 0 };

	CHECK_INT(program_of(caps_default(), NULL, &p, NULL), 0);
	CHECK_INT(p.flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = 999)), DENIED(ENOSYS));
	CHECK_INT(interpret(&p, DATA(.nr = 0x3fffffff)), DENIED(ENOSYS));
	/* known and not allowed: a refusal, not "unknown" */
	CHECK_INT(interpret(&p, DATA(.nr = 246)), DENIED(EPERM)); /* kexec_load */
	CHECK_INT(interpret(&p, DATA(.nr = 425)), DENIED(EPERM)); /* io_uring_setup */
	/* x32: its own numbers and its own end */
	CHECK_INT(interpret(&p, DATA(.nr = 0x40000000 | 39)), SECCOMP_RET_ALLOW); /* getpid */
	CHECK_INT(interpret(&p, DATA(.nr = 0x40000000 | 999)), DENIED(ENOSYS));
	/* 32-bit */
	CHECK_INT(interpret(&p, (struct seccomp_data){ .arch = AUDIT_ARCH_I386, .nr = 20 }),
		  SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, (struct seccomp_data){ .arch = AUDIT_ARCH_I386, .nr = 999 }),
		  DENIED(ENOSYS));
	CHECK_INT(interpret(&p, (struct seccomp_data){ .arch = AUDIT_ARCH_I386,
						       .nr = 359,
						       .args = { 38 } }),
		  DENIED(EPERM));
	/* a foreign architecture is killed */
	CHECK_INT(interpret(&p, (struct seccomp_data){ .arch = AUDIT_ARCH_AARCH64, .nr = 1 }),
		  SECCOMP_RET_KILL_THREAD);
}

TEST(permissive_profile_has_no_prologue)
{
	static const char json[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
				   "[\"mkdir\",\"nosuchcall\"],"
				   "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":5}]}";
	_cleanup_(filter_program_clear) struct filter_program p = { 0 };
	_cleanup_(filter_spec_free) struct filter_spec *spec = NULL;

	CHECK_INT(spec_of(json, strlen(json), &spec, NULL), 0);
	CHECK_INT(filter_compile(spec, &p, NULL), 0);
	CHECK_INT(interpret(&p, DATA(.nr = 999)), SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = 83)), DENIED(5));
}

TEST(repeated_argument_means_any_of_them)
{
	static const char json[] =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"socket\"],"
		"\"action\":"
		"\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}";
	_cleanup_(filter_program_clear) struct filter_program p = { 0 };
	_cleanup_(filter_spec_free) struct filter_spec *spec = NULL;

	CHECK_INT(spec_of(json, strlen(json), &spec, NULL), 0);
	CHECK_INT(filter_compile(spec, &p, NULL), 0);
	CHECK_INT(interpret(&p, DATA(.nr = 41, .args = { 1 })), SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = 41, .args = { 2 })), SECCOMP_RET_ALLOW);
	CHECK_INT(interpret(&p, DATA(.nr = 41, .args = { 3 })), DENIED(EPERM));
}

static int last_name(int dirfd, const char *name, void *data, struct err *e)
{
	(void)dirfd;
	(void)e;
	return str_copy(data, 256, name);
}

TEST(cache_gives_the_same_program_and_survives_damage)
{
	_cleanup_(filter_program_clear) struct filter_program p = { 0 }, q = { 0 }, s = { 0 };
	char dir[300], name[256] = "", path[600];

	(void)str_format(dir, sizeof(dir), "%s/cache", test_tmpdir());
	CHECK_INT(program_of(caps_default(), dir, &p, NULL), 0);
	CHECK_INT(dir_each(AT_FDCWD, dir, 10, last_name, name, NULL), 0);
	CHECK(str_ends(name, ".bpf"));
	CHECK_INT(program_of(caps_default(), dir, &q, NULL), 1);
	CHECK_INT(p.len, q.len);
	CHECK_INT(p.flags, q.flags);
	CHECK(memcmp(p.filter, q.filter, p.len * sizeof(*p.filter)) == 0);
	/* cut short: compiled anew, never loaded */
	(void)str_format(path, sizeof(path), "%s/%s", dir, name);
	CHECK_INT(truncate(path, 5000), 0);
	CHECK_INT(program_of(caps_default(), dir, &s, NULL), 0);
	CHECK_INT(s.len, p.len);
	CHECK(memcmp(p.filter, s.filter, p.len * sizeof(*p.filter)) == 0);
}

TEST(wrong_descriptions_name_the_key)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "{}", "linux.seccomp.defaultAction: is missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_MAYBE\"}",
		  "linux.seccomp.defaultAction: unknown action \"SCMP_ACT_MAYBE\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "SCMP_ACT_NOTIFY is not supported" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":3}",
		  "an errno with an action that takes none" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_VAX\"]}",
		  "architectures[0]" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"flags\":[\"X\"]}", "flags[0]" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[],\"action\":"
		  "\"SCMP_ACT_ALLOW\"}]}",
		  "syscalls[0].names: must not be empty" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"a\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\","
		  "\"args\":[{\"index\":6,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		  "syscalls[0].args[0].index: must be from 0 to 5" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"a\"],"
		  "\"action\":\"SCMP_ACT_ALLOW\","
		  "\"args\":[{\"index\":1,\"value\":0,\"op\":\"==\"}]}]}",
		  "args[0].op: unknown operator" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"listenerPath\":\"/x\"}",
		  "listenerPath" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct filter_spec *spec = NULL;
		struct err e = { 0 };

		CHECK(spec_of(rows[i].json, strlen(rows[i].json), &spec, &e) < 0);
		CHECK_MSG(strstr(e.text, rows[i].text), "\"%s\" does not say \"%s\"", e.text,
			  rows[i].text);
	}
}

static uint32_t verdict_with(const char *profile, uint64_t caps, int nr)
{
	_cleanup_(filter_program_clear) struct filter_program p = { 0 };
	_cleanup_(filter_spec_free) struct filter_spec *spec = NULL;
	_cleanup_(buf_free) struct buf json = BUF_INIT(1 << 20);

	if (seccomp_profile_write(profile, strlen(profile), caps, 6 << 8 | 12, &json, NULL) < 0 ||
	    spec_of(json.data, json.len, &spec, NULL) < 0 || filter_compile(spec, &p, NULL) < 0)
		return 0xdead0000;
	return interpret(&p, DATA(.nr = nr));
}

TEST(own_profile_with_conditions)
{
	static const char profile[] = "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{"
				      "\"architecture\":\"SCMP_ARCH_X86_64\","
				      "\"subArchitectures\":[\"SCMP_ARCH_X86\"]}],\"syscalls\":["
				      "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},"
				      "{\"name\":\"write\",\"action\":\"SCMP_ACT_ALLOW\"},"
				      "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\","
				      "\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
				      "{\"names\":[\"chdir\"],\"action\":\"SCMP_ACT_ALLOW\","
				      "\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
				      "{\"names\":[\"open\"],\"action\":\"SCMP_ACT_ALLOW\","
				      "\"includes\":{\"minKernel\":\"6.12\"}},"
				      "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_ALLOW\","
				      "\"includes\":{\"minKernel\":\"6.13\"}},"
				      "{\"names\":[\"stat\"],\"action\":\"SCMP_ACT_ALLOW\","
				      "\"includes\":{\"arches\":[\"s390x\"]}}]}";

	CHECK_INT(verdict_with(profile, 0, 0), SECCOMP_RET_ALLOW);
	CHECK_INT(verdict_with(profile, 0, 1), SECCOMP_RET_ALLOW);
	CHECK_INT(verdict_with(profile, 0, 165),
		  DENIED(ENOSYS)); /* mount is beyond what is named */
	CHECK_INT(verdict_with(profile, BIT(21), 165), SECCOMP_RET_ALLOW);
	CHECK_INT(verdict_with(profile, 0, 80), SECCOMP_RET_ALLOW);
	CHECK_INT(verdict_with(profile, BIT(21), 80), DENIED(EPERM));
	CHECK_INT(verdict_with(profile, 0, 2), SECCOMP_RET_ALLOW);
	CHECK_INT(verdict_with(profile, 0, 3), DENIED(EPERM));
	CHECK_INT(verdict_with(profile, 0, 4), DENIED(EPERM));
}

TEST(own_profile_with_mistakes)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "{", "seccomp profile" },
		{ "{}", "defaultAction: is missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}",
		  "syscalls: must be a list" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],"
		  "\"action\":\"NO\"}]}",
		  "syscalls[0].action" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[],\"architectures\":[\"SCMP_"
		  "ARCH_X86\"]}",
		  "do not go together" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_free) struct buf out = BUF_INIT(1 << 20);
		struct err e = { 0 };

		CHECK(seccomp_profile_write(rows[i].json, strlen(rows[i].json), 0, 0, &out, &e) <
		      0);
		CHECK_MSG(strstr(e.text, rows[i].text), "\"%s\" does not say \"%s\"", e.text,
			  rows[i].text);
		CHECK_INT(out.len, 0);
	}
}
