/*
 * A container's files as a client sees them: statuses, headers, output with back-pressure, bodies
 * that wait, clients that leave; disk usage.
 */
#include "tests/unit/engine/api/client.h"

static void finish(int code, const char *text)
{
	struct err e = { 0 };

	if (code < 0)
		err_set(&e, -code, "%s", text);
	fake.files->done(fake.files, code, &e);
}

#define STAT "{\"name\":\"f\"}"
#define STAT_BASE64 "eyJuYW1lIjoiZiJ9"

TEST(stat_has_its_header_and_no_body)
{
	WORLD();

	ask(&w, "HEAD /v1.24/containers/web/archive?path=%2Fetc%2Ff", NULL);
	CHECK(PUMP(&w, fake.files));
	CHECK_STR(fake.asked, "stat web /etc/f 0 0");
	fake.files->found(fake.files, STAT);
	finish(0, NULL);
	CHECK(PUMP(&w, has(&w, "200 OK") && has(&w, "\r\n\r\n")));
	CHECK(has(&w, "X-Docker-Container-Path-Stat: " STAT_BASE64 "\r\n"));
	CHECK(str_ends(buf_text(&w.got), "\r\n\r\n"));
}

TEST(what_is_wrong_has_a_status)
{
	WORLD();

	CHECK(answers(&w, "GET /containers/web/archive", NULL, "400",
		      "bad parameter: 'path' cannot be empty"));
	CHECK(answers(&w, "GET /containers/none/archive?path=/", NULL, "404",
		      "No such container: none"));
	fake.next_error = EAGAIN;
	fake.next_text = "too many";
	CHECK(answers(&w, "GET /containers/web/archive?path=/", NULL, "503", "too many"));
	ask(&w, "GET /containers/web/archive?path=/x", NULL);
	CHECK(PUMP(&w, fake.files));
	finish(-ENOENT, "Could not find the file /x in container web");
	CHECK(PUMP(&w, has(&w, "404 Not Found") && has(&w, "Could not find the file /x")));
}

TEST(output_comes_with_the_header_in_front)
{
	WORLD();

	ask(&w, "GET /containers/web/archive?path=f", NULL);
	CHECK(PUMP(&w, fake.files));
	CHECK_STR(fake.asked, "get web f 0 0");
	fake.files->found(fake.files, STAT);
	fake.output = "tar bytes";
	fake.files->readable(fake.files);
	CHECK(PUMP(&w, has(&w, "9\r\ntar bytes\r\n")));
	CHECK(has(&w, "Content-Type: application/x-tar\r\n"));
	CHECK(has(&w, "X-Docker-Container-Path-Stat: " STAT_BASE64 "\r\n"));
	CHECK(!has(&w, "\r\n0\r\n\r\n"));
	finish(0, NULL);
	CHECK(PUMP(&w, has(&w, "\r\n0\r\n\r\n")));
}

TEST(a_failure_behind_the_first_byte_breaks_the_stream_off)
{
	WORLD();

	ask(&w, "GET /containers/web/export", NULL);
	CHECK(PUMP(&w, fake.files));
	CHECK_STR(fake.asked, "export web - 0 0");
	fake.output = "half";
	fake.files->readable(fake.files);
	CHECK(PUMP(&w, has(&w, "4\r\nhalf\r\n")));
	CHECK(has(&w, "application/octet-stream"));
	finish(-EIO, "cannot read");
	CHECK(PUMP(&w, w.eof));
	CHECK(!has(&w, "\r\n0\r\n\r\n"));
}

TEST(a_client_that_does_not_read_stops_the_output)
{
	static char much[HTTP_STREAM_HIGH * 8];
	WORLD();

	memset(much, 'm', sizeof(much) - 1);
	ask(&w, "GET /containers/web/changes", NULL);
	for (int i = 0; i < 3000 && !fake.files; i++)
		loop_once(w.en.loop, 2);
	for (int i = 0; i < 1000 && !fake.output_paused; i++) {
		fake.output = much;
		fake.files->readable(fake.files);
		loop_once(w.en.loop, 0); /* the client reads nothing */
	}
	CHECK(fake.output_paused);
	fake.output = NULL;
	CHECK(PUMP(&w, !fake.output_paused)); /* it does now */
	CHECK(has(&w, "application/json"));
	finish(0, NULL);
	CHECK(PUMP(&w, str_ends(buf_text(&w.got), "\r\n0\r\n\r\n")));
}

TEST(a_body_waits_for_the_worker)
{
	WORLD();

	client_send(&w,
		    "PUT /containers/web/archive?path=/d&noOverwriteDirNonDir=true&copyUIDGID=1 "
		    "HTTP/1.1\r\nHost: d\r\nContent-Length: 8\r\n\r\nabcdefgh");
	CHECK(PUMP(&w, fake.files));
	CHECK_STR(fake.asked, "put web /d 1 1");
	for (int i = 0; i < 5; i++)
		loop_once(w.en.loop, 2);
	CHECK_INT((int)fake.input_len, 0); /* it takes nothing yet */
	fake.input_room = 5;
	fake.files->room(fake.files);
	CHECK(PUMP(&w, fake.input_len == 5));
	fake.input_room = 50;
	fake.files->room(fake.files);
	CHECK(PUMP(&w, fake.input_len == 9));
	CHECK_STR(fake.input, "abcdefgh$");
	finish(0, NULL);
	CHECK(PUMP(&w, has(&w, "200 OK") && has(&w, "Content-Length: 0")));
}

TEST(a_put_that_fails_early_is_answered_before_its_body_ends)
{
	WORLD();

	client_send(&w, "PUT /containers/web/archive?path=/d HTTP/1.1\r\nHost: d\r\n"
			"Content-Length: 100000\r\n\r\nabc");
	CHECK(PUMP(&w, fake.files));
	finish(-EACCES, "container rootfs is marked read-only");
	CHECK(PUMP(&w, has(&w, "403 Forbidden") && has(&w, "marked read-only") &&
			       has(&w, "Connection: close")));
}

TEST(a_client_that_leaves_ends_the_operation)
{
	WORLD();

	client_send(&w, "PUT /containers/web/archive?path=/d HTTP/1.1\r\nHost: d\r\n"
			"Content-Length: 100000\r\n\r\nabc");
	CHECK(PUMP(&w, fake.files));
	fake.input_room = 3;
	fake.files->room(fake.files);
	fd_close(take_fd(w.fd));
	for (int i = 0; i < 3000 && !fake.gone_files; i++)
		loop_once(w.en.loop, 2);
	CHECK_INT(fake.gone_files, 1);
}

TEST(disk_usage_by_type)
{
	struct image_layer layers[2] = { { .chain_id = (char *)"sha256:a", .size = 100 },
					 { .chain_id = (char *)"sha256:b", .size = 20 } };
	WORLD();

	fake.image = (struct image){ .id = (char *)"sha256:1111", .layers = layers, .n_layers = 2 };
	fake.has_image = true;
	CHECK(answers(&w, "GET /system/df?type=image", NULL, "200",
		      "{\"LayersSize\":120,\"Images\":[\"sha256:1111 3\"],\"Containers\":null,"
		      "\"Volumes\":null,\"BuildCache\":null}"));
	CHECK(answers(&w, "GET /system/df?type=build-cache&type=image", NULL, "200",
		      "\"BuildCache\":[]}"));
	CHECK(answers(&w, "GET /system/df?type=zzz", NULL, "400", "unknown object type: zzz"));
}
