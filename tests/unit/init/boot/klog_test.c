/* Records of /dev/kmsg. */
#include "init/boot/klog.h"

#include "init/base/str.h"
#include "tests/unit/test.h"

TEST(a_record_of_the_kernel)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	struct kmsg m;

	CHECK_INT(kmsg_parse("6,1234,5678901,-;eth0: link up\n SUBSYSTEM=net\n DEVICE=n2\n", &m),
		  0);
	CHECK_INT(m.level, 6);
	CHECK_INT(m.seq, 1234);
	CHECK_INT(m.time_us, 5678901);
	CHECK_STR(m.text, "eth0: link up");
	CHECK_INT(kmsg_format(&m, &out), 0);
	CHECK_STR(out.data, "[    5.678901] <6> eth0: link up\n");
}

TEST(a_record_of_a_program)
{
	struct kmsg m;

	/* facility 1 (user) and level 4; later kernels may add fields before the text */
	CHECK_INT(kmsg_parse("12,7,1,-,caller=T1;engine: a;b", &m), 0);
	CHECK_INT(m.level, 4);
	CHECK_STR(m.text, "engine: a;b");
}

TEST(broken_records)
{
	static const char *const broken[] = { "",	   "6",
					      "6,1",	   "6,1,2",
					      "6,1,2,-",   "x,1,2,-;t",
					      "6,,2,-;t",  "9999999999999999999,1,2,-;t",
					      "-1,1,2,-;t" };
	struct kmsg m;

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		CHECK_MSG(kmsg_parse(broken[i], &m) == -EINVAL, "\"%s\" was taken", broken[i]);
}

TEST(a_long_text_is_cut)
{
	char record[2 * KMSG_TEXT_MAX];
	struct kmsg m;

	memset(record, 'x', sizeof(record));
	memcpy(record, "6,1,2,-;", 8);
	record[sizeof(record) - 1] = '\0';
	CHECK_INT(kmsg_parse(record, &m), 0);
	CHECK_INT(strlen(m.text), KMSG_TEXT_MAX - 1);
}
