/*
 * One reading of a compose file: documents, variables, files beside it (see reading.h).
 */
#include "engine/manifest/reading.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "init/base/file.h"
#include "init/base/str.h"

void reading_free(struct reading *rd)
{
	for (size_t i = 0; i < rd->n_docs; i++)
		yaml_doc_free(rd->docs[i]);
	for (size_t kind = 0; kind < ARRAY_SIZE(rd->stored); kind++) {
		for (size_t i = 0; i < rd->n_stored[kind]; i++) {
			free(rd->stored[kind][i].key);
			free(rd->stored[kind][i].data);
		}
		free(rd->stored[kind]);
	}
	strv_free(rd->profiles);
	strv_free(rd->inputs);
	vars_free(&rd->vars);
	*rd = (struct reading){ 0 };
}

/* ---- documents ---- */

/* Errors and spots name the file by a text that lives as long as the project. */
static int keep_name(struct reading *rd, struct yaml_doc *doc, struct err *e)
{
	if (strv_add(&rd->project->files, doc->file) < 0)
		return err_errno(e, ENOMEM, "%s", doc->file);
	doc->name = rd->project->files[strv_len(rd->project->files) - 1];
	return 0;
}

int reading_parse(struct reading *rd, const char *text, size_t len, const char *file,
		  struct yaml_doc **ret, struct err *e)
{
	struct yaml_doc *doc;
	int r;

	if (rd->n_docs == READING_DOCS_MAX)
		return err_set(e, E2BIG, "more than %d files in one project", READING_DOCS_MAX);
	r = yaml_parse(text, len, file, &doc, e);
	if (r < 0)
		return r;
	rd->docs[rd->n_docs++] = doc;
	r = keep_name(rd, doc, e);
	if (r == 0 && rd->n_docs > 1)
		r = reading_expand(rd, doc->root, "", e);
	if (r == 0)
		*ret = doc;
	return r;
}

struct compose_spot reading_spot(const struct yaml_node *n, int line)
{
	return (struct compose_spot){ .file = n->doc->name, .line = line };
}

int spot_err(struct compose_spot at, const char *path, struct err *e, const char *fmt, ...)
{
	const struct yaml_doc doc = { .file = (char *)at.file };
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return yaml_err(&doc, at.line, path, e, "%s", text);
}

/* ---- files beside it ---- */

int reading_input(struct reading *rd, const char *path, struct err *e)
{
	char ***inputs = &rd->inputs;

	if (strv_has(*inputs, path))
		return 0;
	if (strv_len(*inputs) == COMPOSE_INPUTS_MAX)
		return err_set(e, E2BIG, "more than %d files are named", COMPOSE_INPUTS_MAX);
	return strv_add(inputs, path) < 0 ? err_errno(e, ENOMEM, "%s", path) : 0;
}

char *reading_path(const struct yaml_node *at, const char *name)
{
	const char *file = at->doc->file, *slash = strrchr(file, '/');

	if (name[0] == '/')
		return str_dup(name);
	return str_printf("%.*s/%s", slash ? (int)(slash - file) : 1, slash ? file : ".", name);
}

int reading_file(struct reading *rd, const struct yaml_node *at, const char *name, size_t max,
		 char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(mem_free) char *path = reading_path(at, name);
	int r = path ? reading_input(rd, path, e) : err_errno(e, ENOMEM, "%s", name);

	return r < 0 ? r : file_read(AT_FDCWD, path, max, ret, ret_len, e);
}

int reading_env(struct reading *rd, struct err *e)
{
	_cleanup_(mem_free) char *path = reading_path(rd->docs[0]->root, ".env"), *text = NULL;
	struct vars none = { 0 };
	int r = path ? reading_input(rd, path, e) : err_errno(e, ENOMEM, ".env");

	if (r == 0)
		r = file_read(AT_FDCWD, path, READING_FILE_MAX, &text, NULL, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_wrap(e, "%s:1", rd->docs[0]->file);
	r = env_file_read(text, path, false, &none, &rd->vars.env, e);
	vars_free(&none);
	/* errors of a project begin with its own name */
	return r < 0 ? err_wrap(e, "%s:1: .env", rd->docs[0]->file) : 0;
}

/* ---- variables ---- */

static int expand_scalar(struct reading *rd, struct yaml_node *n, const struct place *p,
			 struct err *e)
{
	size_t known = strv_len(rd->vars.missing);
	struct err why = { 0 };
	char *text;

	if (!strchr(n->text, '$'))
		return 0;
	if (vars_expand(&rd->vars, n->text, &text, &why) < 0)
		return yaml_err(n->doc, n->line, p->path, e, "%s", err_text(&why));
	free((char *)n->text);
	n->text = text;
	n->plain = false; /* an empty one is a text, not nothing */
	for (size_t i = known; rd->vars.missing && rd->vars.missing[i]; i++)
		if (strv_addf(&rd->project->warnings,
			      "%s:%d: %s: The \"%s\" variable is not set. Defaulting to a blank "
			      "string.",
			      n->doc->file, n->line, p->path, rd->vars.missing[i]) < 0)
			return err_errno(e, ENOMEM, "%s", n->doc->file);
	return 0;
}

static int expand_node(struct reading *rd, struct yaml_node *n, const struct place *p,
		       struct err *e)
{
	int r = 0;

	if (n->seen)
		return 0;
	n->seen = true;
	if (n->kind == YAML_SCALAR)
		return expand_scalar(rd, n, p, e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		struct place at = place_at(p, n->kind == YAML_MAP ? n->pairs[i].key : NULL, i);

		r = expand_node(rd, n->kind == YAML_MAP ? n->pairs[i].value : n->items[i], &at, e);
	}
	return r;
}

int reading_expand(struct reading *rd, struct yaml_node *n, const char *path, struct err *e)
{
	struct place p = { .doc = n->doc };

	(void)str_copy(p.path, sizeof(p.path), path);
	return expand_node(rd, n, &p, e);
}
