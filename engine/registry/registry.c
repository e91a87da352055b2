/*
 * The module: its settings, and who may ask for them.
 */
#include <string.h>

#include "engine/registry/registry_priv.h"
#include "init/base/str.h"

int registry_new(const struct registry_config *cfg, struct registry **ret, struct err *e)
{
	_cleanup_(registry_free) struct registry *reg = calloc(1, sizeof(*reg));
	int r;

	if (!reg)
		return err_set(e, ENOMEM, "out of memory");
	list_init(&reg->pulls);
	reg->loop = cfg->loop;
	reg->images = cfg->images;
	reg->no_sandbox = cfg->no_sandbox;
	reg->turn.fn = pulls_turn;
	r = registry_settings_read(cfg->settings, &reg->settings, e);
	if (r == 0 && (str_set(&reg->ca_bundle, cfg->ca_bundle) < 0 ||
		       str_set(&reg->certs_dir, cfg->certs_dir) < 0 ||
		       str_set(&reg->auth_file, cfg->auth_file) < 0))
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		*ret = take_ptr(reg);
	return r;
}

void registry_free(struct registry *reg)
{
	if (!reg)
		return;
	defer_remove(&reg->turn);
	registry_settings_free(&reg->settings);
	free(reg->ca_bundle);
	free(reg->certs_dir);
	free(reg->auth_file);
	free(reg);
}

char *const *registry_mirrors(const struct registry *reg)
{
	return reg ? reg->settings.mirrors : NULL;
}

char *const *registry_insecure(const struct registry *reg)
{
	return reg ? reg->settings.insecure : NULL;
}

int registry_place(struct registry *reg, const struct ref *ref, struct place **ret, struct err *e)
{
	return place_new(&reg->settings, ref->domain, ref->path, ret, e);
}
