/*
 * Where plugins are: sockets and files by name (inside.h).
 *
 * As Docker looks: SOCKETS/NAME.sock, SOCKETS/NAME/NAME.sock, then SPECS/NAME.spec,
 * SPECS/NAME.json and the same one folder down. Containers may write to the folder of sockets, so
 * nothing there is followed: a socket is one itself, or is none. A name that came from a client is
 * checked before it becomes a path.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/data/names.h"
#include "engine/plugin/inside.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { ENTRIES_MAX = 1024 /* that are looked at in one folder */ };

void plugin_address_free(struct plugin_address *a)
{
	free(a->socket);
	free(a->url);
	free(a->ca);
	free(a->cert);
	free(a->key);
	*a = (struct plugin_address){ 0 };
}

/* ---- what files say ---- */

/* Schemes of addresses, and what they are for HTTP. */
static const struct {
	const char *scheme, *http;
} schemes[] = {
	{ "tcp://", "http://" },
	{ "http://", "http://" },
	{ "https://", "https://" },
};

/* No blanks, control characters or user names: it becomes a URL. */
static bool is_plain(const char *address)
{
	for (const char *p = address; *p; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '@' || *p == '#' || *p == '?')
			return false;
	return *address && *address != '/';
}

static int address_parse(const char *text, bool tls, struct plugin_address *ret, struct err *e)
{
	size_t len;

	if (strlen(text) >= PLUGIN_URL_MAX)
		return err_set(e, EINVAL, "the address of the plugin is longer than %d bytes",
			       PLUGIN_URL_MAX);
	if (str_starts(text, "unix://") && text[strlen("unix://")] == '/') {
		ret->socket = str_dup(text + strlen("unix://"));
		return ret->socket ? 0 : err_set(e, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		const char *rest = text + strlen(schemes[i].scheme);

		if (!str_starts(text, schemes[i].scheme) || !is_plain(rest))
			continue;
		ret->url = str_printf("%s%s", tls ? "https://" : schemes[i].http, rest);
		if (!ret->url)
			return err_set(e, ENOMEM, "out of memory");
		for (len = strlen(ret->url); len > 0 && ret->url[len - 1] == '/'; len--)
			ret->url[len - 1] = '\0';
		return 0;
	}
	return err_set(e, EINVAL,
		       "the address of the plugin is \"%.100s\", should be unix:///PATH, "
		       "tcp://HOST:PORT, or http(s)://HOST",
		       text);
}

int plugin_spec_parse(const char *text, struct plugin_address *ret, struct err *e)
{
	_cleanup_(mem_free) char *copy = str_dup(text);

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	return address_parse(str_trim(copy), false, ret, e);
}

int plugin_json_parse(const char *text, size_t len, struct plugin_address *ret, struct err *e)
{
	_cleanup_(json_doc_free) yyjson_doc *doc = NULL;
	yyjson_val *root, *tls = NULL;
	const char *address = NULL;
	int r = json_parse_object(text, len, &doc, &root, e);

	if (r < 0 || (r = json_need_text(root, "Addr", &address, e)) < 0 ||
	    (r = json_get_object(root, "TLSConfig", &tls, e)) < 0 ||
	    (r = json_get_bool(tls, "InsecureSkipVerify", &ret->insecure, e)) < 0 ||
	    (r = json_get_copy(tls, "CAFile", &ret->ca, e)) < 0 ||
	    (r = json_get_copy(tls, "CertFile", &ret->cert, e)) < 0 ||
	    (r = json_get_copy(tls, "KeyFile", &ret->key, e)) < 0)
		return r;
	return address_parse(address, tls != NULL, ret, e);
}

static int read_spec(const char *path, struct plugin_address *ret, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, PLUGIN_SPEC_MAX, &text, &len, e);

	if (r == 0 && strlen(text) != len)
		r = err_set(e, EINVAL, "there is a NUL character in it");
	if (r == 0)
		r = str_ends(path, ".json") ? plugin_json_parse(text, len, ret, e)
					    : plugin_spec_parse(text, ret, e);
	return r == -ENOENT ? r : r < 0 ? err_wrap(e, "%s", path) : 0;
}

/* ---- names ---- */

/* What may stand for a plugin in a folder; %s are its name. */
static const struct {
	const char *ending;
	bool nested, socket;
} forms[] = {
	{ ".sock", false, true }, { ".sock", true, true },   { ".spec", false, false },
	{ ".spec", true, false }, { ".json", false, false }, { ".json", true, false },
};

static char *form_path(const char *folder, const char *name, size_t form)
{
	return forms[form].nested ? str_printf("%s/%s/%s%s", folder, name, name, forms[form].ending)
				  : str_printf("%s/%s%s", folder, name, forms[form].ending);
}

static bool is_there(const char *path, bool socket)
{
	struct stat st;

	if (!path || (socket ? lstat(path, &st) : stat(path, &st)) < 0)
		return false;
	return socket ? S_ISSOCK(st.st_mode) : S_ISREG(st.st_mode);
}

/* The first file of one folder that stands for the name; new memory or NULL. */
static char *look_in(const char *folder, const char *name, bool sockets)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_(mem_free) char *path = NULL;

		if (forms[i].socket != sockets)
			continue;
		path = form_path(folder, name, i);
		if (is_there(path, sockets))
			return take_ptr(path);
	}
	return NULL;
}

static char *look(const char *sockets, char *const *specs, const char *name, bool *ret_socket)
{
	char *path = name_valid(name) ? look_in(sockets, name, true) : NULL;

	*ret_socket = path != NULL;
	for (; !path && name_valid(name) && specs && *specs; specs++)
		path = look_in(*specs, name, false);
	return path;
}

bool plugin_there(const char *sockets, char *const *specs, const char *name)
{
	bool socket;
	_cleanup_(mem_free) char *path = look(sockets, specs, name, &socket);

	return path != NULL;
}

int plugin_locate(const char *sockets, char *const *specs, const char *name,
		  struct plugin_address *ret, struct err *e)
{
	bool socket;
	_cleanup_(mem_free) char *path = look(sockets, specs, name, &socket);

	if (!path)
		return err_set(e, ENOENT, "plugin \"%.64s\" not found", name);
	if (!socket)
		return read_spec(path, ret, e);
	ret->socket = take_ptr(path);
	return 0;
}

struct names {
	const char *folder;
	bool sockets;
	char ***list;
};

static int add_name(int dirfd, const char *entry, void *data, struct err *e)
{
	const struct names *n = data;
	_cleanup_(mem_free) char *name = str_dup(entry), *path = NULL;

	(void)dirfd;
	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].socket == n->sockets && str_ends(entry, forms[i].ending))
			name[strlen(entry) - strlen(forms[i].ending)] = '\0';
	if (!name_valid(name) || strv_has(*n->list, name) || strv_len(*n->list) >= PLUGINS_MAX)
		return 0;
	path = look_in(n->folder, name, n->sockets);
	if (path && strv_add(n->list, name) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

int plugin_names(const char *sockets, char *const *specs, char ***names, struct err *e)
{
	struct names n = { sockets, true, names };
	int r = dir_each(AT_FDCWD, sockets, ENTRIES_MAX, add_name, &n, e);

	n.sockets = false;
	for (; (r == 0 || r == -ENOENT) && specs && *specs; specs++) {
		n.folder = *specs;
		r = dir_each(AT_FDCWD, *specs, ENTRIES_MAX, add_name, &n, e);
	}
	return r == -ENOENT ? 0 : r;
}
