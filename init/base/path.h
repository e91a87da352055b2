/*
 * Path resolution inside a tree that is hostile for ever (a container's rootfs, a layer, a volume).
 *
 * All by openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: absolute symlinks and .. stay
 * below the root fd. Callers keep the returned fd and never resolve the string again. No function
 * here changes the working directory. `path` may be absolute or relative; both mean "below root".
 */
#ifndef SKERRY_BASE_PATH_H
#define SKERRY_BASE_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/base/err.h"

/* openat2 with the flags above; open flags are O_CLOEXEC always. Returns the fd or -errno. */
int path_open(int root, const char *path, int flags, mode_t mode, struct err *e);
/* As path_open, plus RESOLVE_NO_SYMLINKS (no link anywhere on the way) and RESOLVE_NO_XDEV. */
int path_open_strict(int root, const char *path, int flags, mode_t mode, struct err *e);
/* For a process whose own root is the tree (mount_pivot, setns): `path` is relative to the
 * directory `dir`; absolute links and .. lead as far as the process's root, which is where a tar
 * member's links lead too. No magic links. */
int path_open_own(int dir, const char *path, int flags, mode_t mode, struct err *e);
/* Opens the directory that holds the last component (O_PATH), resolving links on the way, and
 * copies the last component's name (never "", ".", "..": -EINVAL; NAME_MAX + 1 bytes). For
 * create, unlink and rename by fd. */
int path_open_parent(int root, const char *path, char *ret_name, struct err *e);
/* Makes all missing directories of `path` below root with mode (less the umask); links, dangling
 * ones too, are followed below root. Returns an O_PATH fd of the last one. -ENOTDIR if a
 * component is something else. */
int path_make_dirs(int root, const char *path, mode_t mode, struct err *e);
/* Ensures a mount target below root: a directory or (file = true) anything that is not one, made
 * as an empty regular file. -EISDIR or -ENOTDIR when the other kind is there. Returns its O_PATH
 * fd. */
int path_make_target(int root, const char *path, bool file, struct err *e);
/* Lexical clean-up only (//, /./, /../ cut at the root); for labels and comparison, never for
 * access. -ENAMETOOLONG. */
int path_clean(char *dst, size_t size, const char *path);
/* "/proc/self/fd/N" for APIs that only take paths; buf of at least 32 bytes. Returns buf. */
const char *path_of_fd(char buf[32], int fd);

#endif
