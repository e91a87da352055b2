/*
 * Every key of config.json that the runtime-spec has is read or refused by its name: each one in
 * turn gets a value of the wrong type in a config that has all of them, and must be complained
 * about. A key that is dropped in silence would not be. And what a complete config becomes.
 */
#include <linux/mount.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "engine/data/json.h"
#include "engine/runtime/plan.h"
#include "init/base/str.h"
#include "tests/unit/test.h"

static int parse_full(struct plan **ret, struct err *e)
{
	size_t len;
	_cleanup_(mem_free) char *text =
		test_fixture("tests/unit/engine/runtime/config_full.json", &len);

	return plan_parse(text, len, ret, e);
}

/* --- the walk --- */

struct place {
	yyjson_mut_doc *doc;
	yyjson_mut_val *at;
	char text[200]; /* "hooks.prestart[0].path": how errors name it */
};

static yyjson_mut_val *wrong_value(yyjson_mut_doc *doc, const char *type)
{
	bool number = str_eq(type, "string") || str_eq(type, "array") || str_eq(type, "object");

	return number ? yyjson_mut_int(doc, 7) : yyjson_mut_str(doc, "text");
}

/* The member of that name ("*": the first one there is), made as an empty container if need be. */
static yyjson_mut_val *member(struct place *p, const char **name, bool array)
{
	yyjson_mut_obj_iter it = yyjson_mut_obj_iter_with(p->at);
	yyjson_mut_val *key = str_eq(*name, "*") ? yyjson_mut_obj_iter_next(&it) : NULL, *v;

	if (str_eq(*name, "*"))
		*name = key ? yyjson_mut_get_str(key) : "x";
	v = yyjson_mut_obj_get(p->at, *name);
	if (v)
		return v;
	v = array ? yyjson_mut_arr(p->doc) : yyjson_mut_obj(p->doc);
	(void)yyjson_mut_obj_put(p->at, yyjson_mut_strcpy(p->doc, *name), v);
	return v;
}

static yyjson_mut_val *first_item(struct place *p, yyjson_mut_val *array)
{
	yyjson_mut_val *v = yyjson_mut_arr_get_first(array);

	if (v)
		return v;
	v = yyjson_mut_obj(p->doc);
	(void)yyjson_mut_arr_append(array, v);
	return v;
}

/* Goes to the place that a line names and puts a value of another type there. */
static void spoil(struct place *p, char *path, const char *type)
{
	char *save = NULL, *next;

	for (char *word = strtok_r(path, ".", &save); word; word = next) {
		char *brackets = strstr(word, "[]");
		const char *name = word;
		yyjson_mut_val *v, *wrong = wrong_value(p->doc, type);
		size_t len = strlen(p->text);

		next = strtok_r(NULL, ".", &save);
		if (brackets)
			*brackets = '\0';
		v = member(p, &name, brackets != NULL);
		(void)str_format(p->text + len, sizeof(p->text) - len, "%s%s%s", len ? "." : "",
				 name, brackets ? "[0]" : "");
		if (next) {
			p->at = brackets ? first_item(p, v) : v;
		} else if (brackets) {
			(void)first_item(p, v);
			(void)yyjson_mut_arr_replace(v, 0, wrong);
		} else {
			(void)yyjson_mut_obj_put(p->at, yyjson_mut_strcpy(p->doc, name), wrong);
		}
	}
}

/* The error begins with the key, or with one that it is in (at least the second level). */
static bool names_the_key(const char *error, const char *key)
{
	size_t len = strlen(key), dots = 0;

	for (size_t i = 0; i < len; i++)
		dots += key[i] == '.';
	for (; len > 0; len--) {
		if (key[len] && key[len] != '.' && key[len] != '[')
			continue;
		if (strncmp(error, key, len) == 0 &&
		    !strchr("abcdefghijklmnopqrstuvwxyz", error[len]))
			return true;
		if (key[len] == '.' && dots-- <= 1)
			return false;
	}
	return false;
}

static void check_key(yyjson_doc *full, char *line)
{
	char *space = strchr(line, ' '), *text;
	struct place p = { .doc = yyjson_doc_mut_copy(full, NULL) };
	struct plan *plan = NULL;
	struct err e = { 0 };
	size_t len;
	int r;

	*space = '\0';
	p.at = yyjson_mut_doc_get_root(p.doc);
	spoil(&p, line, space + 1);
	text = yyjson_mut_write(p.doc, 0, &len);
	r = plan_parse(text, len, &plan, &e);
	free(text);
	yyjson_mut_doc_free(p.doc);
	plan_free(plan);
	CHECK_MSG(r < 0, "%s is dropped in silence", p.text);
	CHECK_MSG(names_the_key(e.text, p.text), "%s: \"%s\" does not name it", p.text, e.text);
}

TEST(every_key_is_read_or_refused_by_name)
{
	_cleanup_(mem_free) char *keys =
		test_fixture("tests/unit/engine/runtime/config_keys.txt", NULL);
	_cleanup_(mem_free) char *full = NULL;
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	char *save = NULL;
	size_t len, n = 0;

	full = test_fixture("tests/unit/engine/runtime/config_full.json", &len);
	CHECK_INT(json_parse(full, len, &doc, NULL), 0);
	for (char *line = strtok_r(keys, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '#')
			continue;
		check_key(doc, line);
		n++;
	}
	CHECK(n > 280);
}

/* --- what a complete config becomes --- */

static const struct plan_op *find(const struct plan *p, enum plan_op_kind kind)
{
	for (size_t i = 0; i < p->n_ops; i++)
		if (p->ops[i].kind == kind)
			return &p->ops[i];
	return NULL;
}

TEST(everything_around_the_process)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct err e = { 0 };
	const struct plan_op *op;

	CHECK_MSG(parse_full(&p, &e) == 0, "%s", err_text(&e));
	CHECK(p->root_readonly && p->n_uid_map == 1 && p->n_gid_map == 1);
	CHECK_INT(p->uid_map[0].outside, 100000);
	CHECK_INT(p->gid_map[0].outside, 200000);
	CHECK_STR(p->hostname, "box");
	CHECK_STR(p->domainname, "lan");
	CHECK_STR(p->annotations[0], "org.example.key=value");
	CHECK_STR(p->cgroup, "a/b");
	CHECK_STR(p->time_offsets, "monotonic 7 8\nboottime 5 6\n");
	CHECK_INT((long)p->personality, PER_LINUX32);
	for (int i = 0; i < NS_KINDS; i++)
		CHECK(p->ns[i].wanted && !p->ns[i].path == (i != NS_NETWORK));
	op = find(p, OP_DEVICE);
	CHECK(op && op->device.type == 'c' && op->device.major == 10 && op->device.minor == 200);
	CHECK(op->device.mode == 0660 && op->device.uid == 4 && op->device.gid == 5);
	CHECK_STR(find(p, OP_SYSCTL)->value, "1");
	CHECK_STR(find(p, OP_MASKED_PATH)->path, "/proc/kcore");
	CHECK_STR(find(p, OP_READONLY_PATH)->path, "/proc/sys");
	op = find(p, OP_MOUNT);
	CHECK(op->mount.idmap == PLAN_IDMAP_ALL && op->mount.set == MOUNT_ATTR_RDONLY);
	CHECK(op->mount.uid_map[0].outside == 5 && op->mount.gid_map[0].outside == 7);
	CHECK(p->resources.check_memory && p->resources.memory_limit == 64 << 20);
}

TEST(everything_of_the_process)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct err e = { 0 };
	const struct plan_process *x;

	CHECK_MSG(parse_full(&p, &e) == 0, "%s", err_text(&e));
	x = &p->process;
	CHECK(x->terminal && x->rows == 24 && x->cols == 80 && x->umask == 022);
	CHECK(x->uid == 1 && x->gid == 2 && x->n_groups == 1 && x->groups[0] == 3);
	CHECK(x->bounding == 1 << 5 && x->ambient == 1 << 5 && x->inheritable == 1 << 5);
	CHECK(x->has_oom_score && x->oom_score_adj == 9 && x->no_new_privs);
	CHECK_INT(x->io_priority, 2 << 13 | 5);
	CHECK(x->rlimits[0].resource == RLIMIT_NOFILE && x->rlimits[0].soft == 10);
	CHECK(x->scheduler.wanted && x->scheduler.policy == 6 && x->scheduler.nice == -3);
	CHECK(x->scheduler.priority == 4 && x->scheduler.flags == 3);
	CHECK(x->scheduler.runtime == 1000 && x->scheduler.deadline == 2000);
	CHECK_INT(x->scheduler.period, 3000);
	CHECK(x->first_cpus.wanted && x->first_cpus.bits[0] == 7 && x->first_cpus.bits[1] == 2);
	CHECK(x->last_cpus.wanted && x->last_cpus.bits[0] == 2 && x->last_cpus.bits[1] == 0);
}

TEST(hooks_of_all_kinds)
{
	_cleanup_(plan_free) struct plan *p = NULL;
	struct err e = { 0 };

	CHECK_MSG(parse_full(&p, &e) == 0, "%s", err_text(&e));
	for (int kind = 0; kind < HOOK_KINDS; kind++) {
		const struct plan_hook *h = p->hooks[kind].list;
		char text[16];

		CHECK_INT(p->hooks[kind].n, 1);
		(void)str_format(text, sizeof(text), "/h/%d", kind + 1);
		CHECK_STR(h->path, text);
		CHECK_STR(h->args[0], "h");
		(void)str_format(text, sizeof(text), "A=%d", kind + 1);
		CHECK_STR(h->env[0], text);
		CHECK_INT(h->timeout, kind + 1);
		CHECK(plan_has_hooks(p, (enum plan_hook_kind)kind, (enum plan_hook_kind)kind));
	}
}

/* --- the names of the features document --- */

TEST(every_mount_option_is_recognized)
{
	size_t n = 0;

	for (; plan_mount_option(n); n++) {
		_cleanup_(plan_free) struct plan *p = NULL;
		_cleanup_(mem_free) char *text = str_printf(
			"{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":"
			"\"/"
			"\",\"args\":[\"a\"]},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{"
			"\"type\":\"user\",\"path\":\"/u\"}]},\"mounts\":[{\"destination\":\"/m\","
			"\"source\":\"/s\",\"type\":\"tmpfs\",\"options\":[%s\"%s\"]}]}",
			str_ends(plan_mount_option(n), "idmap") ? "\"bind\"," : "",
			plan_mount_option(n));
		struct err e = { 0 };

		CHECK_MSG(plan_parse(text, strlen(text), &p, &e) == 0, "%s: %s",
			  plan_mount_option(n), err_text(&e));
	}
	CHECK(n > 60);
}
