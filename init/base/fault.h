/*
 * Fault points: named places in a durable write path where a test may fail or crash the program.
 *
 * The function here answers 0 and costs nothing. A unit test that links its own fault_point() takes
 * its place: it returns -errno to make the step fail, or ends the process to play a power cut.
 */
#ifndef SKERRY_BASE_FAULT_H
#define SKERRY_BASE_FAULT_H

/* `step` names what is about to happen ("file.fsync"). Returns 0, or -errno to fail instead. */
int fault_point(const char *step);

#endif
