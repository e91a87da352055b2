/*
 * The few macros that every file uses: scope-bound clean-up, hand-over, array size, checked sums.
 *
 * Clean-up follows one pattern: a destructor `void thing_free(struct thing *)` that accepts NULL,
 * DEFINE_CLEANUP(struct thing *, thing_free) once in the header, and `_cleanup_(thing_free)` at
 * the variable. What is handed over to somebody else leaves by take_ptr() or take_fd().
 */
#ifndef SKERRY_BASE_UTIL_H
#define SKERRY_BASE_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define UNUSED __attribute__((unused))

/* _cleanup_(f): calls f_p(&variable) at the end of the scope; see DEFINE_CLEANUP. */
#define _cleanup_(f) __attribute__((cleanup(f##_p)))

/* Defines f_p for _cleanup_(f), where f takes a `type` (a pointer) and accepts NULL. */
#define DEFINE_CLEANUP(type, f)                  \
	static inline UNUSED void f##_p(type *p) \
	{                                        \
		f(*p);                           \
	}

/* As above for a struct held by value: f takes its address. */
#define DEFINE_CLEANUP_VALUE(type, f)            \
	static inline UNUSED void f##_p(type *p) \
	{                                        \
		f(p);                            \
	}

static inline UNUSED void mem_free(void *p)
{
	free(p);
}
static inline UNUSED void mem_free_p(void *p)
{
	free(*(void **)p);
}

/* Closes fd if >= 0 and keeps errno. */
static inline UNUSED void fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}
DEFINE_CLEANUP(int, fd_close)

static inline UNUSED void file_close(FILE *f)
{
	if (f)
		fclose(f);
}
DEFINE_CLEANUP(FILE *, file_close)

/* Returns the value and leaves NULL (or -1) behind, so that a clean-up does nothing. */
#define take_ptr(p)                       \
	({                                \
		__typeof__(p) *p_ = &(p); \
		__typeof__(p) v_ = *p_;   \
		*p_ = NULL;               \
		v_;                       \
	})
static inline UNUSED int take_fd_at(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}
#define take_fd(fd) take_fd_at(&(fd))

#endif
