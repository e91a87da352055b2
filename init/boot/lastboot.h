/*
 * How the last boot ended: a note on the data partition that says "running" until an orderly end
 * replaces it, and what the kernel left in pstore when it panicked.
 *
 * The note is one line of `state SECONDS text`: "running 1767225600 " or
 * "reboot 1767225600 asked for over the API". It is read once, at boot, before it is overwritten.
 */
#ifndef SKERRY_BOOT_LASTBOOT_H
#define SKERRY_BOOT_LASTBOOT_H

#include <stddef.h>

#include "init/base/err.h"

enum { LASTBOOT_TEXT_MAX = 200, PSTORE_FILES_MAX = 16, PSTORE_FILE_MAX = 128 << 10 };

/* Writes the note: state is "running", "reboot", "poweroff" or "halt". On the disk with the file
 * system's next sync: at boot the seed is written durably right after it, at shutdown the
 * unmount does it. */
int lastboot_note(const char *path, const char *state, const char *text, struct err *e);
/* The sentence about the previous boot, from the note at `path` and the panic's text (NULL:
 * none). New memory, NULL when there is no note (a first boot) or memory is out. */
char *lastboot_sentence(const char *path, const char *panic);
/* Copies the records of pstore into the folder `to` (made; at most PSTORE_FILES_MAX, older ones
 * there are removed first), removes them from pstore, and gives the kernel's last words in
 * ret_panic (new memory, NULL when there is no panic among them). Returns the number of records. */
int pstore_collect(const char *from, const char *to, char **ret_panic, struct err *e);
/* The panic's line out of a kernel log; new memory or NULL. */
char *panic_text(const char *log);

#endif
