/*
 * The fault point of the product: nothing ever fails here. See fault.h.
 *
 * Alone in its file, so that a test program's own definition is linked instead of this one. Called
 * by file.c and by whoever else commits data in steps.
 */
#include "init/base/fault.h"

__attribute__((weak)) int fault_point(const char *step)
{
	(void)step;
	return 0;
}
