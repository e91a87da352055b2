/*
 * Certificates for the fetch worker: read whole, as root, before the sandbox closes and before the
 * network is touched.
 *
 * Docker's folders are kept to: certs.d/HOST[:PORT]/ has *.crt (who may sign that host's
 * certificate), and client.cert with client.key (who we are, for that host alone).
 */
#include <fcntl.h>
#include <string.h>

#include "engine/registry/session_priv.h"
#include "init/base/file.h"
#include "init/base/str.h"

enum { PEM_MAX = 2 << 20, CERT_FILES_MAX = 256 };

/* Appends a file's text to *pem; one that is absent adds nothing. */
static int add_file(int dirfd, const char *path, char **pem, struct err *e)
{
	_cleanup_(mem_free) char *text = NULL;
	char *both;
	size_t len;
	int r = file_read(dirfd, path, PEM_MAX, &text, &len, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_wrap(e, "%s", path);
	if (strlen(text) != len)
		return err_set(e, EINVAL, "%s: not a PEM file", path);
	both = str_printf("%s%s\n", *pem ? *pem : "", text);
	if (!both)
		return err_set(e, ENOMEM, "out of memory");
	free(*pem);
	*pem = both;
	return 0;
}

static int add_ca(int dirfd, const char *name, void *data, struct err *e)
{
	return str_ends(name, ".crt") ? add_file(dirfd, name, data, e) : 0;
}

static int load_host(struct session *s, size_t n, const char *certs_dir, struct err *e)
{
	const char *base = s->place->endpoints[n].base;
	const char *host = strstr(base, "://");
	struct endpoint_state *state = &s->state[n];
	_cleanup_(mem_free) char *folder = NULL;
	_cleanup_(fd_close) int dir = -1;
	int r;

	host = host ? host + 3 : base;
	if (strchr(host, '/') || host[0] == '.')
		return 0;
	folder = str_printf("%s/%s", certs_dir, host);
	if (!folder)
		return err_set(e, ENOMEM, "out of memory");
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	r = dir_each(dir, ".", CERT_FILES_MAX, add_ca, &state->ca, e);
	if (r == 0)
		r = add_file(dir, "client.cert", &state->client_cert, e);
	if (r == 0)
		r = add_file(dir, "client.key", &state->client_key, e);
	return r < 0 ? err_wrap(e, "%s", folder) : 0;
}

int certs_load(struct session *s, const char *bundle, const char *certs_dir, struct err *e)
{
	int r = bundle ? add_file(AT_FDCWD, bundle, &s->ca, e) : 0;

	for (size_t i = 0; r == 0 && i < strv_len(s->settings.certificates); i++)
		r = add_file(AT_FDCWD, s->settings.certificates[i], &s->ca, e);
	for (size_t i = 0; r == 0 && certs_dir && s->place && i < s->place->n_endpoints; i++)
		r = load_host(s, i, certs_dir, e);
	return r;
}
