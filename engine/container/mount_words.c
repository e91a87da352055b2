/*
 * The words in mount requests: modes of binds and volumes, options of tmpfs. Which words there are,
 * and that one of each kind may be given, are Docker's rules (moby volume/mounts/linux_parser.go,
 * moby/sys mount/flags.go).
 */
#include "engine/container/mounts.h"

#include "init/base/str.h"

bool is_propagation(const char *word)
{
	static const char *const names[] = { "private", "rprivate", "shared", "rshared",
					     "slave",	"rslave",   NULL };

	return strv_has((char *const *)names, word);
}

enum kind { KIND_ACCESS, KIND_LABEL, KIND_COPY, KIND_CONSISTENCY, KIND_PROPAGATION, KINDS };

static int kind_of(const char *word)
{
	static const struct {
		const char *word;
		enum kind kind;
	} words[] = {
		{ "rw", KIND_ACCESS },
		{ "ro", KIND_ACCESS },
		{ "z", KIND_LABEL },
		{ "Z", KIND_LABEL },
		{ "copy", KIND_COPY },
		{ "nocopy", KIND_COPY },
		{ "default", KIND_CONSISTENCY },
		{ "consistent", KIND_CONSISTENCY },
		{ "cached", KIND_CONSISTENCY },
		{ "delegated", KIND_CONSISTENCY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i].word, word))
			return (int)words[i].kind;
	return is_propagation(word) ? KIND_PROPAGATION : -EINVAL;
}

int mount_words_read(const char *mode, struct mount_words *ret, struct err *e)
{
	_cleanup_(strv_free) char **words = strv_split(mode, ",", true);
	unsigned int seen = 0;

	if (!words)
		return err_errno(e, ENOMEM, "mount mode");
	if (!*mode)
		return 0;
	for (char **w = words; *w; w++) {
		int kind = kind_of(*w);

		if (kind < 0 || (seen & 1u << kind))
			return err_set(e, EINVAL, "invalid mode: %s", mode);
		seen |= 1u << kind;
		ret->read_only |= str_eq(*w, "ro");
		ret->no_copy |= str_eq(*w, "nocopy");
		ret->has_copy |= kind == KIND_COPY;
		if (kind == KIND_PROPAGATION)
			(void)str_copy(ret->propagation, sizeof(ret->propagation), *w);
	}
	return 0;
}

int tmpfs_words_check(const char *options, struct err *e)
{
	static const char *const flags[] = {
		"defaults",   "ro",	  "rw",		"suid",	       "nosuid",	"dev",
		"nodev",      "exec",	  "noexec",	"atime",       "noatime",	"diratime",
		"nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", NULL
	};
	static const char *const keys[] = { "mode",	 "uid",	      "gid",  "size",
					    "nr_inodes", "nr_blocks", "mpol", NULL };
	_cleanup_(strv_free) char **words = strv_split(options, ",", false);

	if (!words)
		return err_errno(e, ENOMEM, "tmpfs options");
	for (char **w = words; *w; w++) {
		char key[16];
		size_t len = strcspn(*w, "=");

		if (strv_has((char *const *)flags, *w))
			continue;
		if (len >= sizeof(key) || !(*w)[len] ||
		    str_format(key, sizeof(key), "%.*s", (int)len, *w) < 0 ||
		    !strv_has((char *const *)keys, key))
			return err_set(e, EINVAL, "invalid tmpfs option \"%.80s\"", *w);
	}
	return 0;
}

/* TmpfsOptions.Options: [["exec"], ["noexec"]]; Docker knows these two. */
static int add_listed(const char *json, struct buf *out, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *item;
	size_t i, n;
	int r = json_parse(json, strlen(json), &doc, e);

	if (r == 0 && !yyjson_is_arr(yyjson_doc_get_root(doc)))
		r = err_set(e, EINVAL, "TmpfsOptions.Options: expected an array of arrays");
	if (r < 0)
		return r;
	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, item)
	{
		const char *word = yyjson_get_str(yyjson_arr_get_first(item));

		if (yyjson_arr_size(item) < 1 || yyjson_arr_size(item) > 2 || !word)
			return err_set(e, EINVAL, "invalid option array length");
		if (yyjson_arr_size(item) != 1 ||
		    (!str_eq(word, "exec") && !str_eq(word, "noexec")))
			return err_set(e, EINVAL, "invalid option: %.80s", word);
		buf_printf(out, "%s%s", out->len ? "," : "", word);
	}
	return 0;
}

int tmpfs_options_text(const struct tmpfs_options *t, char **ret, struct err *e)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	int r = 0;

	if (t && (t->size < 0 || t->mode < 0))
		return err_set(e, EINVAL, "TmpfsOptions: size and mode must not be negative");
	if (t && t->mode)
		buf_printf(&out, "mode=%llo", (unsigned long long)t->mode);
	if (t && t->size)
		buf_printf(&out, "%ssize=%lld", out.len ? "," : "", (long long)t->size);
	if (t && t->options)
		r = add_listed(t->options, &out, e);
	if (r < 0)
		return r;
	if (buf_failed(&out))
		return err_errno(e, ENOMEM, "tmpfs options");
	*ret = str_dup(buf_text(&out));
	return *ret ? 0 : err_errno(e, ENOMEM, "tmpfs options");
}
