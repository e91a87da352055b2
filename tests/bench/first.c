/*
 * The first process of the kernel alone: says so on the console and powers the machine off.
 *
 * tests/bench/run boots it to learn how long this kernel needs, in this kind of machine, to reach
 * any first process at all; the appliance's boot is compared with that. Static, no libc start-up to
 * speak of.
 */
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	static const char text[] = "first process reached\n";

	if (write(1, text, sizeof(text) - 1) < 0)
		return 1;
	reboot(RB_POWER_OFF);
	return 1;
}
